"""What counts as the same answer, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.scoring import confidence_interval, contains, f1, is_exact, tokens_of

SAME = [
    ("The Pequod [1]", "pequod"),
    ("Ｐｅｑｕｏｄ", "Pequod"),
    ("1,234 ships", "1234 ships"),
    ("twenty-three ships", "23 ships"),
    ("one hundred and five", "105"),
    ("二十三个人", "23个人"),
    ("二〇一九年", "2019年"),
    ("第五交響曲", "第5交响曲"),
    ("鲁守砚。[1][2]", "魯守硯"),
    ("GPT-4", "gpt 4"),
    ("No one", "no one"),
    ("万一", "万一"),
]
DIFFERENT = [
    ("12630", "1263"),
    ("Pequod", "Pequot"),
    ("鲁守", "鲁守砚"),
    ("", "Pequod"),
    ("Pequod", ""),
    ("3.14", "3.1"),
]


@pytest.mark.parametrize(("answer", "gold"), SAME)
def test_forms_of_writing_are_the_same_answer(answer: str, gold: str) -> None:
    assert tokens_of(answer) == tokens_of(gold)
    assert is_exact(answer, [gold])
    assert f1(answer, [gold]) == 1


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_other_answers_are_not(answer: str, gold: str) -> None:
    assert not contains(answer, [gold])
    assert not is_exact(answer, [gold])


@pytest.mark.parametrize(
    ("answer", "gold", "is_right"),
    [
        ("On February 8, 2007. [1]", "8 February 2007", True),
        ("on the 8th of February 2007", "February 8, 2007", True),
        ("on the 8th of February 2007", "8th of February", True),
        ("May 20 2011", "20 May 2011", True),
        ("On February 9, 2007", "8 February 2007", False),
        # Without a year it may be no date.
        ("In May 20 ships came", "20 ships", True),
        ("In May 20 ships came", "20 May", False),
    ],
)
def test_a_date_may_have_the_day_or_the_month_first(answer: str, gold: str, is_right: bool) -> None:
    assert contains(answer, [gold]) is is_right


def test_an_answer_in_a_sentence_is_contained_but_not_exact() -> None:
    answer = "It was built in 1263, they say [1]"

    assert contains(answer, ["1811", "1263"])
    assert not is_exact(answer, ["1811", "1263"])
    assert 0 < f1(answer, ["1263"]) < 1


def test_a_number_inside_a_longer_one_is_not_contained() -> None:
    assert not contains("in 12631", ["1263"])
    assert contains("1263年", ["1263"])


def test_all_of_several_answers_may_be_needed_in_any_order() -> None:
    golds = ["Orlmere", "Jasworth"]

    assert contains("Jasworth and Orlmere", golds, needs_all=True)
    assert not contains("Orlmere", golds, needs_all=True)
    assert is_exact("Jasworth, Orlmere [1]", golds, needs_all=True)
    assert not is_exact("Jasworth and Orlmere", golds, needs_all=True)
    assert f1("Orlmere", golds, needs_all=True) == pytest.approx(2 / 3)


def test_without_a_right_answer_nothing_is_right() -> None:
    assert not contains("anything", [])
    assert not contains("anything", [], needs_all=True)
    assert f1("anything", []) == 0


def test_f1_counts_each_token_once() -> None:
    assert f1("a b b", ["b c"]) == pytest.approx(2 * 1 / (2 + 2))
    assert f1("刘秉忠、姚枢", ["刘秉忠和姚枢"]) == pytest.approx(10 / 11)


@given(st.text(max_size=40), st.text(max_size=40))
def test_scores_are_shares_and_exact_answers_are_contained(answer: str, gold: str) -> None:
    assert 0 <= f1(answer, [gold]) <= 1
    if is_exact(answer, [gold]) and tokens_of(gold):
        assert contains(answer, [gold])
        assert f1(answer, [gold]) == 1


@pytest.mark.parametrize(
    ("right", "of", "low", "high"), [(0, 0, 0, 1), (0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (30, 30, 0.8865, 1)]
)
def test_the_interval_is_wilsons(right: int, of: int, low: float, high: float) -> None:
    assert confidence_interval(right, of) == pytest.approx((low, high), abs=1e-4)
