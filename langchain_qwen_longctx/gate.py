"""What every request of the server passes: who asks, how much is sent, and whether anyone still waits for an answer."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from langchain_qwen_longctx.problems import SECONDS_TO_RETRY, Refusal, retry_after
from langchain_qwen_longctx.transport import admission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_qwen_longctx.fair_sharing import Turnstile, Visit

OPEN_PATHS: Final = frozenset({"/", "/health", "/ready"})
OPEN_FOLDER: Final = "/page/"
"""What needs no key: the page, which asks for one, and what tells whether the server is up."""

UPLOAD_PATH: Final = "/collections"
PLAYGROUND: Final = "/playground/"

OWN_SITES: Final = frozenset({"none", "same-origin"})
"""What a browser says of a request by its user or by the server's own page; another port of this machine is neither."""

MAX_BODY_BYTES: Final = 1_000_000
"""Bytes of a question with its conversation. Parsed, JSON may take thirty times the memory."""

UPLOADS_AT_ONCE: Final = 2
"""So many uploads of the largest size may be on their way at once, or more that are smaller."""

SECONDS_FOR_BODY: Final = 30.0
BYTES_PER_SECOND: Final = 50_000
"""A body has so much time, and one more second for so many bytes."""

COME_AGAIN: Final = f"try again in {SECONDS_TO_RETRY} seconds"

MAX_DIGITS: Final = 19
"""Of a length: more than any machine has memory for, and no more than is worth reading."""

SAFE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every response that has no others: what a browser makes of it does nothing, and is shown and kept nowhere else."""

PLAYGROUND_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""LangServe's playground has a script in its page, and makes others; they may call nowhere but here."""


class Gate:
    """ASGI middleware that admits requests, and ends their work if their clients go.

    Args:
        app: What is behind it.
        turnstile: What calls of the model wait at, each for the turn of the request's client.
        api_keys: Each stands for a client; without any, nobody is asked for one, and clients are told apart by address.
        max_upload_bytes: Most bytes in an upload; any other request has `MAX_BODY_BYTES`.
        max_requests: Most requests under way at once, those that only look something up left aside. Where there are
            several keys, each has half of them at most.
    """

    def __init__(
        self, app: ASGIApp, *, turnstile: Turnstile, api_keys: Sequence[str], max_upload_bytes: int, max_requests: int
    ) -> None:
        self._app = app
        self._turnstile = turnstile
        self._keys = [key.encode() for key in api_keys]
        self._max_upload_bytes = max_upload_bytes
        self._room = Room(max_requests * MAX_BODY_BYTES)
        self._room_for_uploads = Room(UPLOADS_AT_ONCE * max_upload_bytes)
        self._max_requests = max_requests
        self._share = max(1, max_requests // 2) if len(api_keys) > 1 else max_requests
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client, send = self._client_of(scope), made_safe(send, path_of(scope))
        if refusal := self._refusal(scope, client):
            await refusal(scope, receive, send)
            return
        with self._visiting(client or "") as visit:
            await self._attend(scope, receive, timed(send, visit), client or "")

    def _client_of(self, scope: Scope) -> str | None:
        """Return who asks; None for someone without a key that would be needed."""
        if not self._keys:
            return str((scope.get("client") or ["unknown"])[0])
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else ""
        # Every key is compared, so that the time does not tell which one was nearly right.
        matches = [key for key in self._keys if hmac.compare_digest(key, given.encode())]
        return given if matches else None

    def _refusal(self, scope: Scope, client: str | None) -> Refusal | None:
        path, headers = path_of(scope), Headers(scope=scope)
        if client is None and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDER):
            detail = "this server needs a key: send the header Authorization: Bearer KEY"
            return Refusal(401, detail, {"WWW-Authenticate": "Bearer"})
        if "transfer-encoding" in headers and "content-length" in headers:
            # A proxy before this server may take the other length for true, and what follows for another's request.
            return Refusal(400, "the request has two lengths; send one", {"Connection": "close"})
        return None if is_reading(scope) else self._refusal_of_change(path, headers, client or "")

    def _refusal_of_change(self, path: str, headers: Headers, client: str) -> Refusal | None:
        if is_foreign(headers):
            return Refusal(403, "the page of another site may not ask this server; open its own")
        if declared_bytes(headers) > self._most_bytes(path):
            return Refusal(413, too_large(self._most_bytes(path)))
        if detail := self._too_many(client):
            return Refusal(503, detail)
        return None

    def _most_bytes(self, path: str) -> int:
        return self._max_upload_bytes if path == UPLOAD_PATH else MAX_BODY_BYTES

    def _too_many(self, client: str) -> str | None:
        total, own = self._under_way.total(), self._under_way[client]
        is_full = total >= self._max_requests or own >= self._share
        return f"{total} requests are under way, {own} of them yours; {COME_AGAIN}" if is_full else None

    def _begin(self, client: str) -> None:
        """Count a request, now that it is whole: one that only drips takes no place from others.

        Raises:
            HTTPException: There are too many by now.
        """
        if detail := self._too_many(client):
            raise HTTPException(503, detail, retry_after(503))
        self._under_way[client] += 1

    def _end(self, client: str) -> None:
        self._under_way[client] -= 1
        if not self._under_way[client]:
            del self._under_way[client]

    @contextmanager
    def _visiting(self, client: str) -> Iterator[Visit]:
        """Let this request's calls of the model wait for their turn, until it is answered or its client has gone."""
        visit = self._turnstile.visit(client)
        token = admission.set(visit.admission)
        try:
            yield visit
        finally:
            admission.reset(token)
            visit.end()

    async def _attend(self, scope: Scope, receive: Receive, send: Send, client: str) -> None:
        """Run what is behind the gate, and cancel it once its client goes.

        Of frameworks, most notice that only where they stream.
        """
        path, counts = path_of(scope), not is_reading(scope)
        room = self._room_for_uploads if path == UPLOAD_PATH else self._room
        body = Body(receive, self._most_bytes(path), room, partial(self._begin, client) if counts else lambda: None)
        answer = asyncio.ensure_future(self._app(scope, body.receive, send))
        watch = asyncio.ensure_future(body.watch())
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not answer.done():
                answer.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await answer
        finally:
            body.leave()
            if counts and body.has_begun:
                self._end(client)


@dataclass
class Room:
    """Bytes that several bodies may have together.

    Attributes:
        left: How many more.
    """

    left: int


class Body:
    """A request's body on its way, and behind it, the news that the client has gone.

    Args:
        receive: Where it comes from.
        max_bytes: Most bytes that are taken.
        room: Where they are kept.
        begin: Called once it is whole; what it raises goes to whoever reads it.

    Attributes:
        has_begun: Whether it is whole.
    """

    def __init__(self, receive: Receive, max_bytes: int, room: Room, begin: Callable[[], None]) -> None:
        self.has_begun = False
        self._receive = receive
        self._max_bytes = max_bytes
        self._room = room
        self._begin = begin
        self._taken = 0
        self._due = asyncio.get_running_loop().time() + SECONDS_FOR_BODY
        self._is_whole = asyncio.Event()
        self._is_gone = asyncio.Event()

    async def receive(self) -> Message:
        """Return what comes next.

        Raises:
            HTTPException: It is too much, comes too slowly, or makes one request too many.
        """
        if self._is_whole.is_set():
            await self._is_gone.wait()
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout_at(self._due):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the request is not whole after {SECONDS_FOR_BODY:g} s; send faster") from error
        self._take(len(message.get("body", b"")))
        if message["type"] == "http.disconnect":
            self._is_gone.set()
        elif not message.get("more_body"):
            self._begin()
            self.has_begun = True
        if not message.get("more_body"):
            self._is_whole.set()
        return message

    def _take(self, size: int) -> None:
        self._taken += size
        self._room.left -= size
        self._due += size / BYTES_PER_SECOND
        if self._taken > self._max_bytes:
            raise HTTPException(413, too_large(self._max_bytes))
        if self._room.left < 0:
            raise HTTPException(503, f"too much is sent at once; {COME_AGAIN}", retry_after(503))

    def leave(self) -> None:
        """Make room for others."""
        self._room.left += self._taken

    async def watch(self) -> None:
        """Return once the client has gone."""
        await self._is_whole.wait()
        while not self._is_gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._is_gone.set()


def timed(send: Send, visit: Visit) -> Send:
    """Return a way to send that says in a header what went on up to then: waiting for turns, and calls of the model."""

    async def send_timed(message: Message) -> None:
        if message["type"] == "http.response.start" and visit.calls_made:
            spent = f"queue;dur={visit.waited * 1000:.1f}, model;dur={visit.took * 1000:.1f}"
            MutableHeaders(scope=message)["Server-Timing"] = spent
        await send(message)

    return send_timed


def made_safe(send: Send, path: str) -> Send:
    """Return a way to send that adds the headers by which a browser does nothing unwanted with a response."""
    headers = {**SAFE_HEADERS, "Content-Security-Policy": PLAYGROUND_POLICY} if PLAYGROUND in path else SAFE_HEADERS

    async def send_safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            for name, value in headers.items():
                MutableHeaders(scope=message).setdefault(name, value)
        await send(message)

    return send_safe


def path_of(scope: Scope) -> str:
    """Return a request's path below where the application is mounted."""
    return scope["path"].removeprefix(scope.get("root_path", "")) or "/"


def is_reading(scope: Scope) -> bool:
    """Tell whether a request only looks something up."""
    return scope["method"] in {"GET", "HEAD", "OPTIONS"}


def is_foreign(headers: Headers) -> bool:
    """Tell whether a browser says that the page of another site asks; old ones say only which."""
    if site := headers.get("sec-fetch-site"):
        return site not in OWN_SITES
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def declared_bytes(headers: Headers) -> int:
    """Return how large a request says it is; what is no number, the web server refuses."""
    length = headers.get("content-length", "")
    return int(length[:MAX_DIGITS]) if length.isdecimal() else 0


def too_large(max_bytes: int) -> str:
    """Return what is said of a body that is too large."""
    return f"the request is larger than {max_bytes:,} bytes; send less at once"
