"""Waiting for what happens in other threads, for as long as a slow machine takes."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage
    from scripted import Respond

PATIENCE: Final = 60.0
"""Seconds after which what is waited for does not come any more, on whatever machine."""


def until(is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return once something is so.

    Raises:
        AssertionError: It never came to that.
    """
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"it never came to that in {seconds:g} s"
        time.sleep(0.005)


class Held:
    """The rule of a model that, once asked, does not answer before it is let go; within a `with`, by its end.

    Args:
        respond: Its rule then.
    """

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._is_asked = Event()
        self._is_free = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def __call__(self, messages: Sequence[BaseMessage]) -> str | BaseException:
        self._is_asked.set()
        assert self._is_free.wait(PATIENCE)
        return self._respond(messages)

    def wait_until_asked(self) -> None:
        assert self._is_asked.wait(PATIENCE)

    def let_go(self) -> None:
        self._is_free.set()
