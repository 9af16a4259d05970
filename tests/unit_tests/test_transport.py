"""Calls that hang or fail on their way."""

from __future__ import annotations

import json
import os
import time
from contextvars import ContextVar
from threading import Barrier, Event, Thread, current_thread
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from ollama import ResponseError
from pydantic import SecretStr
from scripted import ScriptedChatModel

from langchain_qwen_longctx.errors import ModelUnavailableError
from langchain_qwen_longctx.transport import (
    check_end,
    is_transport_error,
    is_unreadable,
    limiting,
    model_name,
    retrying,
    unavailable_after_retries,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

SECRET = SecretStr("none")
REQUEST: Any = httpx.Request("POST", "http://127.0.0.1:8000/v1")


class RequestError(Exception):
    """As another HTTP client calls its own."""


def status_error(kind: Callable[..., Exception], status: int) -> Exception:
    return kind("sorry", response=httpx.Response(status, request=REQUEST), body=None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


class Flaky:
    """Raises the given errors, one a call, and then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_result_in_time_is_returned() -> None:
    assert within(5, lambda left, right: left + right, 2, 3) == 5


def test_an_exception_passes_through_as_it_is() -> None:
    error = KeyError("bug")

    with pytest.raises(KeyError) as raised:
        within(5, Flaky(error))

    assert raised.value is error


def test_a_timeout_of_the_functions_own_keeps_its_words() -> None:
    with pytest.raises(TimeoutError, match="the server closed"):
        within(5, Flaky(TimeoutError("the server closed")))


def test_an_interrupt_passes_through() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        within(5, interrupted)


def test_a_call_that_hangs_is_given_up_and_left_behind() -> None:
    wake, finished = Event(), Event()

    def hang() -> None:
        wake.wait(10)
        finished.set()

    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no reply within 0\.05 s"):
        within(0.05, hang)

    assert time.monotonic() - begun < 5
    assert not finished.is_set()
    wake.set()
    assert finished.wait(5)


def test_a_thread_that_is_free_again_is_used_again() -> None:
    within(5, int)
    names = {within(5, lambda: current_thread().ident) for _ in range(50)}

    assert len(names) <= 2


def test_calls_do_not_wait_for_each_other() -> None:
    together = Barrier(3, timeout=5)
    callers = [Thread(target=within, args=(5, together.wait)) for _ in range(3)]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert not together.broken


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    within(5, int)

    child = os.fork()
    if not child:
        os._exit(within(5, lambda: 7))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_context_of_the_caller_goes_along() -> None:
    run: ContextVar[str] = ContextVar("run", default="none")
    token = run.set("outer")

    try:
        assert within(5, run.get) == "outer"
    finally:
        run.reset(token)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ReadTimeout("slow"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (openai.APITimeoutError(REQUEST), True),
        (RequestError("reset"), True),
        (httpx.TooManyRedirects("in a circle"), True),
        (httpx.DecodingError("no gzip"), True),
        (ResponseError("crashed after it had begun"), True),
        (status_error(openai.InternalServerError, 503), True),
        (status_error(openai.AuthenticationError, 401), False),
        (ResponseError("too many requests", 429), True),
        (ResponseError("crashed", 500), True),
        (ResponseError("bad request", 400), False),
        (ResponseError("not found", 404), False),
        (ValueError("bug"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_what_may_pass_counts_as_a_transport_error(error: BaseException, expected: bool) -> None:
    assert is_transport_error(error) is expected


def test_what_a_client_cannot_read_counts_as_one_too() -> None:
    with pytest.raises(ValueError, match="Expecting value") as raised:
        eval("json.loads('no')", {"json": json, "__name__": "ollama._client"})  # noqa: S307 - as in a client's module

    assert is_unreadable(raised.value)
    assert is_transport_error(raised.value)


def test_a_reply_in_time_and_of_a_sensible_size_passes_the_limits() -> None:
    response = httpx.Response(200, content=iter([b"a" * 60, b"b" * 40]))

    limiting(60, 100)(response)

    assert len(response.read()) == 100


@pytest.mark.parametrize(("seconds", "size"), [(60, 99), (0, 100)], ids=["size", "time"])
def test_a_reply_that_is_too_large_or_too_slow_is_ended(seconds: float, size: int) -> None:
    response = httpx.Response(200, content=iter([b"a" * 60, b"b" * 40]))

    limiting(seconds, size)(response)

    with pytest.raises(TimeoutError, match="and no end of the reply"):
        response.read()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (ChatOllama(model="qwen2"), {"done": True, "done_reason": "length"}),
        (ChatOpenAI(model="qwen2", api_key=SECRET), {"finish_reason": None}),
        (ChatOpenAI(model="qwen2", api_key=SECRET), {"status": "completed"}),
        (ScriptedChatModel(), {}),
    ],
    ids=["ollama", "openai", "openai's responses", "another"],
)
def test_a_reply_that_has_come_to_its_end_is_whole(model: BaseChatModel, told: dict[str, Any]) -> None:
    check_end(model, AIMessage("Ada", response_metadata=told))


@pytest.mark.parametrize(
    "model", [ChatOllama(model="qwen2"), ChatOpenAI(model="qwen2", api_key=SECRET)], ids=["ollama", "openai"]
)
def test_one_that_has_not_counts_as_a_failure_of_the_transport(model: BaseChatModel) -> None:
    with pytest.raises(ConnectionError, match="the reply ended in the middle") as raised:
        check_end(model, AIMessage("Ad", response_metadata={"model_provider": "ollama"}))

    assert is_transport_error(raised.value)


def test_a_transport_that_recovers_is_forgiven() -> None:
    function = Flaky(ConnectionError("refused"), TimeoutError("slow"))

    assert retrying(3)(function) == "done"
    assert function.calls == 3


def test_a_transport_that_fails_each_time_raises_its_last_error() -> None:
    function = Flaky(ConnectionError("first"), ConnectionError("second"), ConnectionError("third"))

    with pytest.raises(ConnectionError, match="second"):
        retrying(2)(function)


def test_a_fault_of_the_program_is_not_tried_again() -> None:
    function = Flaky(ValueError("bug"))

    with pytest.raises(ValueError, match="bug"):
        retrying(3)(function)

    assert function.calls == 1


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ResponseError("model not found", 404), "ollama pull scripted-qwen"),
        (ConnectionError("refused"), r"scripted-qwen at its server does not answer \(refused\); start the server"),
        (ResponseError("unauthorized", 401), r"refused the call .* check its name, its key"),
    ],
)
def test_a_failure_for_good_says_what_to_do(error: Exception, remedy: str) -> None:
    with pytest.raises(ModelUnavailableError, match=remedy), unavailable_after_retries(ScriptedChatModel()):
        raise error


def test_a_fault_of_the_program_is_not_blamed_on_the_server() -> None:
    with pytest.raises(ZeroDivisionError), unavailable_after_retries(ScriptedChatModel()):
        _ = 1 / 0


def test_a_model_without_a_name_goes_by_its_class() -> None:
    assert model_name(ScriptedChatModel(model="qwen2:7b")) == "qwen2:7b"
    assert model_name(ScriptedChatModel(model="")) == "ScriptedChatModel"
