"""Clients who want what is not theirs: files of the machine, other addresses, the documents of others, an answer."""

from __future__ import annotations

import base64
import json
import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hostile_documents import luring_files
from hostile_server import ASKED, JSON_ROUTES, REFUSED, SOURCE, Expected, attempt, is_well, to_route, town
from outcomes import Outcome, trial, wrong
from raw_http import Request, of_file, of_json, of_parts, send, text_of

from langchain_qwen_longctx.server import ServerSettings
from langchain_qwen_longctx.uploads import UploadLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials import Trial

SECRET: Final = b"s3cret-of-the-machine"
KEY: Final = "anna-" + "0123456789abcdef" * 2

STEPS: Final = (
    "../",
    "..%2f",
    "%2e%2e/",
    "%252e%252e%252f",
    "..\\",
    "..%5c",
    "....//",
    "..;/",
    "%c0%ae%c0%ae/",
    "..%00/",
)
FOLDERS: Final = (
    "/page/",
    "/qa/playground/",
    "/read/playground/assets/",
    "/collections/",
    "/collections/served/",
    "/v1/",
    "/",
)
GOALS: Final = ("etc/passwd", "server.py", "proc/self/environ")

OUR_SIDE: Final = frozenset({200, 201, 307, *REFUSED})


class Ear:
    """Hears which files this process opens and which addresses it calls, as far as it listens.

    Python cannot take such a hook out again, so there is one, which is mostly deaf.
    """

    def __init__(self) -> None:
        self.is_listening = False
        self.heard: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_listening and event in {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"}:
            self.heard.append(f"{event} {arguments}")


_EARS: Final[list[Ear]] = []


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield what is heard meanwhile."""
    if not _EARS:
        _EARS.append(Ear())
    ear = _EARS[0]
    ear.heard, ear.is_listening = [], True
    try:
        yield ear.heard
    finally:
        ear.is_listening = False


@contextmanager
def lure() -> Iterator[tuple[str, Path, list[bytes]]]:
    """Yield an address and a file that nothing should go to, and whoever came to the address nevertheless."""
    caught: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        path = Path(folder) / "lure.txt"
        path.write_bytes(SECRET)

        def catch() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    caught.append(connection.recv(1000))

        thread = Thread(target=catch)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/lure", path, caught
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def try_access(url: str, *, is_short: bool) -> Iterator[Trial]:
    """Try to get at all of that."""
    yield _paths(url, is_short=is_short)
    yield _lures(url, is_short=is_short)
    yield from _collections(url)
    yield from _keys()
    yield from _sites()


def _paths(url: str, *, is_short: bool) -> Trial:
    depths = (1, 9) if is_short else range(1, 10)
    targets = [f"{folder}{step * depth}{goal}" for folder, step, depth, goal in product(FOLDERS, STEPS, depths, GOALS)]
    chosen = targets[:: 7 if is_short else 1]
    outside = [Request(target, method="GET") for target in chosen]
    named = ["/etc/passwd", "file:///etc/passwd", f"../{SOURCE}", f"{SOURCE}\0", f"./{SOURCE}", SOURCE.upper() + " "]
    passages = [f"/collections/served/passage?start=0&end=4&source={quote(name)}" for name in named]
    refused = Expected(REFUSED - {401, 403}, unspoken=b"root:")
    with listening() as heard:
        outcomes = [attempt(url, r, refused) for r in [*outside, *(Request(p, method="GET") for p in passages)]]
    outcomes += [wrong(what) for what in heard if any(goal in what for goal in GOALS)]
    return trial("paths out of every folder, in ten spellings", outcomes)


def _lures(url: str, *, is_short: bool) -> Trial:
    with lure() as (address, path, caught):
        lures = [address, path.as_uri(), str(path), address.replace("http", "ftp"), rf"\\127.0.0.1\{path.name}"]
        requests = [request for each in lures[: 2 if is_short else None] for request in _luring(each)]
        expected = Expected(OUR_SIDE, unspoken=SECRET)
        with listening() as heard:
            outcomes = [attempt(url, request, expected) for request in requests[:: 4 if is_short else 1]]
            outcomes += _read_out(url, of_parts(of_file(*file) for file in luring_files(address, path)))
        port = url.rpartition(":")[2]
        calls = [what for what in heard if what.startswith("socket.connect ") and f", {port})" not in what]
        opened = [what for what in heard if path.name in what]
        outcomes += [wrong(str(what)) for what in [*calls, *opened, *caught]]
        # Whether it would have been noticed at all.
        socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))).close()
        path.read_bytes()
        deadline = time.monotonic() + 10
        while not caught and time.monotonic() < deadline:
            time.sleep(0.01)
        if not caught:
            outcomes.append(wrong("the lure is deaf"))
    return trial(
        "addresses and paths in every field, and in uploaded documents: nothing opened, nothing called", outcomes
    )


def _read_out(url: str, upload: Request) -> Iterator[Outcome]:
    """Upload documents, and look for what should not have come into their text."""
    told = text_of(send(url, upload))
    for document in told["documents"]:
        where = f"source={quote(document['source'])}&start=0&end={document['characters']}"
        request = Request(f"/collections/{told['id']}/passage?{where}", method="GET")
        yield attempt(url, request, Expected({200}, unspoken=SECRET))
    send(url, Request(f"/collections/{told['id']}", method="DELETE"))


def _luring(lured: str) -> Iterator[Request]:
    fields: list[dict[str, Any]] = [
        {**ASKED, "question": f"钟楼 {lured} 说了什么？"},
        {**ASKED, "collection": lured},
        {
            **ASKED,
            "history": [{"type": "human", "content": [{"type": "image_url", "image_url": {"url": lured}}, lured]}],
        },
        {**ASKED, "documents": lured, "model": lured, "base_url": lured, "retriever": lured, "cache": lured},
    ]
    for route, question in product(JSON_ROUTES, fields):
        yield of_json(route, to_route(route, question))
    for route in JSON_ROUTES[1:6]:
        yield of_json(route, to_route(route, ASKED, config={"configurable": {"base_url": lured}, "callbacks": [lured]}))
    for image in ({"type": "image_url", "image_url": {"url": lured}}, {"type": "file", "file": {"file_id": lured}}):
        yield of_json("/v1/chat/completions", {"messages": [{"role": "user", "content": [image]}]})
    yield of_parts([of_file(lured, b"A text of no interest.")])
    yield of_json("/collections", {"files": [lured], "url": lured})
    yield Request(f"/collections/{quote(lured, safe='')}", method="GET")
    yield Request(f"/collections/served/passage?source={quote(lured)}&start=0&end=4", method="GET")
    yield Request("/info", method="GET", headers={"X-Forwarded-Host": lured, "Referer": lured, "X-Original-URL": lured})
    yield Request(lured, method="GET")


def _collections(url: str) -> Iterator[Trial]:
    made = text_of(send(url, of_parts([of_file("own.txt", SECRET + b" is what it says.")])))["id"]
    near = [
        made.swapcase(), made[:-1], made + "A", f" {made}", f"{made}/", f"{made}%00", made[::-1], f"{made}%20",
        f"{made}.", f"served/{made}", "", "*", "%", "..", "0", "null", "None", "undefined", "true", "SERVED", "served/",
        "served%20", base64.urlsafe_b64encode(bytes(16)).decode().rstrip("="), "'; drop table collections; --",
    ]  # fmt: skip
    expected = Expected(OUR_SIDE - {200, 201}, unspoken=SECRET)
    outcomes = [
        attempt(url, request, expected)
        for name in near
        for request in (
            Request(f"/collections/{quote(name, safe='%')}/passage?source=own.txt&start=0&end=10", method="GET"),
            of_json("/ask", {**ASKED, "collection": name or " "}),
            of_json("/qa/stream", {"input": {**ASKED, "collection": name or " "}}),
            of_json("/v1/chat/completions", to_route("/v1/chat/completions", {**ASKED, "collection": name or " "})),
        )
    ]
    for request in (
        Request("/collections", method="GET"),
        Request("/metrics", method="GET"),
        Request("/info", method="GET"),
    ):
        reply = send(url, request)
        outcomes.append(wrong(f"{request.path} tells of it") if made.encode() in reply.raw else Outcome("untold"))
    yield trial("collections of others: names near theirs, lists, guesses", outcomes)
    send(url, Request(f"/collections/{made}", method="DELETE"))
    yield trial("a collection after its removal", _gone(url, made))
    with town(ServerSettings(upload=UploadLimits(lifetime_seconds=0.2))) as short_lived:
        made = text_of(send(short_lived, of_parts([of_file("own.txt", SECRET)])))["id"]
        time.sleep(0.3)
        yield trial("a collection after its time", _gone(short_lived, made))


def _gone(url: str, name: str) -> list[Outcome]:
    gone = Expected({404}, unspoken=SECRET)
    return [
        attempt(url, Request(f"/collections/{name}", method="GET"), gone),
        attempt(url, Request(f"/collections/{name}", method="DELETE"), gone),
        attempt(url, Request(f"/collections/{name}/passage?source=own.txt&start=0&end=5", method="GET"), gone),
        *(attempt(url, of_json(r, to_route(r, {**ASKED, "collection": name})), gone) for r in JSON_ROUTES),
    ]


def _keys() -> Iterator[Trial]:
    given: list[str | None] = [
        None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer {KEY[:-1]}", f"Bearer {KEY}x",
        f"Bearer {KEY.upper()}",
        f"Bearer {KEY} x", f"Bearer x {KEY}", f"Bearer {'x' * 15_000}", "Bearer \xe9\xff", "Bearer *", "Bearer null",
        f'Bearer "{KEY}"', f"Bearer,{KEY}", f"Digest {KEY}", f"Bearer {KEY}, Bearer ben",
    ]  # fmt: skip
    closed = [("/ask", "POST"), ("/info", "GET"), ("/metrics", "GET"), ("/openapi.json", "GET"), ("/qa/invoke", "POST")]
    closed += [
        ("/collections", "POST"),
        ("/collections/served", "GET"),
        ("/v1/models", "GET"),
        ("/qa/playground/", "GET"),
    ]
    closed += [("/page/../info", "GET"), ("/page/%2e%2e/info", "GET"), ("//info", "GET"), ("/health/../info", "GET")]
    closed += [("/INFO", "GET"), ("/info/", "GET"), (f"/info?key={KEY}", "GET"), (f"/info?api_key={KEY}", "GET")]
    refused = Expected({401, 404}, unspoken=SOURCE.encode())
    with town(ServerSettings(api_keys=(KEY, "ben"))) as url:
        body = json.dumps(ASKED).encode()
        outcomes = [
            attempt(url, Request(path, body if method == "POST" else None, method, {"Authorization": key}), refused)
            for key in given
            for path, method in closed
        ]
        elsewhere = [{"X-Api-Key": KEY}, {"Cookie": f"key={KEY}"}, {"Proxy-Authorization": f"Bearer {KEY}"}]
        outcomes += [attempt(url, Request("/info", method="GET", headers=headers), refused) for headers in elsewhere]
        outcomes.append(Outcome("let in with it") if is_well(url, KEY) else wrong("not let in with the key"))
    yield trial("without the key, with one nearly right, in the address, a cookie, another scheme", outcomes)


def _sites() -> Iterator[Trial]:
    hosts = [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1@evil.example",
        "", "127.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost,evil.example",  # noqa: S104 - a name
        "LOCALHOST.", "127.0.0.1/x",
    ]  # fmt: skip
    foreign: list[dict[str, str | None]] = [
        {"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "x", "NONE")
    ]
    foreign += [
        {"Origin": origin}
        for origin in ("http://evil.example", "null", "", "http://127.0.0.1:1", "http://localhost", "127.0.0.1")
    ]
    foreign.append({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"})
    with town(ServerSettings(allowed_hosts=("localhost", "127.0.0.1", "[::1]"))) as url:
        rebound = Expected({400}, unspoken=SOURCE.encode())
        outcomes = [attempt(url, Request("/info", method="GET", headers={"Host": host}), rebound) for host in hosts]
        yield trial("a name that a web site points here", outcomes)
        own: list[dict[str, str | None]] = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
        own.append({"Origin": "http://127.0.0.1"})
        outcomes = [
            attempt(url, of_json(route, to_route(route, ASKED), **headers), Expected({403}))
            for route in (*JSON_ROUTES, "/collections")
            for headers in foreign
        ]
        outcomes += [attempt(url, Request("/collections/x", None, "DELETE", h), Expected({403})) for h in foreign]
        outcomes += [attempt(url, of_json("/ask", ASKED, **headers), Expected({200})) for headers in own]
        yield trial("the page of another site asks, uploads or removes", outcomes)
