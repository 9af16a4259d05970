"""Many clients at one server, with a model that takes a fixed time: what the server adds, and whether shares are fair.

A call's added latency is what is left of a question's time, as its client sees it, without the calls' own time and
without their waiting for the calls of others (which the header Server-Timing tells), divided by their number.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY = 0.05
PLACES = 2
QUESTIONS = ("镇上的钟楼是谁设计的？", "毛一清的出生地是哪里？")
SECONDS_TO_SETTLE = 2.0


@dataclass
class Figures:
    """What the clients and the server's process have shown.

    Attributes:
        added: Added latency of a call in milliseconds, of each question.
        answered: Questions answered, by client.
        errors: What went wrong.
        memory: The server's resident memory in MB, each second.
        left: Questions whose client went half-way.
    """

    added: list[float] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    left: int = 0


def serve() -> None:
    """Serve a town's chronicle with a model that makes no mistakes, until killed."""
    from chronicle import chronicle  # noqa: PLC0415 - needed in the server's process alone
    from command_line import BIRTH_FACT, EXPERT, TOWN_FACT  # noqa: PLC0415
    from langchain_core.documents import Document  # noqa: PLC0415
    from scripted import RuleChatModel  # noqa: PLC0415

    from langchain_qwen_longctx.config import LongContextConfig  # noqa: PLC0415
    from langchain_qwen_longctx.listening import listen, url_of, web_server  # noqa: PLC0415
    from langchain_qwen_longctx.server import ServerSettings, create_app  # noqa: PLC0415

    class ForgetfulModel(RuleChatModel):
        """Does not remember what it was told: memory is under test."""

        def _reply(self, messages: object) -> str | BaseException:
            self._history.clear()
            return super()._reply(messages)  # type: ignore[arg-type]

    app = create_app(
        model=ForgetfulModel(respond=EXPERT, latency=LATENCY),
        documents=[Document(chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT}), metadata={"source": "chronicle.txt"})],
        config=LongContextConfig(concurrency=PLACES),
        settings=ServerSettings(api_keys=tuple(f"client-{number}" for number in range(1000))),
    )
    with listen("127.0.0.1", 0) as listener:
        print(url_of(listener), flush=True)  # noqa: T201 - for the parent
        web_server(app).run(sockets=[listener])


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Start the server in a process of its own, and yield its address and number."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait()


async def ask_on(url: str, name: str, until: float, figures: Figures) -> None:
    """Ask one question after another."""
    async with httpx.AsyncClient(base_url=url, timeout=60, headers={"Authorization": f"Bearer {name}"}) as client:
        figures.answered[name] = 0
        while (began := time.perf_counter()) < until:
            question = {"question": random.choice(QUESTIONS), "level": "retrieve"}
            try:
                answer = await client.post("/ask", json=question)
                answer.raise_for_status()
                result = answer.json()
            except (httpx.HTTPError, ValueError) as error:
                figures.errors.append(repr(error))
                continue
            took = time.perf_counter() - began
            if not result["found"]:
                figures.errors.append(f"not found: {result['answer']}")
            spent = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
            calls = result["usage"]["model_calls"]
            figures.added.append((took * 1000 - float(spent["queue"]) - calls * LATENCY * 1000) / calls)
            figures.answered[name] += 1


async def leave_on(url: str, until: float, figures: Figures) -> None:
    """Ask a question each second, and go half-way."""
    headers = {"Authorization": "Bearer client-999", "Accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as client:
        while time.perf_counter() < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await client.post("/ask", json={"question": QUESTIONS[0], "level": "read"})
            figures.left += 1


async def weigh_on(pid: int, until: float, figures: Figures) -> None:
    """Note the server's memory each second."""
    while time.perf_counter() < until:
        figures.memory.append(resident_megabytes(pid))
        await asyncio.sleep(1)


def resident_megabytes(pid: int) -> float:
    """Return how much memory a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def load(url: str, pid: int, clients: int, seconds: float, *, with_leaver: bool) -> Figures:
    """Let so many clients ask for so long."""
    figures, until = Figures(), time.perf_counter() + seconds
    tasks = [ask_on(url, f"client-{number}", until, figures) for number in range(clients)]
    if with_leaver:
        tasks.append(leave_on(url, until, figures))
    await asyncio.gather(*tasks, weigh_on(pid, until, figures))
    return figures


def report(title: str, figures: Figures, seconds: float) -> None:
    """Print the figures."""
    added = statistics.quantiles(figures.added, n=100)
    shares = sorted(figures.answered.values())
    quarter = max(1, len(figures.memory) // 4)
    first, last = (
        statistics.median(figures.memory[span]) for span in (slice(quarter, 2 * quarter), slice(-quarter, None))
    )
    said = [
        title,
        f"  {len(figures.added)} answers in {seconds:.0f} s; errors: {len(figures.errors)}, left: {figures.left}",
        f"  added latency per call: median {added[49]:.1f} ms, p95 {added[94]:.1f} ms, p99 {added[98]:.1f} ms",
        f"  answers per client: {shares[0]} to {shares[-1]}",
        f"  memory: {first:.0f} MB in the second quarter, {last:.0f} MB in the last",
        *(f"  {error}" for error in sorted(set(figures.errors))[:5]),
    ]
    print("\n".join(said))  # noqa: T201 - its purpose


def main() -> None:
    """Run the load without and with a client that leaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    for title, with_leaver in (("all stay", False), ("one leaves half-way each second", True)):
        with server() as (url, pid):
            asyncio.run(load(url, pid, arguments.clients, SECONDS_TO_SETTLE, with_leaver=False))
            figures = asyncio.run(load(url, pid, arguments.clients, arguments.seconds, with_leaver=with_leaver))
        report(title, figures, arguments.seconds)


if __name__ == "__main__":
    main()
