"""Ctrl-C while a question is answered."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident, main_thread
from typing import TYPE_CHECKING

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert, prompt_of

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
    well, concurrency = expert({}), 2

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if model.prompts["READ"] == CALLS_BEFORE and prompt_of(messages) == "READ":
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        return well(messages)

    model = RuleChatModel(respond=respond)
    config = LongContextConfig(coverage="full", chunk_tokens=128, concurrency=concurrency)
    qa = create_long_context_qa(model=model, documents=notebook(MANY), config=config)

    with pytest.raises(KeyboardInterrupt):
        qa.invoke({"question": "Who lit the lamp?", "level": "read"})

    # Another task may be about to begin its next reading.
    assert CALLS_BEFORE <= model.prompts["READ"] <= CALLS_BEFORE + 2 * concurrency
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
