"""Connections to the web server: how long one may keep it waiting, and how many there may be."""

from __future__ import annotations

from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

SECONDS_TO_ASK: Final = 20.0
"""For the head of a request, from when the connection was made or the last answer given."""

SECONDS_TO_TAKE: Final = 120.0
"""In which a client takes what it asked for, as far as that waits to be sent."""

MAX_CONNECTIONS: Final = 512
"""About half of the files that a process may have open as a rule."""


_turns: Final = count()


class Connection(H11Protocol):
    """A connection that is closed if its client keeps the server waiting.

    uvicorn itself waits without end for a request's first bytes or its last header, and for a client to take its
    answer. With one connection too many, the one that has waited the longest for a request is closed. The parser is
    h11 wherever the server runs: the faster one takes headers of any size.

    Attributes:
        turn: The larger, the later it began to wait for a request.
    """

    turn: int
    _asking: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [other for other in self.connections if isinstance(other, Connection) and other.is_waiting]
            longest = min(waiting, key=attrgetter("turn"))
            longest.transport.abort()
            self.connections.discard(longest)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self._await_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what was sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(SECONDS_TO_TAKE, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        _cancel(self._taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        super().connection_lost(exc)
        _cancel(self._asking)
        _cancel(self._taking)

    def _await_request(self) -> None:
        _cancel(self._asking)
        self.turn = next(_turns)
        self._asking = self.loop.call_later(SECONDS_TO_ASK, self._close_if_waiting)

    def _close_if_waiting(self) -> None:
        # What is still being sent has its own time.
        if self.is_waiting and not self.flow.write_paused:
            self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer:
        timer.cancel()
