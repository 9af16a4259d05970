"""Calls that may fail on their way: waiting, trying again, and saying what to do when it is no use."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import lru_cache, partial
from queue import SimpleQueue
from threading import Thread
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import httpx
from langchain_core.callbacks import BaseCallbackHandler
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

HTTP_TOO_MANY_REQUESTS: Final = 429
HTTP_NOT_FOUND: Final = 404
HTTP_SERVER_ERROR: Final = 500

CHARACTERS_PER_TOKEN: Final = 64
"""More than any but Qwen's longest tokens have, which are blanks."""

_CLIENTS: Final = frozenset({"ollama", "langchain_ollama", "openai", "langchain_openai"})
# By the class of a model, what its replies tell at their end, one way or another, and those cut on their way do not.
_END_MARKS: Final = {"ChatOllama": {"done"}, "ChatOpenAI": {"finish_reason", "status"}}

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


class ReplyStopped(BaseException):
    """A reply was stopped; the message says why. It is no `Exception`, or LangChain would log it."""


class ReplyGuard(BaseCallbackHandler):
    """Ends a reply at its next token if it is not waited for any more, or longer than it can be.

    That closes the connection, and Ollama stops writing; otherwise the next call would wait until it is through.

    Args:
        max_tokens: The most tokens that there is room for.

    Attributes:
        is_given_up: Whether nobody waits for the reply any more.
    """

    raise_error = True

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens = self._characters = 0
        self.is_given_up = False

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Do nothing; for the base class, the prompt would be put into one text."""

    def on_llm_new_token(self, token: str | list[str | dict[str, Any]], **_: Any) -> None:
        """Look at a token.

        Raises:
            ReplyStopped: It is not wanted.
        """
        self._tokens += 1
        self._characters += len(str(token))
        is_too_long = max(self._tokens, self._characters / CHARACTERS_PER_TOKEN) > self._max_tokens
        if self.is_given_up or is_too_long:
            msg = f"it has more than {self._max_tokens} tokens" if is_too_long else "it was given up"
            raise ReplyStopped(msg)


def limiting(seconds: float, max_bytes: int) -> Callable[[Any], None]:
    """Return a hook of an HTTP client that ends replies which take too long or are too large.

    A client's own timeout begins anew with every byte.

    Args:
        seconds: The most from a response's headers to its end.
        max_bytes: The most in its body.
    """

    def limit(response: Any) -> None:  # noqa: ANN401 - of httpx, or of httpx2
        began, receive = time.monotonic(), response.iter_raw

        def iter_raw(chunk_size: int | None = None) -> Iterator[bytes]:
            size = 0
            for part in receive(chunk_size):
                size += len(part)
                if size > max_bytes or time.monotonic() - began > seconds:
                    msg = f"{size} bytes in {time.monotonic() - began:.0f} s, and no end of the reply"
                    raise TimeoutError(msg)
                yield part

        response.iter_raw = iter_raw

    return limit


def check_end(model: BaseChatModel, reply: AIMessage) -> None:
    """Make sure that a reply has come to its end; a connection that closes in the middle of one may leave no trace.

    Raises:
        ConnectionError: It has not.
    """
    kinds = {cls.__name__ for cls in type(model).__mro__}
    if any(kind in kinds and marks.isdisjoint(reply.response_metadata) for kind, marks in _END_MARKS.items()):
        msg = "the reply ended in the middle"
        raise ConnectionError(msg)


@lru_cache(maxsize=8)
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
    if isinstance(error, httpx.RequestError | ConnectionError | TimeoutError) or is_unreadable(error):
        return True
    # openai's errors share no base class with httpx's, nor do those of httpx2, and neither may be installed.
    if any(cls.__name__ in {"APIConnectionError", "RequestError"} for cls in type(error).__mro__):
        return True
    status = _status(error)
    # Ollama's client has no status, but -1, for what goes wrong after a reply has begun.
    return status is not None and (status >= HTTP_SERVER_ERROR or status == HTTP_TOO_MANY_REQUESTS or status < 0)


def is_unreadable(error: BaseException) -> bool:
    """Tell whether a client stumbled over what a server sent: no text, no JSON, or JSON of another shape."""
    if not isinstance(error, ValueError | TypeError | AttributeError | LookupError):
        return False
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] in _CLIENTS for frame in frames)


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
            fault, remedy = "does not answer", "start the server"
            if is_unreadable(error):
                fault, remedy = "sends what is no reply", "look at the server's log"
            msg = f"{name} at {where} {fault} ({error}); {remedy}, or run: qwen-longctx doctor"
            raise ModelUnavailableError(msg) from error
        if _status(error) is not None:
            msg = f"{name} refused the call ({error}); check its name, its key and its server's log"
            raise ModelUnavailableError(msg) from error
        raise
