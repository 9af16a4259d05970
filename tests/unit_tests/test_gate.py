"""What the server refuses before anything is done, and what it takes only so much of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.testclient import TestClient

from langchain_qwen_longctx import gate
from langchain_qwen_longctx.fair_sharing import Turnstile
from langchain_qwen_longctx.gate import MAX_BODY_BYTES, Body, Gate, Room

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.types import Message

LARGEST = 3_000_000


def gated(*keys: str, max_requests: int = 64) -> FastAPI:
    app = FastAPI()

    @app.post("/length")
    @app.post("/collections")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.post("/hold")
    async def hold(request: Request) -> None:
        await request.body()
        await app.state.held.wait()
        await app.state.let_go.wait()

    @app.get("/playground/")
    async def playground() -> str:
        return "x"

    app.add_middleware(Gate, turnstile=Turnstile(1), api_keys=keys, max_upload_bytes=LARGEST, max_requests=max_requests)
    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(gated())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://testserver:8001"}, 403),
        ({"Origin": "null"}, 403),
        # Behind a proxy with TLS, which passes on another host, a browser of today tells it by this.
        ({"Origin": "https://documents.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_the_page_of_another_site_is_refused_by_what_its_browser_says(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.post("/length", headers=headers).status_code == status


def test_a_request_with_two_lengths_is_refused_and_its_connection_closed(client: TestClient) -> None:
    answer = client.post("/length", content=b"abc", headers={"Transfer-Encoding": "chunked", "Content-Length": "3"})

    assert answer.status_code == 400
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", "", "\xb2"])
def test_a_length_that_is_none_does_not_stop_the_server(client: TestClient, length: str) -> None:
    assert client.post("/length", content=b"abc", headers={b"Content-Length": length.encode("latin-1")}).json() == 3


@pytest.mark.parametrize("length", [str(LARGEST + 1), "9" * 5000])
def test_a_length_that_is_too_large_is_refused_at_once(client: TestClient, length: str) -> None:
    assert client.post("/collections", headers={"Content-Length": length}).status_code == 413


def test_a_question_has_less_room_than_an_upload(client: TestClient) -> None:
    body = b"x" * (MAX_BODY_BYTES + 1)

    assert client.post("/collections", content=body).json() == len(body)
    assert client.post("/length", content=body).status_code == 413
    assert client.post("/length", content=iter([body])).status_code == 413


def test_every_response_tells_a_browser_to_do_nothing_with_it(client: TestClient) -> None:
    for answer in (client.post("/length"), client.get("/nowhere"), client.post("/length", headers={"Origin": "null"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cache-control"] == "no-store"
    assert "connect-src 'self'" in client.get("/playground/").headers["content-security-policy"]


async def test_one_key_leaves_half_of_the_places_to_the_others() -> None:
    app = gated("anna", "ben", max_requests=4)
    app.state.held, app.state.let_go = asyncio.Barrier(3), asyncio.Event()
    transport = httpx.ASGITransport(app)
    anna, ben = ({"Authorization": f"Bearer {key}"} for key in ("anna", "ben"))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        held = [asyncio.create_task(client.post("/hold", headers=anna)) for _ in range(2)]
        await app.state.held.wait()
        third = await client.post("/length", headers=anna)
        other = await client.post("/length", headers=ben)
        app.state.let_go.set()
        await asyncio.gather(*held)
        later = await client.post("/length", headers=anna)

    assert third.status_code == 503
    assert third.json()["detail"] == "2 requests are under way, 2 of them yours; try again in 5 seconds"
    assert third.headers["retry-after"] == "5"
    assert (other.status_code, later.status_code) == (200, 200)


async def test_a_request_that_only_drips_takes_no_place_from_others() -> None:
    are_dripping, go_on = asyncio.Barrier(4), asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        await are_dripping.wait()
        await go_on.wait()
        yield b"a"

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(gated(max_requests=2)), base_url="http://here"
    ) as client:
        dripping = [asyncio.create_task(client.post("/length", content=drip())) for _ in range(3)]
        await are_dripping.wait()
        other = await client.post("/length")
        go_on.set()
        await asyncio.gather(*dripping)

    assert other.status_code == 200


def body(receive: Any, room: Room | None = None) -> Body:  # noqa: ANN401 - ASGI's receive
    return Body(receive, 100, room or Room(100), lambda: None)


class TestBody:
    async def test_several_have_so_much_room_together_until_they_leave(self) -> None:
        room = Room(10)
        first, second, third = (body(sender([b"x" * 6]), room) for _ in range(3))
        await first.receive()
        with pytest.raises(HTTPException, match="too much is sent at once") as caught:
            await second.receive()

        first.leave()
        second.leave()

        assert (caught.value.status_code, caught.value.headers) == (503, {"Retry-After": "5"})
        assert (await third.receive())["body"] == b"x" * 6

    async def test_one_that_comes_too_slowly_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "SECONDS_FOR_BODY", 0.05)
        dripping = body(sender([b"x"]))
        await dripping.receive()

        with pytest.raises(HTTPException, match="is not whole after") as caught:
            await dripping.receive()

        assert caught.value.status_code == 408

    async def test_one_that_is_large_has_more_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "SECONDS_FOR_BODY", 0.05)
        monkeypatch.setattr(gate, "BYTES_PER_SECOND", 1)
        large = body(sender([b"x" * 60, b"y"], pause=0.1))

        assert [(await large.receive())["body"] for _ in range(2)] == [b"x" * 60, b"y"]


def sender(pieces: Sequence[bytes], pause: float = 0.0) -> Any:  # noqa: ANN401 - ASGI's receive
    """Return what hands out pieces of a body that never ends, with a pause before each but the first."""
    left = list(pieces)

    async def receive() -> Message:
        await asyncio.sleep(pause if len(left) < len(pieces) else 0)
        if not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return receive
