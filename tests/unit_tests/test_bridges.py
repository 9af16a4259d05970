"""What a passage names leads on to the next one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.bridges import NAME_OVER_QUESTION, bridge_terms, closest_sentence, is_bridge

BOOK = "Salt Roads is a book by Ada Brook that tells of the old ferries."
QUESTION = "Where was the author of Salt Roads born?"


def test_names_count_more_than_what_is_still_open_of_the_question() -> None:
    terms = bridge_terms([BOOK], QUESTION)

    assert {term: terms.count(term) for term in set(terms)} == {
        "ada": NAME_OVER_QUESTION,
        "brook": NAME_OVER_QUESTION,
        "author": 1,
        "born": 1,
    }


def test_numbers_lead_on_like_names() -> None:
    assert "1732" in bridge_terms(["The tower was finished in 1732."], "Which theatre opened in the year of the tower?")


def test_in_chinese_every_new_word_may_be_a_name() -> None:
    terms = bridge_terms(["《雾港谣》由洪砚秋作曲。"], "《雾港谣》的作曲者毕业于哪所学校？")

    assert "砚秋" in terms or "洪砚秋" in terms
    assert "毕业" in terms
    assert "港谣" not in terms


def test_without_names_every_new_word_leads_on() -> None:
    assert "gull" in bridge_terms(["the lamp was broken by gulls"], "What broke the lamp?")


def test_the_closest_sentence_has_most_of_the_question() -> None:
    weights = TermWeights.from_texts([BOOK, "The tide was high.", "Ferries are old."])

    assert closest_sentence(f"The tide was high. {BOOK} Ferries are old.", [QUESTION], weights) == BOOK
    assert closest_sentence("", [QUESTION], weights) == ""


def test_a_rare_word_of_both_is_a_bridge_and_a_frequent_one_is_not() -> None:
    weights = TermWeights.from_texts(
        [BOOK, "Ada Brook was born at Hexham.", *["The old ferries lay at the pier."] * 20]
    )

    assert is_bridge(BOOK, "Ada Brook was born at Hexham.", [QUESTION], weights)
    assert not is_bridge(BOOK, "The old ferries were born of need.", [QUESTION], weights)
    assert not is_bridge(BOOK, "Salt Roads was printed at Hexham.", [QUESTION], weights)


def test_a_title_of_both_is_a_bridge_though_its_words_are_frequent() -> None:
    weights = TermWeights.from_texts(["电影里的鬼屋在山上。"] * 20)
    sequel, question = "《鬼屋回归》是电影《鬼屋山》的续集。", ["《鬼屋回归》是谁的续集？"]

    assert is_bridge(sequel, "电影《鬼屋山》由威廉执导。", question, weights)
    assert is_bridge(f'"{sequel}"', "电影《鬼屋山》由威廉执导。", question, weights)
    assert not is_bridge(sequel, "电影《鬼屋》由威廉执导。", question, weights)
    assert not is_bridge(sequel, "《鬼屋回归》在山上。", question, weights)


@given(sentence=st.text(max_size=80), question=st.text(max_size=80))
def test_a_bridge_never_goes_back_to_what_the_sentence_has_told(sentence: str, question: str) -> None:
    terms = set(bridge_terms([sentence], question))

    assert terms <= set(analyze(sentence)) ^ set(analyze(question))
