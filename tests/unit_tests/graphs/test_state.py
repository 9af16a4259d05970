"""The reducers: what comes of several steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.chat_models import Reply
from langchain_qwen_longctx.errors import OutOfBudgetError
from langchain_qwen_longctx.graphs.state import add_spent, join_touched, spent_on

if TYPE_CHECKING:
    from langchain_qwen_longctx.graphs.state import Spent, Touched

SPENT = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 9) for name in ("model_calls", "cached_calls", "input_tokens", "output_tokens")}
)
NUMBERS = st.sets(st.integers(0, 9)).map(sorted)
TOUCHED = st.fixed_dictionaries({}, optional={"read": NUMBERS, "relevant": NUMBERS, "failed": NUMBERS})


@given(left=SPENT, right=SPENT)
def test_what_was_spent_adds_up_whatever_is_absent(left: Spent, right: Spent) -> None:
    total = add_spent(left, right)

    assert total == add_spent(right, left)
    assert sum(total.values()) == sum(left.values()) + sum(right.values())


@given(left=TOUCHED, right=TOUCHED)
def test_a_chunk_touched_twice_counts_once(left: Touched, right: Touched) -> None:
    joined = join_touched(left, right)

    assert joined == join_touched(right, left) == join_touched(joined, right)
    assert set(joined["read"]) == {*left.get("read", ()), *right.get("read", ())}
    assert joined["failed"] == sorted(set(joined["failed"]))


def test_a_reply_and_an_error_cost_the_same_way() -> None:
    error = OutOfBudgetError("budget")
    error.spent = {"model_calls": 2, "input_tokens": 30, "output_tokens": 4}

    assert spent_on(error) == error.spent
    assert spent_on(Reply("a", None, model_calls=1, cached_calls=0, input_tokens=7, output_tokens=2)) == {
        "model_calls": 1,
        "cached_calls": 0,
        "input_tokens": 7,
        "output_tokens": 2,
    }
