"""Many questions on one model: whose call is next."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING

from langchain_qwen_longctx.errors import ClientGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(eq=False)
class _Call:
    """A call that waits.

    Attributes:
        settled: Set once it is let through, or turned away.
        is_admitted: Which of the two.
    """

    settled: Event = field(default_factory=Event)
    is_admitted: bool = False


@dataclass(eq=False)
class Visit:
    """A request while it is answered.

    Attributes:
        turnstile: What its calls of the model go through.
        client: Whom it is from.
        is_over: Whether its client has gone: no call of it is let through any more.
        waited: Seconds that its calls have waited.
        took: Seconds that they have taken.
        calls_made: How many they were.
        calls: Those that wait.
    """

    turnstile: Turnstile
    client: str
    is_over: bool = False
    waited: float = 0.0
    took: float = 0.0
    calls_made: int = 0
    calls: deque[_Call] = field(default_factory=deque)

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Wait for this request's turn, and hold a place at the model meanwhile.

        Raises:
            ClientGoneError: There is nobody left to answer.
        """
        came = time.monotonic()
        self.turnstile.enter(self)
        began = time.monotonic()
        try:
            yield
        finally:
            self.turnstile.leave()
            self._count(began - came, time.monotonic() - began)

    def _count(self, waited: float, took: float) -> None:
        self.waited += waited
        self.took += took
        self.calls_made += 1
        self.turnstile.on_call(waited, took)

    def end(self) -> None:
        """Let no further call through, and turn away those that wait."""
        self.turnstile.dismiss(self)


class Turnstile:
    """Lets so many calls of a model through at once; those who wait take turns.

    It is the turn of a client first, then, among several requests of that client, of one of these. So the third of
    three clients waits for two calls and not for two questions, whatever these take; and one who asks a hundred
    questions at once gets no more than one who asks a single one.

    Args:
        places: Calls under way at once; as many as the model's server answers side by side.
        on_call: Told of each call how long it waited and how long it took, in seconds.
    """

    def __init__(self, places: int, on_call: Callable[[float, float], None] = lambda _waited, _took: None) -> None:
        self.on_call = on_call
        self._free = places
        self._lock = Lock()
        # Both in the order of their turns: clients, and the visits of each that have calls waiting.
        self._queue: dict[str, deque[Visit]] = {}

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        with self._lock:
            return sum(len(visit.calls) for visits in self._queue.values() for visit in visits)

    def visit(self, client: str) -> Visit:
        """Return a new request of a client."""
        return Visit(self, client)

    def enter(self, visit: Visit) -> None:
        """Take a place, after waiting for it if need be.

        Raises:
            ClientGoneError: The visit is over, or ended meanwhile.
        """
        call = _Call()
        with self._lock:
            if visit.is_over:
                raise ClientGoneError
            if not visit.calls:
                self._queue.setdefault(visit.client, deque()).append(visit)
            visit.calls.append(call)
            self._fill()
        call.settled.wait()
        if call.is_admitted and visit.is_over:
            self.leave()
        if visit.is_over:
            raise ClientGoneError

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._free += 1
            self._fill()

    def dismiss(self, visit: Visit) -> None:
        """End a visit."""
        with self._lock:
            visit.is_over = True
            if visit.calls:
                self._take_out(visit)
            while visit.calls:
                visit.calls.popleft().settled.set()

    def _fill(self) -> None:
        while self._free and self._queue:
            visit = next(iter(self._queue.values()))[0]
            self._take_out(visit)
            call = visit.calls.popleft()
            if visit.calls:
                self._queue.setdefault(visit.client, deque()).append(visit)
            self._free -= 1
            call.is_admitted = True
            call.settled.set()

    def _take_out(self, visit: Visit) -> None:
        """Take a visit out of the queue; its client's turn is over."""
        visits = self._queue.pop(visit.client)
        visits.remove(visit)
        if visits:
            self._queue[visit.client] = visits
