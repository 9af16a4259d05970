"""Calls that may fail on their way: waiting, trying again, and saying what to do when it is no use."""

from __future__ import annotations

import logging
import os
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from langchain_core.language_models import BaseChatModel

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

HTTP_TOO_MANY_REQUESTS: Final = 429
HTTP_NOT_FOUND: Final = 404
HTTP_SERVER_ERROR: Final = 500

admission: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar("admission", default=nullcontext)
"""What each call of a model is made in: a server lets those of its many questions through one by one."""

_Job: TypeAlias = "tuple[Future[Any], Callable[[], Any]]"
_idle: deque[SimpleQueue[_Job]] = deque()
if hasattr(os, "register_at_fork"):
    # The threads do not come along into a forked process, such as a worker of a web server.
    os.register_at_fork(after_in_child=_idle.clear)


def within(seconds: float, function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Return what a function returns, or give it up after so many seconds.

    It runs in another thread that is left behind if it hangs, for a client's own timeout counts the seconds between two
    bytes, and a model in this process has none. The threads are daemons, unlike those of an executor, so that one left
    behind does not keep the program from ending; they are used again, since to start one takes longer than the rest.

    Raises:
        TimeoutError: There was no result in time.
    """
    outcome: Future[ResultT] = Future()
    try:
        jobs = _idle.pop()
    except IndexError:
        jobs = SimpleQueue()
        Thread(target=_work, args=(jobs,), daemon=True, name="model-call").start()
    jobs.put((outcome, partial(copy_context().run, function, *arguments)))
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        # The function may have raised one of its own, or come back just now.
        if outcome.done():
            return outcome.result()
        msg = f"no reply within {seconds:g} s"
        raise TimeoutError(msg) from error


def _work(jobs: SimpleQueue[_Job]) -> None:
    while True:
        outcome, call = jobs.get()
        try:
            settle = partial(outcome.set_result, call())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is waited for
            settle = partial(outcome.set_exception, error)
        _idle.append(jobs)
        settle()
        del outcome, call, settle


def retrying(attempts: int) -> Retrying:
    """Return a caller that tries again, with growing pauses, while the transport fails."""
    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        retry=retry_if_exception(is_transport_error),
        before_sleep=lambda state: logger.warning(
            "call failed (%s), trying again", state.outcome and state.outcome.exception()
        ),
        reraise=True,
    )


def model_name(model: BaseChatModel) -> str:
    """Return the name a chat model goes by, such as `qwen2:7b`."""
    name = getattr(model, "model", None) or getattr(model, "model_name", None)
    return str(name or type(model).__name__)


def is_transport_error(error: BaseException) -> bool:
    """Tell whether a call failed on its way, so that the same call may succeed later."""
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
        return True
    # openai's errors share no base class with httpx's, nor do those of httpx2, and neither may be installed.
    if any(cls.__name__ in {"APIConnectionError", "TransportError"} for cls in type(error).__mro__):
        return True
    status = _status(error)
    return status is not None and (status >= HTTP_SERVER_ERROR or status == HTTP_TOO_MANY_REQUESTS)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


@contextmanager
def unavailable_after_retries(model: BaseChatModel) -> Iterator[None]:
    """Turn a transport that failed for good, or a model that is not there, into an error that says what to do."""
    try:
        yield
    except Exception as error:
        name = model_name(model)
        if _status(error) == HTTP_NOT_FOUND:
            msg = f"the server does not have the model {name}; with Ollama, run: ollama pull {name}"
            raise ModelUnavailableError(msg) from error
        if is_transport_error(error):
            where = getattr(model, "base_url", None) or getattr(model, "openai_api_base", None) or "its server"
            msg = f"{name} at {where} does not answer ({error}); start the server, or run: qwen-longctx doctor"
            raise ModelUnavailableError(msg) from error
        if _status(error) is not None:
            msg = f"{name} refused the call ({error}); check its name, its key and its server's log"
            raise ModelUnavailableError(msg) from error
        raise
