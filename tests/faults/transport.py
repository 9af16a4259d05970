"""A model's server that fails, at any call of a question and at every level.

Whatever it does, the question ends in time with the right answer, in words that say what could not be read, or with an
error of the package's own; what it has paid for is kept, and nothing is left running.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from unittest import mock

from chronicle import chronicle
from command_line import BIRTH_FACT, HOPS_QUESTION, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from outcomes import Outcome, trial, wrong
from shell_commands import Ended, run_to_its_end
from tenacity import wait_none
from transport_faults import FAULTS, LASTING, TIMEOUT
from transport_server import MODEL, Fault, ModelServer

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa, open_reply_cache, transport
from langchain_qwen_longctx.chat_models import create_chat_model
from langchain_qwen_longctx.errors import LongContextError
from langchain_qwen_longctx.persistence import ReplyCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.runnables import Runnable
    from trials import Trial

    from langchain_qwen_longctx.schemas import Level, QAInput, QAOutput

FaultAt: TypeAlias = "Callable[[int], Fault | None]"

QUESTIONS: Final[dict[Level, tuple[str, str, int]]] = {
    "retrieve": (TOWN_QUESTION, "毛一清", 2),
    "read": (TOWN_QUESTION, "毛一清", 5),
    "reason": (HOPS_QUESTION, "岭下村", 7),
}
"""By level: what is asked, what the answer must have, and about how many calls that takes."""

TOWN: Final = chronicle(12, {3: TOWN_FACT, 8: BIRTH_FACT})
HASTY: Final = LongContextConfig(
    context_window=2048, chunk_tokens=512, answer_tokens=256, call_timeout=TIMEOUT, coverage="full"
)
PATIENT: Final = replace(HASTY, call_timeout=30.0)
MAX_SECONDS: Final = 60.0
"""How long a question may take where a call may take less than a second."""


def run(*, is_short: bool) -> Iterator[Trial]:
    """Try every fault once and for good, all of them in a jumble, and some on commands."""
    dice = random.Random(11)
    with ModelServer(patience=TIMEOUT / 2) as server:
        askers = [Asker(server, provider) for provider in ("ollama", "openai")]
        with mock.patch.object(transport, "wait_random_exponential", return_value=wait_none()):
            for number, (name, fault) in enumerate(FAULTS.items()):
                plans = [(who, level, lasts) for level in QUESTIONS for lasts in (False, True) for who in askers]
                chosen = (plans[number % 3], plans[6 + number % 6]) if is_short else plans
                yield trial(
                    name, (who.attempt(level, begin(fault, dice, level, lasts)) for who, level, lasts in chosen)
                )
            jumble = [(askers[n % 2], level) for n in range(1 if is_short else 40) for level in QUESTIONS]
            yield trial(
                "any of these at every third call", (who.attempt(level, at_random(dice)) for who, level in jumble)
            )
        restarts = [level for level in QUESTIONS for _ in range(1 if is_short else 5)][-2 if is_short else 0 :]
        yield trial(
            "the server dies in the middle, and comes back",
            (askers[0].attempt(level, dying(server, dice.randint(1, QUESTIONS[level][2]))) for level in restarts),
        )
    yield from command_trials(dice, is_short=is_short)


def begin(fault: Fault, dice: random.Random, level: Level, lasts: bool) -> FaultAt:
    """Return which calls get a fault: any one of a question, or all from it on."""
    first = dice.randint(1, QUESTIONS[level][2])
    return lambda call: fault if call == first or (lasts and call > first) else None


def at_random(dice: random.Random) -> FaultAt:
    """Return which calls get a fault: every third, whichever comes."""
    faults = list(FAULTS.values())
    return lambda _: dice.choice(faults) if dice.random() < 1 / 3 else None


def dying(server: ModelServer, number: int) -> FaultAt:
    """Return which call is the last one before the server dies for a moment."""

    def die(call: int) -> Fault | None:
        if call == number:
            server.restart_after(0.3)
            return FAULTS["a reply that comes after the time for it"]
        return None

    return die


class Asker:
    """Asks a server about the town.

    Args:
        server: The server.
        provider: Whose protocol it is to speak.
    """

    def __init__(self, server: ModelServer, provider: str) -> None:
        self._server, self._provider, self._replies = server, provider, ReplyCache(mock.Mock())
        self._hasty, self._patient = self._make(HASTY), self._make(PATIENT)

    def _make(self, config: LongContextConfig) -> Runnable[QAInput, QAOutput]:
        model = create_chat_model(
            f"{self._provider}:{MODEL}",
            context_window=config.context_window,
            answer_tokens=config.answer_tokens,
            base_url=self._server.url + ("/v1" if self._provider == "openai" else ""),
            timeout=config.call_timeout,
        )
        documents = [Document(TOWN, metadata={"source": "镇志.txt"})]
        return create_long_context_qa(model=model, documents=documents, config=config, cache=self._replies)

    def attempt(self, level: Level, fault_at: FaultAt) -> Outcome:
        """Ask while the server fails, and again when it does not."""
        with tempfile.TemporaryDirectory() as folder:
            self._replies._store = open_reply_cache(Path(folder))._store
            self._server.set_fault(fault_at)
            before = set(threading.enumerate())
            began = time.monotonic()
            first, seconds, paid = ask(self._hasty, level), time.monotonic() - began, set(self._server.answered)
            left = still_running(before)
            self._server.set_fault(lambda _: None)
            second = judge(ask(self._patient, level), level)
            again = paid & set(self._server.asked)
        if left or seconds > MAX_SECONDS:
            return wrong(f"{seconds:.0f} s, and left running: {left}")
        if second.verdict != "right":
            return wrong(f"not right when asked again: {second.verdict}")
        return wrong(f"{len(again)} replies paid for twice") if again else judge(first, level)


def ask(qa: Runnable[QAInput, QAOutput], level: Level) -> QAOutput | Exception:
    """Return an answer, or whatever is raised."""
    try:
        return qa.invoke({"question": QUESTIONS[level][0], "level": level})
    except Exception as error:  # noqa: BLE001 - it is told
        return error


def judge(result: QAOutput | Exception, level: Level) -> Outcome:
    """Tell whether an outcome is allowed."""
    if isinstance(result, Exception):
        is_typed = isinstance(result, LongContextError)
        return Outcome(type(result).__name__) if is_typed else wrong(repr(result))
    if result["found"]:
        return Outcome("right") if QUESTIONS[level][1] in result["answer"] else wrong(f"wrong: {result['answer']!r}")
    is_told = result["coverage"]["chunks_failed"] > 0
    return Outcome("told what it could not read") if is_told else wrong(f"found nothing: {result}")


def still_running(before: set[threading.Thread]) -> list[str]:
    """Return what was not there before and does not end by itself within the time of a few calls."""
    until = time.monotonic() + 10 * TIMEOUT
    while True:
        calls = [thread.name for thread in threading.enumerate() if thread.name == "model-call"]
        left = [thread.name for thread in threading.enumerate() if not thread.daemon and thread not in before]
        left += calls[len(transport._idle) :]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.005)


def command_trials(dice: random.Random, *, is_short: bool) -> Iterator[Trial]:
    """Run commands, which wait ten minutes for a call, against what needs no waiting for."""
    faults = [fault for name, fault in FAULTS.items() if name not in LASTING]
    plans = [(fault, level, lasts) for fault in faults for level in QUESTIONS for lasts in (False, True)]
    chosen = dice.sample(plans, 2 if is_short else 60)
    tried = (command(begin(fault, dice, level, lasts), level) for fault, level, lasts in chosen)
    yield trial("any of these, and the command `ask`", tried)


def command(fault_at: FaultAt, level: Level) -> Outcome:
    """Ask by a command while the server fails, and again when it does not."""
    with ModelServer(fault_at) as server, tempfile.TemporaryDirectory() as folder:
        town = Path(folder) / "镇志.txt"
        town.write_text(TOWN, "utf-8")
        options: list[str | Path] = [
            "--level",
            level,
            "--model",
            f"ollama:{MODEL}",
            "--base-url",
            server.url,
            "--cache-dir",
            folder,
        ]
        arguments = ["ask", "--json", "--coverage", "full", *options, QUESTIONS[level][0], town]
        first, paid = run_to_its_end(*arguments), set(server.answered)
        server.set_fault(lambda _: None)
        second = judge_command(run_to_its_end(*arguments), level)
    if second.verdict != "right":
        return wrong(f"not right when asked again: {second.verdict}")
    if again := paid & set(server.asked):
        return wrong(f"{len(again)} replies paid for twice")
    return judge_command(first, level)


def judge_command(ended: Ended, level: Level) -> Outcome:
    """Tell whether a command has ended as it may."""
    if ended.is_fault:
        return wrong(f"{ended}")
    if ended.code in {0, 1}:
        return judge(json.loads(ended.out), level)
    is_told = ended.code == 3 and not ended.out and ended.err.splitlines()[-1].startswith("Error: ")
    return Outcome("exit code 3 and the cause") if is_told else wrong(f"{ended}")
