"""What every request of the server passes: who asks, how much is sent, and whether anyone still waits for an answer."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from langchain_qwen_longctx.transport import admission

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from langchain_qwen_longctx.fair_sharing import Turnstile, Visit

OPEN_PATHS: Final = frozenset({"/", "/health", "/ready"})
OPEN_FOLDER: Final = "/page/"
"""What needs no key: the page, which asks for one, and what tells whether the server is up."""

OWN_SITES: Final = frozenset({"none", "same-origin"})
"""What a browser says of a request by its user or by the server's own page; another port of this machine is neither."""

SECONDS_TO_RETRY: Final = 5


class Gate:
    """ASGI middleware that admits requests, and ends their work if their clients go.

    Args:
        app: What is behind it.
        turnstile: What calls of the model wait at, each for the turn of the request's client.
        api_keys: Each stands for a client; without any, nobody is asked for one, and clients are told apart by address.
        max_body_bytes: Most bytes in a request.
        max_requests: Most requests under way at once, those that only look something up left aside.
    """

    def __init__(
        self, app: ASGIApp, *, turnstile: Turnstile, api_keys: Sequence[str], max_body_bytes: int, max_requests: int
    ) -> None:
        self._app = app
        self._turnstile = turnstile
        self._keys = [key.encode() for key in api_keys]
        self._max_body_bytes = max_body_bytes
        self._max_requests = max_requests
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = self._client_of(scope)
        if refusal := self._refusal(scope, client):
            await refusal(scope, receive, send)
            return
        with self._counted(scope), self._visiting(client or "") as visit:
            await self._attend(scope, receive, timed(send, visit))

    def _client_of(self, scope: Scope) -> str | None:
        """Return who asks; None for someone without a key that would be needed."""
        if not self._keys:
            return str((scope.get("client") or ["unknown"])[0])
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else ""
        # Every key is compared, so that the time does not tell which one was nearly right.
        matches = [key for key in self._keys if hmac.compare_digest(key, given.encode("utf-8", "surrogateescape"))]
        return given if matches else None

    def _refusal(self, scope: Scope, client: str | None) -> JSONResponse | None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if client is None and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDER):
            detail = "this server needs a key: send the header Authorization: Bearer KEY"
            return refuse(401, detail, {"WWW-Authenticate": "Bearer"})
        if is_reading(scope):
            return None
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "none") not in OWN_SITES:
            return refuse(403, "the page of another site may not ask this server; open its own")
        if int(headers.get("content-length") or 0) > self._max_body_bytes:
            return refuse(413, too_large(self._max_body_bytes))
        if self._under_way >= self._max_requests:
            detail = f"{self._max_requests} requests are under way; try again in {SECONDS_TO_RETRY} seconds"
            return refuse(503, detail, {"Retry-After": str(SECONDS_TO_RETRY)})
        return None

    @contextmanager
    def _counted(self, scope: Scope) -> Iterator[None]:
        counts = not is_reading(scope)
        self._under_way += counts
        try:
            yield
        finally:
            self._under_way -= counts

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

    async def _attend(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run what is behind the gate, and cancel it once its client goes.

        Of frameworks, most notice that only where they stream.
        """
        body = Body(receive, self._max_body_bytes)
        answer = asyncio.ensure_future(self._app(scope, body.receive, send))
        watch = asyncio.ensure_future(body.watch())
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not answer.done():
                answer.cancel()
        with suppress(asyncio.CancelledError):
            await answer


class Body:
    """A request's body on its way, and behind it, the news that the client has gone.

    Args:
        receive: Where it comes from.
        max_bytes: Most bytes that are taken.
    """

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._is_whole = asyncio.Event()
        self._is_gone = asyncio.Event()

    async def receive(self) -> Message:
        """Return what comes next.

        Raises:
            HTTPException: It is too much.
        """
        if self._is_whole.is_set():
            await self._is_gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, too_large(self._max_bytes))
        if message["type"] == "http.disconnect":
            self._is_gone.set()
        if not message.get("more_body"):
            self._is_whole.set()
        return message

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


def is_reading(scope: Scope) -> bool:
    """Tell whether a request only looks something up."""
    return scope["method"] in {"GET", "HEAD", "OPTIONS"}


def too_large(max_bytes: int) -> str:
    """Return what is said of a body that is too large."""
    return f"the request is larger than {max_bytes:,} bytes; send less at once"


def refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a refusal in the form of FastAPI's errors."""
    return JSONResponse({"detail": detail}, status, headers)
