"""Ctrl-C while a question is answered."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, get_ident, main_thread
from typing import TYPE_CHECKING

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert, prompt_of
from waiting import until

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.graphs.interruption import is_interrupted, noticing_interruption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage

MANY = 120
CALLS_BEFORE = 5


@pytest.fixture(autouse=True)
def _in_the_main_thread() -> Iterator[None]:
    if get_ident() != main_thread().ident:
        pytest.skip("only the main thread is interrupted")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to a thread")
def test_after_an_interruption_no_call_begins() -> None:
    well, concurrency, is_to_come = expert({}), 2, Lock()

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if prompt_of(messages) == "READ" and model.prompts["READ"] >= CALLS_BEFORE:
            if is_to_come.acquire(blocking=False):
                signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
            # The main thread hears of it when it gets the interpreter, before which a call this short would be over.
            until(is_interrupted)
        return well(messages)

    model = RuleChatModel(respond=respond)
    config = LongContextConfig(coverage="full", chunk_tokens=128, concurrency=concurrency)
    qa = create_long_context_qa(model=model, documents=notebook(MANY), config=config)

    with pytest.raises(KeyboardInterrupt):
        qa.invoke({"question": "Who lit the lamp?", "level": "read"})

    # Each of the other tasks may have begun one more reading before it was heard of.
    assert CALLS_BEFORE <= model.prompts["READ"] < CALLS_BEFORE + concurrency
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_is_noticed_in_all_that_is_nested() -> None:
    with noticing_interruption(), noticing_interruption():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert is_interrupted()

    assert not is_interrupted()


def test_a_handler_of_ones_own_is_kept() -> None:
    received = []
    signal.signal(signal.SIGINT, lambda number, _: received.append(number))

    with noticing_interruption():
        signal.raise_signal(signal.SIGINT)
        assert not is_interrupted()

    assert received == [signal.SIGINT]


def test_another_thread_has_nothing_to_notice() -> None:
    def work() -> bool:
        with noticing_interruption():
            return is_interrupted()

    with ThreadPoolExecutor(1) as executor:
        assert not executor.submit(work).result()
