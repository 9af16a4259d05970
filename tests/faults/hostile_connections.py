"""Connections that say two things at once, that drip, that stall, and that are too many."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final
from unittest import mock

from hostile_server import ASKED, Expected, attempt, is_well, town
from outcomes import Outcome, trial, wrong
from raw_http import Request, connected, of_json, received, send

from langchain_qwen_longctx import connections, gate

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from trials import Trial

BODY: Final = json.dumps(ASKED).encode()
HEAD: Final = b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
HIDDEN: Final = b"GET /info HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
"""A request that would be told by what it tells: the names of the documents."""

METHODS: Final = (
    "FOO",
    "TRACE",
    "CONNECT",
    "PUT",
    "PATCH",
    "DELETE",
    "PROPFIND",
    "get",
    "M-SEARCH",
    "A" * 5000,
    "GET\t",
)

SECONDS: Final = 1.0
"""Of patience that the server has here, instead of its own."""


def try_connections(*, is_short: bool) -> Iterator[Trial]:
    """Open all of them."""
    with town() as url:
        yield trial("two lengths, a length that is none, a second request in the body of the first", _smuggled(url))
        yield trial("methods, versions, targets and headers of every kind", _odd(url))
    seconds = mock.patch.multiple(connections, SECONDS_TO_ASK=SECONDS, SECONDS_TO_TAKE=SECONDS)
    with seconds, mock.patch.object(gate, "SECONDS_FOR_BODY", SECONDS), town() as url:
        count = 20 if is_short else 200
        yield _slow(url, "idle connections", [b""] * count)
        yield _slow(url, "heads that drip", [HEAD + b"X-Drip: " + b"x" * n for n in range(count)])
        yield _slow(url, "bodies that drip", [HEAD + b"Content-Length: 500\r\n\r\n" + b" " * n for n in range(count)])
        yield _slow(url, "bodies in chunks that never end", [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n"] * count)
        yield _slow(url, "a second request that drips", [b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD] * count)
        yield _unread(url, count // 4)
    most = 40 if is_short else 400
    with mock.patch.object(connections, "MAX_CONNECTIONS", most), town() as url:
        yield _crowd(url, most)


def _smuggled(url: str) -> Iterator[Outcome]:
    refused = Expected({400, 413}, unspoken=b'"served"')
    two = HEAD + b"Content-Length: 3\r\nContent-Length: 50\r\n\r\n"
    both = HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % len(HIDDEN)
    codings = (b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked", b"chunked\x0b", b"")
    lengths = (
        b"-1",
        b"+5",
        b"abc",
        b"1e3",
        b"0x10",
        b"9" * 20,
        b"9" * 30,
        b"",
        b"1 2",
        b"5;5",
        b"\xb2",
        b"\xd9\xa3",
        b"5, 6",
    )
    yield attempt(url, two + HIDDEN, refused)
    yield attempt(url, both + HIDDEN, refused)
    for coding in codings:
        yield attempt(url, HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n" + HIDDEN, refused)
    for length in lengths:
        yield attempt(url, HEAD + b"Content-Length: " + length + b"\r\n\r\nabcde" + HIDDEN, refused)
    for chunk in (b"zz\r\n", b"-1\r\nx\r\n", b"1\r\nxx\r\n0\r\n\r\n", b"0x1\r\nx\r\n", b"1" * 100 + b"\r\n"):
        yield attempt(
            url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + HIDDEN, Expected({400, 422}, b'"served"')
        )
    yield Outcome("others answered") if is_well(url) else wrong("others not answered")


def _odd(url: str) -> Iterator[Outcome]:
    fine = Expected({200, 400, 404, 405, 413, 422})
    for method in METHODS:
        yield attempt(url, Request("/ask", method=method), Expected({400, 405}))
    for line in (
        b"GET /health",
        b"GET /health HTTP/0.9",
        b"GET /health HTTP/1.0",
        b"GET /health HTTP/9.9",
        b"GET  /health  HTTP/1.1",
        b"GET http://evil.example/health HTTP/1.1",
        b"GET \xff\xfe HTTP/1.1",
        b"GET /%ff%fe%00 HTTP/1.1",
        b"GET /" + b"a" * 60_000 + b" HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(range(256)),
        b"",
    ):
        yield attempt(url, line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", fine)
    for header in (
        b"A: b\r\n" * 20_000,
        b"A: " + b"b" * 1_000_000 + b"\r\n",
        b"Host: other\r\n",
        b"A: b\r\n c\r\n",
        b"A\x00: b\r\n",
        b"A : b\r\n",
        b": b\r\n",
        b"A: \x00\x01\xff\r\n",
        b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
        b"Expect: 200-ok\r\n",
        b"Range: bytes=0-,0-,0-,0-\r\n",
        b"Accept: " + b"*/*," * 3000 + b"\r\n",
    ):
        head = b"GET /page/page.js HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        yield attempt(url, head + header + b"\r\n", Expected({200, 206, 400, 404, 416}))
    pipelined = send(url, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 99, Request("/health", method="GET"))
    yield (
        Outcome("a hundred at once") if pipelined.responses == 100 else wrong(f"{pipelined.responses} of 100 answered")
    )


def _slow(url: str, case: str, beginnings: list[bytes]) -> Trial:
    """Begin requests, drip on, and see that each is dropped in time while others are answered."""
    with ExitStack() as opened:
        slow = [opened.enter_context(connected(url)) for _ in beginnings]
        for connection, beginning in zip(slow, beginnings, strict=True):
            connection.sendall(beginning)
        began = time.monotonic()
        well = is_well(url)
        outcomes = [_dropped(connection, began + 15 * SECONDS) for connection in slow]
    outcomes.append(Outcome("others answered meanwhile") if well else wrong("others not answered"))
    return trial(f"{case}, {len(beginnings)} at once", outcomes)


def _dropped(connection: socket.socket, deadline: float) -> Outcome:
    connection.settimeout(0.1)
    while time.monotonic() < deadline:
        try:
            connection.sendall(b"x")
        except ConnectionError:
            return Outcome("dropped")
        if (reply := received(connection)).is_closed:
            return Outcome(f"{reply.status}, dropped" if reply.status else "dropped")
        if reply.status == 408:
            return Outcome("408")
    return wrong("still open")


def _unread(url: str, count: int) -> Trial:
    """Ask for more than fits between the two, and do not take it."""
    request = bytes(
        Request("/qa/playground/assets/index-400979f0.js", method="GET", headers={"Connection": "keep-alive"})
    )
    with ExitStack() as opened:
        stalled = [opened.enter_context(connected(url)) for _ in range(count)]
        for connection in stalled:
            connection.sendall(request * 6)
        well = is_well(url)
        time.sleep(3 * SECONDS)
        outcomes = [_broken(connection) for connection in stalled]
    outcomes.append(Outcome("others answered meanwhile") if well else wrong("others not answered"))
    return trial(f"answers of megabytes that nobody takes, {count} at once", outcomes)


def _broken(connection: socket.socket) -> Outcome:
    reply = received(connection)
    return Outcome("dropped") if reply.is_closed and len(reply.raw) < 6 * 1_300_000 else wrong("kept for the client")


def _crowd(url: str, most: int) -> Trial:
    """Open several times the connections that there may be, and see that a new one is answered all the same."""
    with ExitStack() as opened:
        outcomes: list[Outcome] = []
        for _ in range(3 * most):
            opened.enter_context(connected(url))
            if len(outcomes) < 20:
                reply = send(url, of_json("/ask", {"question": " "}))
                outcomes.append(Outcome("others answered") if reply.status == 422 else wrong("others not answered"))
        outcomes.append(Outcome("others answered") if is_well(url) else wrong("others not answered"))
    return trial(f"{3 * most} idle connections where {most} may be", outcomes)
