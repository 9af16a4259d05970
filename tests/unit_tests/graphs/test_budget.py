"""What a question may cost: the arithmetic, without a model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from scripted import ScriptedChatModel

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.graphs.budget import allowance, answer_seconds, answer_size, share_out, spent_so_far, work
from langchain_qwen_longctx.graphs.resources import gather_resources

if TYPE_CHECKING:
    from langchain_qwen_longctx.chat_models import Allowance
    from langchain_qwen_longctx.graphs.state import QAResources, QAState

SPENT: QAState = {
    "started": 0.0,
    "spent": {"model_calls": 2, "input_tokens": 900, "output_tokens": 100},
    "spent_above": {"model_calls": 3, "input_tokens": 400},
}


def resources(**limits: Any) -> QAResources:
    config = LongContextConfig(context_window=4096, answer_tokens=512, evidence_tokens=1024, **limits)
    return gather_resources(ScriptedChatModel(), [Document("Ada Brook took the chair.")], None, config)


def test_what_was_spent_around_a_graph_counts_as_well() -> None:
    assert spent_so_far(SPENT)["model_calls"] == 5
    assert spent_so_far(SPENT)["input_tokens"] == 1300
    assert sum(spent_so_far({}).values()) == 0


def test_without_limits_nothing_is_limited() -> None:
    assert allowance(resources(), SPENT) == {}


@pytest.mark.parametrize(
    ("limits", "answers_kept", "expected"),
    [
        ({"max_model_calls": 9}, 0, {"calls": 4}),
        ({"max_model_calls": 9}, 1, {"calls": 3}),
        ({"max_model_calls": 9}, 2, {"calls": 2}),
        ({"max_model_calls": 0}, 1, {"calls": -6}),
        ({"max_tokens": 10_000}, 0, {"tokens": 10_000 - 1400}),
        ({"max_tokens": 10_000}, 1, {"tokens": 10_000 - 1400 - (1024 + 512 + 256)}),
        ({"max_seconds": 60}, 0, {}),
    ],
)
def test_what_is_left_keeps_back_what_answers_will_take(
    limits: dict[str, int], answers_kept: int, expected: Allowance
) -> None:
    assert allowance(resources(**limits), SPENT, answers_kept=answers_kept) == expected


def test_time_is_kept_back_as_the_calls_so_far_suggest() -> None:
    parts, now = resources(max_seconds=100), time.time()
    state: QAState = {"started": now - 10, "spent": {"model_calls": 1, "input_tokens": 1280, "output_tokens": 64}}

    deadline = allowance(parts, state)["deadline"]

    assert answer_seconds(parts, state) == pytest.approx(10, abs=0.5)
    assert deadline == pytest.approx(now - 10 + 100 - 10, abs=0.5)


def test_before_the_first_call_no_time_can_be_kept_back() -> None:
    now = time.time()

    assert allowance(resources(max_seconds=100), {"started": now})["deadline"] == now + 100


def test_an_answer_takes_evidence_and_reply_or_the_whole_window() -> None:
    assert answer_size(resources()) == 1024 + 512 + 256

    unlimited = LongContextConfig(context_window=4096, answer_tokens=512, evidence_tokens=None)
    assert answer_size(gather_resources(ScriptedChatModel(), [Document("Ada.")], None, unlimited)) == 4096


def test_a_token_written_takes_as_long_as_four_read() -> None:
    assert work({"input_tokens": 400, "output_tokens": 10}) == 110


@pytest.mark.parametrize(
    ("limits", "wanted", "count", "each"),
    [
        ({}, 8, 8, {}),
        ({"calls": 100}, 8, 8, {"calls": 12}),
        ({"calls": 16}, 8, 4, {"calls": 4}),
        ({"calls": 7}, 8, 1, {"calls": 7}),
        ({"calls": 1}, 8, 1, {"calls": 1}),
        ({"calls": 0}, 8, 0, {}),
        ({"calls": -3}, 8, 0, {}),
        ({"tokens": 2500}, 8, 2, {"tokens": 1250}),
        ({"tokens": 999}, 8, 0, {}),
        ({"calls": 16, "tokens": 3000}, 8, 3, {"calls": 5, "tokens": 1000}),
        ({"deadline": 1.0}, 8, 0, {}),
        ({"deadline": 1e12}, 8, 8, {"deadline": 1e12}),
        ({"calls": 10}, 0, 0, {}),
    ],
)
def test_an_allowance_is_shared_out(limits: Allowance, wanted: int, count: int, each: Allowance) -> None:
    assert share_out(limits, wanted, calls_each=4, tokens_each=1000) == (count, each)


@given(
    calls=st.integers(-5, 200),
    tokens=st.integers(-5, 200_000),
    wanted=st.integers(0, 64),
    calls_each=st.integers(2, 9),
)
def test_the_shares_together_never_exceed_the_whole(calls: int, tokens: int, wanted: int, calls_each: int) -> None:
    limits: Allowance = {"calls": calls, "tokens": tokens}

    count, each = share_out(limits, wanted, calls_each=calls_each, tokens_each=1000)

    assert 0 <= count <= wanted
    if count:
        assert 1 <= each["calls"] <= calls // count
        assert 1000 <= each["tokens"] <= tokens // count
        assert each["calls"] >= min(calls_each, calls)
    else:
        assert calls <= 0 or tokens < 1000 or wanted == 0
