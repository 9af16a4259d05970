"""Ctrl-C while a question is answered: calls of the model that are under way end, and no others begin.

LangGraph passes an interruption on only when all tasks of a step have ended, and a wave of readings is one step.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, current_thread, main_thread
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_interruption: Final[ContextVar[Event | None]] = ContextVar("interruption", default=None)


@contextmanager
def noticing_interruption() -> Iterator[None]:
    """Let what runs inside, in whatever thread, know of a Ctrl-C.

    Only the main thread gets one. Whoever has a handler of their own keeps it, and is not helped.
    """
    is_main = current_thread() is main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    interruption = Event()

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        interruption.set()
        signal.default_int_handler(number, frame)

    token = _interruption.set(interruption)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _interruption.reset(token)


def is_interrupted() -> bool:
    """Tell whether there was a Ctrl-C since the work began that this is a part of."""
    interruption = _interruption.get()
    return interruption is not None and interruption.is_set()
