"""How much of a question a text speaks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

TEXTS = ["The lamp was lit by Ada.", "The harbour was closed.", "The harbour was painted.", "灯塔由匠人毛一清设计。"]
WEIGHTS = TermWeights.from_texts(TEXTS)


def test_rare_terms_weigh_more_than_frequent_ones_and_unknown_ones_most() -> None:
    assert WEIGHTS.of("unheard") > WEIGHTS.of("lamp") > WEIGHTS.of("harbour") > 0


def test_a_text_that_has_every_term_supports_a_question_fully() -> None:
    assert WEIGHTS.support(TEXTS[0], ["Who lit the lamp?"]) == 1.0
    assert WEIGHTS.support(TEXTS[3], ["灯塔是谁设计的？"]) == 1.0


def test_words_that_only_ask_do_not_count() -> None:
    assert WEIGHTS.support(TEXTS[3], ["灯塔何时设计？"]) == 1.0


def test_a_text_that_has_none_does_not_support_it_at_all() -> None:
    assert WEIGHTS.support(TEXTS[1], ["Who lit the lamp?"]) == 0.0


def test_a_text_that_has_the_frequent_terms_only_supports_it_little() -> None:
    assert 0 < WEIGHTS.support("The harbour is wide.", ["Who saw the comet above the harbour?"]) < 0.4


def test_the_wording_that_has_most_in_common_counts() -> None:
    assert WEIGHTS.support(TEXTS[0], ["谁点的灯？", "Who lit the lamp?"]) == 1.0


def test_a_text_is_sure_if_it_has_half_of_the_terms_and_every_name() -> None:
    mars, venus = "The first band to play on Mars was the Galaxy Band.", "The first band to play on Venus was Orion."
    weights = TermWeights.from_texts([mars, venus, *["They perform first in a band."] * 2, *["The tide is high."] * 6])

    assert weights.is_sure(mars, ["Which band was the first to perform on Mars?"])
    assert not weights.is_sure(venus, ["Which band was the first to perform on Mars?"])
    assert not weights.is_sure("Mars is red.", ["Which band was the first to perform on Mars?"])
    assert weights.is_sure(venus, ["Which band was the first to perform on Mars?", "Which band was first on Venus?"])


def test_a_name_has_a_capital_in_the_text_as_well() -> None:
    silence, question = "He was silent. It is hidden on Phantom Island.", "What is hidden on Silent Island?"
    weights = TermWeights.from_texts([silence, *["The tide is high."] * 9])

    assert not weights.is_sure(silence, [question])
    assert weights.is_sure("It is hidden on Silent Island.", [question])


@pytest.mark.parametrize("others", [13, 60])
def test_in_chinese_what_comes_first_is_the_name(others: int) -> None:
    silent, forgotten = "寂静岛上隐藏着传说中的善良之心。", "遗忘之岛上隐藏着传说中的永恒之火。"
    weights = TermWeights.from_texts([silent, forgotten, *["岛上有物品。"] * others])

    assert weights.is_sure(silent, ["寂静岛上隐藏着什么传说中的物品？"])
    assert not weights.is_sure(forgotten, ["寂静岛上隐藏着什么传说中的物品？"])
    assert weights.is_sure(forgotten, ["寂静岛上隐藏着什么传说中的物品？"], by_name=False)
    assert weights.names_in("让寂静岛停下的是谁？") == {"寂静"}


def test_among_a_few_chunks_nearly_every_term_is_rare_and_the_first_is_no_name() -> None:
    weights = TermWeights.from_texts(["岛上隐藏着善良之心。", *["岛上有物品。"] * 12])

    assert weights.names_in("寂静岛上隐藏着什么物品？") == set()


def test_nor_is_it_what_someone_did_where_it_is_asked_who_did_it() -> None:
    theirs, others = "夏予景发现了青安渡的银矿。", "石泽安发现了龙霁桥的银矿。"
    weights = TermWeights.from_texts([theirs, others, *["岛上有物品。"] * 60])

    assert weights.is_sure(theirs, ["谁发现了青安渡的银矿？"])
    assert not weights.is_sure(others, ["谁发现了青安渡的银矿？"])
    assert weights.names_in("遗忘之岛在哪里？") == {"遗忘"}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("动作片中洛伊·梅尔扮演了谁？", {"梅尔"}),
        ("动作片中洛伊・梅尔扮演了谁？", {"梅尔"}),
        ("动作片《夜潮》由谁执导？", {"夜潮"}),
        ("动作片《的》由谁执导？", {"动作"}),
        ("动作片“夜潮”由谁执导？", {"夜潮"}),
        ("动作片「夜潮」由谁执导？", {"夜潮"}),
        ('动作片"夜潮"由谁执导？', {"夜潮"}),
        ("动作片《岛上物品》由谁执导？", {"岛上", "物品"}),
    ],
)
def test_what_chinese_marks_as_a_name_goes_before_what_comes_first(question: str, names: set[str]) -> None:
    weights = TermWeights.from_texts(["洛伊·梅尔在动作片《夜潮》中扮演船长。", *["岛上有物品。"] * 60])

    assert weights.names_in(question) == names


def test_what_the_documents_are_about_is_no_name_that_an_answer_repeats() -> None:
    weights = TermWeights.from_texts(["Stannock has a lamp."] * 4 + ["The tide is high at Orl."] * 6)

    assert weights.names_in("Who lit the lamp of Stannock in 2019?") == {"2019"}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Who chaired the Stannock Light Trust in 2019?", {"stannock", "light", "trust", "2019"}),
        ("Where was the lamp lit?", set()),
        ("Stannock?", set()),
        ("", set()),
        ("灯塔是谁设计的？", set()),
        ("？", set()),
    ],
)
def test_a_question_names_things_by_capitals_numbers_or_in_chinese_by_place(question: str, names: set[str]) -> None:
    assert WEIGHTS.names_in(question) == names


@pytest.mark.parametrize("questions", [[], ["?"], ["的"]])
def test_a_question_without_terms_is_supported_by_nothing(questions: list[str]) -> None:
    assert WEIGHTS.support(TEXTS[0], questions) == 0.0


def test_an_index_has_the_same_weights_as_its_texts() -> None:
    postings = BilingualBM25Retriever.from_texts(TEXTS).vectorizer.postings

    assert TermWeights.from_postings(postings).frequencies == WEIGHTS.frequencies


@given(text=st.text(max_size=60), more=st.text(max_size=60), question=st.text(max_size=60))
def test_support_is_a_share_that_more_text_cannot_lower(text: str, more: str, question: str) -> None:
    little, much = WEIGHTS.support(text, [question]), WEIGHTS.support(f"{text}\n{more}", [question])

    assert 0 <= little <= much + 1e-9 <= 1 + 2e-9


PLACES = TermWeights.from_texts(
    [*["The pier was painted.", "码头刷了漆。"] * 20, "Corthorpe has a tower.", "青安渡有塔楼。"]
)


@pytest.mark.parametrize(
    ("question", "unheard"),
    [
        ("Who built the tower of Verstead?", ["Verstead"]),
        ("Who built Verstead's tower?", ["Verstead"]),
        ("Who built the tower of Corthorpe?", []),
        ("Who built the tower of Corthurpe?", []),
        ("Who built the tower of London?", []),
        ("Who built the Tower of the Programme?", []),
        ("Who built the tower for ZZYX?", []),
        ("Verstead has which tower?", []),
        ("Wer baute den Turm von Verstead?", []),
        ("谁建了白远岭的塔楼？", ["白远岭"]),
        ("谁建了青安渡的塔楼？", []),
        ("谁建了巴黎的塔楼？", []),
        ("谁赢得了龙知寨的大赛马？", ["龙知寨"]),
        ("", []),
    ],
)
def test_a_name_is_unheard_of_if_neither_documents_nor_dictionary_have_it(question: str, unheard: list[str]) -> None:
    assert PLACES.unheard_names(question, PLACES.frequencies.keys()) == unheard


def test_beside_another_name_that_stands_there_a_name_may_be_by_the_way() -> None:
    asked = "Who built the tower, Corthorpe or Verstead?"

    assert PLACES.unheard_names(asked, ["corthorp"]) == []
    assert PLACES.unheard_names(asked, ["tower"]) == ["Verstead"]


def test_what_a_misspelling_is_of_has_to_be_there() -> None:
    assert PLACES.unheard_names("Who built the tower of Corthurpe?", ["tower"]) == ["Corthurpe"]


def test_without_the_dictionary_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_qwen_longctx.answerability.known_terms", frozenset)

    assert PLACES.unheard_names("Who built the tower of Verstead?", []) == []
