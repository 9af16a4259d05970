"""What a question may cost holds whatever goes wrong, and what was done is accounted for."""

from __future__ import annotations

import random
import time
from functools import cache
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from notebook import notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import BilingualBM25Retriever, LongContextConfig, QwenTextSplitter, create_long_context_qa
from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage
    from scripted import Respond

    from langchain_qwen_longctx.schemas import Level, QAOutput

LIT = "The lamp was lit by Rosalind Thackwell."
BORN = "Rosalind Thackwell was born at Hexham."
FACTS = {"lit the lamp": (LIT, "Rosalind Thackwell"), "Thackwell born": (BORN, "Hexham")}
STEPS = {
    "decompose": "1. Who lit the lamp?\n2. Where was that person born?",
    "next_question": "Where was Rosalind Thackwell born?",
}
QUESTION = "Where was the person born who lit the lamp?"
PAGES = 24
NO_ANSWER = "No answer was found before the limit was reached."
LEVELS = st.sampled_from(["retrieve", "read", "reason", "auto"])
DOWN, JUNK = ConnectionError("reset"), "no idea"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


@pytest.fixture
def woken() -> Iterator[Event]:
    """An event that calls can hang on; they wake up after the test."""
    event = Event()
    yield event
    event.set()


@cache
def index(pages: int) -> BilingualBM25Retriever:
    return BilingualBM25Retriever.from_documents(
        QwenTextSplitter(128).split_documents(notebook(pages, {5: LIT, pages - 3: BORN}))
    )


def config(**knobs: Any) -> LongContextConfig:
    return LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, coverage="full", **knobs)


def ask(model: RuleChatModel, level: Level, pages: int = PAGES, **knobs: Any) -> QAOutput:
    qa = create_long_context_qa(model=model, retriever=index(pages), config=config(**knobs))
    return qa.invoke({"question": QUESTION, "level": level})


def unreliable(respond: Respond, seed: int, *, down: float, junk: float) -> Respond:
    """Return a rule by which these shares of the calls fail, or are answered with junk."""
    dice, lock = random.Random(seed), Lock()

    def respond_or_fail(messages: Sequence[BaseMessage]) -> str | BaseException:
        with lock:
            drawn = dice.random()
        if drawn < down:
            return DOWN
        return JUNK if drawn < down + junk else respond(messages)

    return respond_or_fail


def check(result: QAOutput, pages: int = PAGES) -> None:
    coverage = result["coverage"]
    assert coverage["chunks_total"] == pages
    assert coverage["chunks_read"] + coverage["chunks_failed"] + coverage["chunks_skipped"] == pages
    assert coverage["chunks_relevant"] <= coverage["chunks_read"]
    assert result["answer"].strip()
    assert result["found"] is bool(result["citations"])


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(0, 30), concurrency=st.integers(1, 8), level=LEVELS, seed=st.integers(0, 999))
@example(limit=29, concurrency=1, level="read", seed=996)
def test_the_model_is_never_called_more_often_than_allowed(
    limit: int, concurrency: int, level: Level, seed: int
) -> None:
    model = RuleChatModel(respond=unreliable(expert(FACTS, **STEPS), seed, down=0.1, junk=0.1))

    try:
        result = ask(model, level, max_model_calls=limit, concurrency=concurrency)
    except ModelUnavailableError:
        assert model.calls <= limit
        return

    check(result)
    assert model.calls == result["usage"]["model_calls"] <= limit
    assert result["stopped"] in {None, "budget"}
    if level == "read":
        is_all_read = result["coverage"]["chunks_skipped"] == 0
        is_unanswered = NO_ANSWER in result["answer"]
        # Once all is read, only the answer can still be too much: if it fails, and is not to be tried again.
        assert (result["stopped"] is not None) is (not is_all_read or is_unanswered)


@settings(max_examples=25, deadline=None)
@given(limit=st.integers(0, 12_000), concurrency=st.integers(1, 8), level=LEVELS, seed=st.integers(0, 999))
def test_never_more_tokens_are_used_than_allowed(limit: int, concurrency: int, level: Level, seed: int) -> None:
    model = RuleChatModel(respond=unreliable(expert(FACTS, **STEPS), seed, down=0.0, junk=0.1))

    result = ask(model, level, max_tokens=limit, concurrency=concurrency)

    check(result)
    assert result["usage"]["input_tokens"] + result["usage"]["output_tokens"] <= limit
    assert result["stopped"] in {None, "budget"}


@pytest.mark.parametrize("level", ["retrieve", "read", "reason", "auto"])
def test_without_any_allowance_the_answer_says_that_nothing_was_read(level: Level) -> None:
    model = RuleChatModel(respond=expert(FACTS, **STEPS))

    result = ask(model, level, max_model_calls=0)

    check(result)
    assert (model.calls, result["found"], result["stopped"]) == (0, False, "budget")
    assert result["answer"].startswith(f"{NO_ANSWER}\n(This rests on 0 of ")


def test_a_call_is_kept_for_the_answer() -> None:
    model = RuleChatModel(respond=expert({"lamp": (BORN, "Hexham")}))

    result = ask(model, "read", max_model_calls=12)

    check(result)
    assert model.prompts == {"ANALYZE": 1, "READ": 10, "ANSWER": 1}
    assert result["stopped"] == "budget"


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    result = ask(model, "read", max_model_calls=500, max_tokens=1_000_000, max_seconds=600)

    assert (result["stopped"], result["coverage"]["chunks_skipped"]) == (None, 0)


def test_reading_ends_in_time_and_what_was_found_by_then_is_the_answer() -> None:
    model = RuleChatModel(respond=expert({"lamp": (LIT, "Rosalind Thackwell")}), latency=0.02)

    begun = time.monotonic()
    result = ask(model, "read", pages=250, max_seconds=0.5)

    check(result, 250)
    assert time.monotonic() - begun < 5
    assert (result["stopped"], result["found"]) == ("deadline", True)
    assert 0 < model.prompts["READ"] < 200
    assert result["coverage"]["chunks_skipped"] > 0


def test_a_full_reading_survives_a_model_that_fails_in_every_way(woken: Event) -> None:
    well, dice, lock = expert({"lamp": (LIT, "Rosalind Thackwell")}), random.Random(11), Lock()
    broken: dict[str, int] = {"down": 0, "junk": 0, "hang": 0}

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if prompt_of(messages) != "READ":
            return well(messages)
        with lock:
            drawn = dice.random()
            way = "down" if drawn < 0.05 else "junk" if drawn < 0.15 else "hang" if drawn < 0.16 else ""
            if way:
                broken[way] += 1
        if way == "hang":
            woken.wait(30)
        return DOWN if way == "down" else JUNK if way == "junk" else well(messages)

    model = RuleChatModel(respond=respond)

    result = ask(model, "read", pages=250, call_timeout=0.2, concurrency=4)

    check(result, 250)
    assert min(broken.values()) > 0
    assert result["coverage"]["chunks_skipped"] == 0
    assert result["coverage"]["chunks_failed"] < 10
    assert result["usage"]["model_calls"] == model.calls
    assert result["answer"].startswith("Rosalind Thackwell [1]")
    assert [citation["quote"] for citation in result["citations"]] == [LIT]
