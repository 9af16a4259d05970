"""Cases in arms: run them, score what comes of it, and see how far the gold paragraphs came each time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence  # noqa: TC003 - pydantic reads the annotations
from dataclasses import fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langchain_qwen_longctx.arms import STAGES, Arm, Attempt, open_subject, runner_of
from langchain_qwen_longctx.errors import InputError, LongContextError, ModelUnavailableError
from langchain_qwen_longctx.scoring import contains, f1, is_exact
from langchain_qwen_longctx.transport import model_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

    from langchain_qwen_longctx.arms import Runner
    from langchain_qwen_longctx.cases import Case, Gold
    from langchain_qwen_longctx.config import LongContextConfig


class Setting(TypedDict):
    """What results depend on beside case and arm.

    Attributes:
        model: Name of the model.
        knobs: The knobs that were not at their defaults.
    """

    model: str
    knobs: dict[str, Any]


class Score(TypedDict):
    """What an attempt at a case is worth, and what it cost.

    Attributes:
        id: The case's.
        arm: Level or baseline.
        kind: The case's.
        lang: The case's.
        length: The case's.
        depth: The case's.
        question: The case's.
        answers: The case's.
        answer: What was answered.
        found: Whether it was passed off as found in the document.
        right: Whether the answer holds a right one; without a right one, whether nothing was passed off as found.
        exact: Whether it is a right one and nothing else, as `scoring.is_exact`.
        f1: Between 0 and 1, as `scoring.f1`.
        retrieved: Share of the gold paragraphs among the retrieved chunks; None if there are none, or nothing is
            retrieved in this arm.
        read: Likewise, among what the model read.
        packed: Likewise, in the evidence of an answer.
        cited: Likewise, in the citations.
        citations: How many there are.
        verbatim: How many of them are, letter for letter, where they say.
        model_calls: Calls of the model.
        cached_calls: Calls answered from a cache.
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        error: Why there is no answer; None if there is one.
    """

    id: str
    arm: Arm
    kind: str
    lang: str
    length: str
    depth: float | None
    question: str
    answers: Sequence[str]
    answer: str
    found: bool
    right: bool
    exact: bool
    f1: float
    retrieved: float | None
    read: float | None
    packed: float | None
    cited: float | None
    citations: int
    verbatim: int
    model_calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    error: str | None


class Outcome(Score, Setting):
    """What came of one case in one arm: a line of the file of results.

    Attributes:
        seconds: From question to answer.
    """

    seconds: float


_OUTCOME = TypeAdapter(Outcome)


def read_outcomes(path: Path) -> list[Outcome]:
    """Return the outcomes that a file holds; none if there is no such file. A last line that was cut off is dropped.

    Raises:
        InputError: Another line is no outcome.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    outcomes = []
    for number, line in enumerate(lines, 1):
        try:
            outcomes.append(_OUTCOME.validate_json(line))
        except ValidationError as error:
            if number == len(lines) and not line.endswith(b"\n"):
                path.write_bytes(b"".join(lines[:-1]))
                break
            msg = f"{path}, line {number}, is no result of an evaluation; give another file with --out"
            raise InputError(msg) from error
    return outcomes


def evaluate(
    cases: Iterable[Case],
    arms: Sequence[Arm],
    *,
    model: BaseChatModel,
    folder: Path,
    config: LongContextConfig,
    cache_dir: Path | None = None,
    done: Collection[tuple[str, Arm]] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Outcome]:
    """Run cases in arms and yield what comes of each, as soon as it is there.

    The cases are taken document by document, so that each is opened once.

    Args:
        cases: The cases.
        arms: The arms, each of which gets every case.
        model: The model of all of them.
        folder: Where the documents' paths begin.
        config: The knobs.
        cache_dir: Where the indexes of the documents are kept; None keeps none.
        done: Ids and arms to leave out, such as those of a run before.
        clock: What the seconds are taken from, such as `TimedCache.monotonic`.

    Raises:
        DocumentError: A document cannot be read.
        ModelUnavailableError: The model cannot be reached. Any other error of a case is noted in its outcome.
    """
    for document, todo in left_by_document(cases, arms, done):
        yield from evaluate_document(folder / document, todo, model, config, cache_dir, clock)


def left_by_document(
    cases: Iterable[Case], arms: Sequence[Arm], done: Collection[tuple[str, Arm]]
) -> Iterator[tuple[str, list[tuple[Case, Arm]]]]:
    """Yield each document with its cases and the arms in which they are still to be run."""
    left = [(case, arm) for case in cases for arm in arms if (case.id, arm) not in done]
    by_document = sorted(left, key=lambda entry: entry[0].document)
    for document, todo in groupby(by_document, key=lambda entry: entry[0].document):
        yield document, list(todo)


def evaluate_document(
    path: Path,
    todo: Iterable[tuple[Case, Arm]],
    model: BaseChatModel,
    config: LongContextConfig,
    cache_dir: Path | None,
    clock: Callable[[], float],
) -> Iterator[Outcome]:
    """Run cases of one document, each in an arm; arguments and errors as for `evaluate`."""
    setting, subject = setting_of(model, config), open_subject(path, cache_dir, model, config)
    for case, arm in todo:
        started = clock()
        attempt = try_out(runner_of(arm, subject), case)
        seconds = round(clock() - started, 3)
        yield {**score(case, arm, attempt, subject.text), **setting, "seconds": seconds}


def setting_of(model: BaseChatModel, config: LongContextConfig) -> Setting:
    """Return what results depend on beside case and arm."""
    knobs = {knob.name: value for knob in fields(config) if (value := getattr(config, knob.name)) != knob.default}
    return {"model": model_name(model), "knobs": knobs}


def try_out(runner: Runner, case: Case) -> Attempt:
    """Return what an arm does for a case, be it an error.

    Raises:
        ModelUnavailableError: The model cannot be reached, and so for no other case.
    """
    try:
        return runner(case)
    except ModelUnavailableError:
        raise
    except LongContextError as error:
        return Attempt(error=f"{type(error).__name__}: {error}")


def score(case: Case, arm: Arm, attempt: Attempt, text: str) -> Score:
    """Return what an attempt is worth.

    Args:
        case: The case.
        arm: The arm.
        attempt: What it did.
        text: The document's text.
    """
    cited = {(citation["start"], citation["end"]) for citation in attempt.citations}
    reached = {stage: share_of(case.evidence, attempt.spans.get(stage)) for stage in STAGES}
    usage, right = attempt.usage, is_right(case, attempt)
    return {
        "id": case.id,
        "arm": arm,
        "kind": case.kind,
        "lang": case.lang,
        "length": case.length,
        "depth": case.depth,
        "question": case.question,
        "answers": case.answers,
        "answer": attempt.answer,
        "found": attempt.found,
        "right": right,
        "exact": is_exact(attempt.answer, case.answers, needs_all=case.needs_all) if case.answers else right,
        "f1": round(f1(attempt.answer, case.answers, needs_all=case.needs_all), 4) if case.answers else float(right),
        "retrieved": reached["retrieved"],
        "read": reached["read"],
        "packed": reached["packed"],
        "cited": None if arm == "closed-book" else share_of(case.evidence, cited, whole=True),
        "citations": len(attempt.citations),
        "verbatim": sum(c["quote"] == text[c["start"] : c["end"]] for c in attempt.citations),
        "model_calls": usage.get("model_calls", 0),
        "cached_calls": usage.get("cached_calls", 0),
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        "error": attempt.error,
    }


def is_right(case: Case, attempt: Attempt) -> bool:
    """Tell whether an answer holds a right one, or there is none and nothing was passed off as found."""
    if attempt.error is not None:
        return False
    if not case.answers:
        return not attempt.found
    return contains(attempt.answer, case.answers, needs_all=case.needs_all)


def share_of(golds: Sequence[Gold], spans: Collection[tuple[int, int]] | None, *, whole: bool = False) -> float | None:
    """Return for which share of the gold paragraphs there is a span at the right place; None without either.

    Args:
        golds: The paragraphs.
        spans: Spans of the document; None if the arm has none of the kind.
        whole: Whether any place in the paragraph will do, even if it is known where the answer is.
    """
    if not golds or spans is None:
        return None
    places = [(gold.start, gold.end) if whole else gold.place for gold in golds]
    return sum(any(start < end_ and end > start_ for start, end in spans) for start_, end_ in places) / len(places)
