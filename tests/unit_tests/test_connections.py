"""What becomes of a connection that keeps the web server waiting."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from serving import serving
from waiting import PATIENCE, until

from langchain_qwen_longctx import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE = 20_000_000


@pytest.fixture
def url() -> Iterator[str]:
    app = FastAPI()

    @app.get("/large", response_class=PlainTextResponse)
    async def large() -> str:
        return "x" * LARGE

    @app.get("/small")
    async def small() -> str:
        return "x"

    with serving(app) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        yield connection


def is_closed(connection: socket.socket) -> bool:
    """Wait until it is, taking what is sent up to then."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: he", REQUEST.replace(b"large", b"small") + b"GET"])
def test_one_that_sends_no_whole_request_is_closed(monkeypatch: pytest.MonkeyPatch, url: str, sent: bytes) -> None:
    monkeypatch.setattr(connections, "SECONDS_TO_ASK", 0.1)
    with connected(url) as connection:
        connection.sendall(sent)

        assert is_closed(connection)
    assert httpx.get(f"{url}/small").status_code == 200


def is_reset(connection: socket.socket) -> bool:
    try:
        connection.send(b" ")
    except ConnectionError:
        return True
    return False


def test_one_that_does_not_take_its_answer_is_closed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(connections, "SECONDS_TO_TAKE", 0.1)
    with connected(url) as connection:
        connection.sendall(REQUEST)

        until(lambda: is_reset(connection))


def test_one_that_takes_its_answer_slowly_is_not(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(connections, "SECONDS_TO_ASK", 0.1)
    received = 0
    with connected(url) as connection:
        connection.sendall(REQUEST)
        time.sleep(0.5)
        while received < LARGE and (data := connection.recv(65536)):
            received += len(data)

    assert received >= LARGE


def test_the_one_that_has_waited_the_longest_makes_room(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    with ExitStack() as opened:
        first, *others = (opened.enter_context(connected(url)) for _ in range(4))

        assert is_closed(first)
        for connection in others:
            connection.sendall(REQUEST.replace(b"large", b"small"))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
