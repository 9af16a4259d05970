"""Commands that are killed at any moment, and several at once over the same kept files."""

from __future__ import annotations

import random
import re
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx
from chronicle import chronicle
from command_line import BIRTH_FACT, FOLLOW_UP, TOWN_FACT, TOWN_QUESTION
from outcomes import Outcome, trial, wrong
from shell_commands import Command, run_to_its_end
from transport_server import MODEL, Fault, ModelServer, Wire

from langchain_qwen_longctx import BilingualBM25Retriever

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trials import Trial

ANSWER, FOLLOW_UP_ANSWER = "毛一清", "岭下村"
FULLY: Final = ("--level", "read", "--coverage", "full")
AT_ONCE: Final = 2
"""Readings that a command has under way at once, and may lose when it is killed."""


def unhurried(wire: Wire) -> None:
    """Answer like a model that takes a moment, so that a command can be killed during a call."""
    wire.wait(0.05)
    wire.deliver()


@dataclass(frozen=True)
class Desk:
    """What commands work with.

    Attributes:
        server: The model's server.
        documents: A folder of four documents, one of which is about the town.
        kept: The folder of what is kept.
    """

    server: ModelServer
    documents: Path
    kept: Path

    @property
    def options(self) -> list[str | Path]:
        """What tells a command of server and folder."""
        return ["--model", f"ollama:{MODEL}", "--base-url", self.server.url, "--cache-dir", self.kept]

    @property
    def asking(self) -> list[str | Path]:
        """A command that reads all documents for a question."""
        return ["ask", *FULLY, *self.options, TOWN_QUESTION, self.documents]

    @property
    def asking_notes(self) -> list[str | Path]:
        """The same for notes."""
        return ["notes", *FULLY, *self.options, self.documents, TOWN_QUESTION]

    @property
    def talking(self) -> list[str | Path]:
        """A conversation that is kept."""
        return ["chat", "--thread", "a", "--level", "retrieve", *self.options, self.documents]

    @property
    def indexing(self) -> list[str | Path]:
        """A command that only indexes the documents."""
        return ["index", "--cache-dir", self.kept, self.documents]


@contextmanager
def desk(size: int = 6, fault: Fault = unhurried) -> Iterator[Desk]:
    """Yield a desk with nothing kept yet; the documents have so many paragraphs each, of 150 tokens."""
    with tempfile.TemporaryDirectory() as folder, ModelServer(lambda _: fault) as server:
        documents = Path(folder) / "documents"
        documents.mkdir()
        (documents / "镇志.txt").write_text(chronicle(size, {1: TOWN_FACT, size - 2: BIRTH_FACT}), "utf-8")
        for number in range(3):
            (documents / f"另一卷 {number}.md").write_text(chronicle(size, {}, seed=number), "utf-8")
        yield Desk(server, documents, Path(folder) / "kept")


Attempt: TypeAlias = "Callable[[Desk, float], Outcome]"
"""Lets a command die after so many seconds, and looks at what the same one does then."""


def trials(*, is_short: bool) -> Iterator[Trial]:
    """Try it."""
    dice = random.Random(5)
    for case, like, attempt, tries in (
        ("index, killed", "indexing", kill_index, 60),
        ("ask, killed", "asking", kill_asking, 60),
        ("notes, killed", "asking_notes", kill_notes, 40),
        ("a conversation, killed", "talking", kill_conversation, 30),
        ("serve, killed", "asking", kill_server, 20),
    ):
        longest = 0.5 if is_short else seconds(like)
        delays = [dice.uniform(0, longest) for _ in range(1 if is_short else tries)]
        yield trial(case, (at_a_desk(attempt, delay) for delay in delays))
    for processes in (2,) if is_short else (2, 4):
        for case, command in (("index", "indexing"), ("ask", "asking"), ("notes", "asking_notes")):
            if not is_short or case == "ask":
                rounds = range(1 if is_short else 10)
                yield trial(f"{processes} times {case} at once", (at_once(command, processes) for _ in rounds))


def seconds(command: str) -> float:
    """Return how long a command takes that is let live."""
    with desk() as at:
        began = time.monotonic()
        run_to_its_end(*getattr(at, command), stdin=f"{TOWN_QUESTION}\n")
        return time.monotonic() - began


def at_a_desk(attempt: Attempt, delay: float) -> Outcome:
    """Make an attempt at a desk of its own."""
    with desk() as at:
        return attempt(at, delay)


def kill_index(at: Desk, delay: float) -> Outcome:
    """Kill an indexing, and index again."""
    command = Command(*at.indexing)
    time.sleep(delay)
    command.kill()
    left = len(list(at.kept.rglob("*.part")))
    again = run_to_its_end(*at.indexing)
    if again.is_fault or again.code:
        return wrong(f"{again}")
    for path in at.kept.rglob("*.safetensors"):
        BilingualBM25Retriever.load(path)
    unchanged = run_to_its_end(*at.indexing)
    if "(4 unchanged)" not in unchanged.err:
        return wrong(f"{unchanged}")
    return Outcome("complete the second time" + (", half a file lies about for an hour" if left else ""))


def kill_asking(at: Desk, delay: float) -> Outcome:
    """Kill a question, and ask it again."""
    return kill_question(at, at.asking, delay)


def kill_notes(at: Desk, delay: float) -> Outcome:
    """Kill a question to notes, and ask it again."""
    return kill_question(at, at.asking_notes, delay)


def kill_question(at: Desk, question: list[str | Path], delay: float) -> Outcome:
    """Kill a command that asks, and let the same one come to its end."""
    command = Command(*question)
    time.sleep(delay)
    command.kill()
    return settle(at, lambda: run_to_its_end(*question).out, ANSWER)


def settle(at: Desk, ask: Callable[[], str], answer: str) -> Outcome:
    """Ask again, and see whether the answer is right and what has been paid for is still there."""
    paid = set(at.server.answered)
    at.server.set_fault(lambda _: None)
    said = ask()
    if answer not in said:
        return wrong(f"no answer the second time, but {said!r}")
    again = len(paid & set(at.server.asked))
    if again > AT_ONCE:
        return wrong(f"{again} of {len(paid)} replies paid for twice")
    return Outcome(f"right, {again} of the calls under way made again" if again else "right, no call made again")


def kill_conversation(at: Desk, delay: float) -> Outcome:
    """Kill a conversation at its second question, and go on with it."""
    talk = at.talking
    if ANSWER not in run_to_its_end(*talk, stdin=f"{TOWN_QUESTION}\n").out:
        return wrong("no answer to the first question")
    command = Command(*talk, stdin=f"{FOLLOW_UP}\n")
    time.sleep(delay)
    died = command.kill()
    paid = set(at.server.answered)
    at.server.set_fault(lambda _: None)
    resumed = run_to_its_end(*talk, stdin=f"{FOLLOW_UP}\n")
    earlier = re.search(r"Thread: a, (\d) earlier", resumed.err)
    # What was printed has been kept before.
    expected = {"2"} if f"{FOLLOW_UP_ANSWER} [1]" in died.out else {"1", "2"}
    if earlier is None or earlier[1] not in expected:
        return wrong(f"{earlier and earlier[0]}, expected {expected}; {resumed}")
    if FOLLOW_UP_ANSWER not in resumed.out:
        return wrong(f"no answer to the second question, but {resumed.out!r}; {resumed}")
    again = len(paid & set(at.server.asked))
    return Outcome("goes on where it was") if again <= 1 else wrong(f"{again} replies paid for twice")


def kill_server(at: Desk, delay: float) -> Outcome:
    """Kill a server while it answers, and ask another one."""
    with serving(at) as url, suppress(httpx.TransportError):
        httpx.post(url, json=ASKED, timeout=delay)

    def ask() -> str:
        with serving(at) as url:
            return httpx.post(url, json=ASKED, timeout=30).text

    return settle(at, ask, ANSWER)


ASKED: Final = {"input": {"question": TOWN_QUESTION, "level": "read"}}


@contextmanager
def serving(at: Desk) -> Iterator[str]:
    """Run a server, yield where questions go, and kill it."""
    command = Command("serve", "--port", "0", "--coverage", "full", *at.options, at.documents)
    try:
        until = time.monotonic() + 30
        while not (found := re.search(r"Serving (\S+) until", command.read_err())):
            if time.monotonic() > until:
                raise TimeoutError(command.read_err())
            time.sleep(0.02)
        yield f"{found[1]}/qa/invoke"
    finally:
        command.kill()


def at_once(kind: str, processes: int) -> Outcome:
    """Run the same command several times at once, and once more."""
    with desk() as at:
        arguments: Any = getattr(at, kind)
        commands = [Command(*arguments) for _ in range(processes)]
        ended = [command.ended() for command in commands]
        if faults := [each for each in ended if each.is_fault or each.code]:
            return wrong(f"{len(faults)} failed: {faults[0]}")
        if kind != "indexing" and not all(ANSWER in each.out for each in ended):
            return wrong("not every answer is right")
        at.server.set_fault(lambda _: None)
        last = run_to_its_end(*arguments)
        if last.is_fault or last.code or at.server.asked or "unchanged" not in last.err:
            return wrong(f"{len(at.server.asked)} calls made once more; {last}")
        return Outcome("all right, and nothing to be done once more")
