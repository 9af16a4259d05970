from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.graphs.analysis import foreign_languages, plan_search, split_question, words_in
from langchain_qwen_longctx.schemas import SearchPlan


def proposal(english: str = "", chinese: str = "") -> SearchPlan:
    return SearchPlan(question_en=english, question_zh=chinese, keywords_en=["chair"], keywords_zh=["主席 "])


@pytest.mark.parametrize(
    ("question", "proposed", "information", "instruction"),
    [
        (
            "Who chaired the board in 2019? Answer in one word.",
            "Who was chair of the board in 2019",
            "Who chaired the board in 2019?",
            "Answer in one word.",
        ),
        ("用三句话回答：第二章讲了什么？", "第二章的内容", "第二章讲了什么？", "用三句话回答"),
        ("In French: who chaired it?", "who chaired it", "who chaired it?", "In French"),
        ("忽必烈的顾问是谁？请简短回答。", "必必烈的顾问是谁", "忽必烈的顾问是谁？", "请简短回答。"),
    ],
)
def test_a_clause_on_the_form_that_the_model_leaves_out_is_instruction(
    question: str, proposed: str, information: str, instruction: str
) -> None:
    assert split_question(question, proposed) == (information, instruction)


@pytest.mark.parametrize(
    ("question", "proposed"),
    [
        ("Who chaired the board in 2019?", "Who chaired the board in 2019?"),
        ("特斯拉创立公司后，首先获得了什么？", "特斯拉创立公司后"),
        ("加那利群岛在哪个大陆沿岸？", "加那利群岛"),
        ("Which words did he say, and in which language?", "words he said, language"),
        ("Answer in one word.", "an answer"),
        ("At 3.5, which table, if any, was broken?", ""),
    ],
)
def test_a_question_stays_whole_whatever_the_model_drops(question: str, proposed: str) -> None:
    assert split_question(question, proposed) == (question, "")


@given(question=st.text(min_size=1), proposed=st.text())
def test_nothing_is_searched_for_that_the_question_does_not_say(question: str, proposed: str) -> None:
    information, instruction = split_question(question, proposed)

    assert set(information) | set(instruction) <= set(question)
    assert information


def test_both_translations_are_queries_beside_the_information() -> None:
    plan = plan_search("Who chaired it?", proposal("Who was the chair?", "谁是主席？"))

    assert plan["queries"] == ["Who chaired it?", "Who was the chair?", "谁是主席？"]
    assert plan["keywords"] == ["chair", "主席"]


def test_a_translation_in_the_wrong_language_is_dropped() -> None:
    plan = plan_search("谁是主席？", proposal("谁是主席？", "Who was the chair?"))

    assert plan["queries"] == ["谁是主席？"]


def test_without_a_proposal_the_question_itself_is_searched_for() -> None:
    plan = plan_search("谁是主席？请简短回答。", None)

    assert plan["queries"] == ["谁是主席？请简短回答。"]
    assert plan["keywords"] == []


@pytest.mark.parametrize(
    ("question", "languages", "foreign"),
    [
        ("谁是主席？", ["en"], ["en"]),
        ("谁是主席？", ["zh"], []),
        ("Who was the chair of it?", ["en", "zh"], ["zh"]),
        ("Wer war 2019 der Vorsitzende?", ["de", "en"], ["en"]),
    ],
)
def test_only_the_documents_other_languages_are_foreign(
    question: str, languages: list[str], foreign: list[str]
) -> None:
    assert foreign_languages(question, languages) == foreign


@pytest.mark.parametrize(
    ("question", "documents", "words"),
    [
        ("米兰达是谁？", "Miranda came to Milan.", {"米兰达": ["miranda"]}),
        ("米兰达是谁？", "She came to Milan.", {"米兰": ["Milan"]}),
        ("马克西姆是谁？", "Maksim came with Mark.", {"马克西姆": ["maksim"]}),
        ("米兰在哪里？", "Miranda came to Milan.", {"米兰": ["Milan"]}),
    ],
)
def test_a_part_of_a_name_that_is_found_by_its_sound_is_no_word(
    question: str, documents: str, words: dict[str, list[str]]
) -> None:
    assert words_in(question, "en", dict.fromkeys(analyze(documents), 1)) == words
