"""More of everything than there is room for: questions, batches, names, clients that go at once."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from command_line import EXPERT
from hostile_server import ASKED, JSON_ROUTES, SMALL, is_well, to_route, town
from outcomes import Outcome, trial, wrong
from raw_http import Request, connected, of_file, of_json, of_parts, send, text_of
from waiting import PATIENCE, until

from langchain_qwen_longctx import langserve_routes
from langchain_qwen_longctx.server import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage
    from raw_http import Reply
    from trials import Trial

ANNA, BEN = "anna-0123456789", "ben-0123456789"
MEGABYTES: Final = 60.0
"""By which memory may grow from one round of everything to the next, once two are over."""


class Slow:
    """Something that takes its time, and counts how often."""

    def __init__(self, seconds: float) -> None:
        self.calls = 0
        self._seconds = seconds
        self._lock = Lock()

    def wait(self) -> None:
        with self._lock:
            self.calls += 1
        time.sleep(self._seconds)

    def respond(self, messages: Sequence[BaseMessage]) -> str | BaseException:
        self.wait()
        return EXPERT(messages)


def try_floods(*, is_short: bool) -> Iterator[Trial]:
    """Send all of it."""
    count = 40 if is_short else 400
    settings = ServerSettings(api_keys=(ANNA, BEN), max_requests=16, upload=SMALL)
    with town(settings, Slow(0.02).respond) as url, ThreadPoolExecutor(count) as pool:
        flood = [pool.submit(send, url, _asked(ANNA), timeout=PATIENCE) for _ in range(count)]
        wells = [_well_within(url, BEN, 10.0) for _ in range(5)]
        yield trial(f"{count} questions of one client at once", [*(_taken(f.result()) for f in flood), *wells])
        questions = 10 if is_short else langserve_routes.MAX_BATCH
        batch = of_json("/qa/batch", {"inputs": [ASKED] * questions}, Authorization=f"Bearer {ANNA}")
        batches = [pool.submit(send, url, batch, timeout=PATIENCE) for _ in range(4)]
        wells = [_well_within(url, BEN, 10.0) for _ in range(5)]
        yield trial(f"four batches of {questions} questions at once", [*(_taken(b.result()) for b in batches), *wells])
        yield trial(f"{count} clients that ask, and go at once", _abandoned(url, count))
        yield trial(f"{count} names, keys and addresses that nobody knows", _named(url, count))
    yield _ready(count)
    yield _rounds(is_short=is_short)


def _asked(key: str, **question: object) -> Request:
    return of_json("/ask", {**ASKED, **question}, Authorization=f"Bearer {key}")


def _taken(reply: Reply) -> Outcome:
    if reply.status == 200:
        return Outcome("200")
    is_told = reply.status == 503 and "retry-after" in reply.headers
    return Outcome("503, come again") if is_told else wrong(f"{reply.status} {reply.body[:80]!r}")


def _well_within(url: str, key: str, seconds: float) -> Outcome:
    began = time.monotonic()
    if not is_well(url, key):
        return wrong("another client not answered")
    took = time.monotonic() - began
    return Outcome("others answered") if took < seconds else wrong(f"another client answered after {took:.1f} s")


def _abandoned(url: str, count: int) -> Iterator[Outcome]:
    for number in range(count):
        streamed = "text/event-stream" if number % 2 else None
        request = of_json("/ask", {**ASKED, "level": "reason"}, Authorization=f"Bearer {ANNA}", Accept=streamed)
        with connected(url) as connection:
            connection.sendall(bytes(request))
    until(lambda: "\nlongctx_questions_under_way 0.0\n" in _figures(url))
    yield Outcome("none left under way")
    yield _well_within(url, ANNA, 10.0)


def _named(url: str, count: int) -> Iterator[Outcome]:
    before = _series(url)
    for number in range(count):
        name = f"nobody-{number}"
        send(url, _asked(ANNA, collection=name))
        send(url, _asked(name))
        send(url, Request(f"/collections/{name}", None, "GET", {"Authorization": f"Bearer {ANNA}", "User-Agent": name}))
        send(url, Request(f"/{name}", None, "GET", {"Authorization": f"Bearer {ANNA}", "X-Forwarded-For": name}))
    after = _series(url)
    yield Outcome("no new figure") if after == before else wrong(f"{len(after - before)} new figures: {after - before}")


def _series(url: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in _figures(url).splitlines() if not line.startswith("#")}


def _figures(url: str) -> str:
    return send(url, Request("/metrics", None, "GET", {"Authorization": f"Bearer {BEN}"})).body.decode()


def _ready(count: int) -> Trial:
    """Ask whether the model is there, which needs no key and calls it."""
    checks = Slow(0.2)
    with town(ServerSettings(api_keys=(ANNA,)), check=checks.wait) as url, ThreadPoolExecutor(count) as pool:
        began = time.monotonic()
        asked = [pool.submit(send, url, Request("/ready", method="GET"), timeout=PATIENCE) for _ in range(count)]
        well = _well_within(url, ANNA, 10.0)
        replies = [each.result() for each in asked]
        most = (time.monotonic() - began) / 0.2 + 1
    outcomes = [Outcome("200") if reply.status == 200 else wrong(f"{reply.status}") for reply in replies]
    outcomes.append(Outcome("one check at a time") if checks.calls <= most else wrong(f"{checks.calls} checks"))
    return trial(f"{count} ask whether it is ready, without a key", [*outcomes, well])


def _rounds(*, is_short: bool) -> Trial:
    """Do everything that may leave something behind, again and again, and weigh the process."""
    rounds = 3 if is_short else 8
    with town(ServerSettings(upload=SMALL)) as url:
        weights = []
        for _ in range(rounds):
            _one_round(url, 4 if is_short else 60)
            weights.append(_megabytes())
        well = is_well(url)
    outcomes = [
        Outcome(f"less than {MEGABYTES:g} MB more")
        if after - before < MEGABYTES
        else wrong(f"{after - before:.0f} MB more")
        for before, after in pairwise(weights[1:])
    ]
    return trial("everything again and again", [*outcomes, Outcome("well") if well else wrong("not well")])


def _one_round(url: str, times: int) -> None:
    text = b"The tide stood at four feet. " * 3000
    for number in range(times):
        made = send(url, of_parts([of_file("note.txt", text)]))
        if made.status == 201:
            send(url, Request(f"/collections/{text_of(made)['id']}", method="DELETE"))
        route = JSON_ROUTES[number % len(JSON_ROUTES)]
        send(url, of_json(route, to_route(route, {**ASKED, "max_seconds": 10 + number})))
        send(url, Request(route, b"[" * 100_000))
        send(url, Request(route, b'{"question": "' + b"x" * 900_000))
        with ExitStack() as opened:
            for _ in range(5):
                opened.enter_context(connected(url)).sendall(bytes(of_json(route, to_route(route, ASKED))))


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
