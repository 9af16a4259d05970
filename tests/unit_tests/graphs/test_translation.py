"""A question in another language than the documents: asked and answered in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from notebook import BORN, LIT, ask_over, diary, notebook
from scripted import RuleChatModel, expert, search_plan

from langchain_qwen_longctx.graphs.long_context_qa import beside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_qwen_longctx.schemas import Level, QAOutput

PLANTED = {5: LIT, 50: BORN}
ASKED, TRANSLATION = "谁点亮了那盏灯？", "Who lit the lamp?"
ANALYSIS = search_plan(ASKED, question_en="Who kindled the light?")


def polyglot(**others: str | Mapping[str, str]) -> RuleChatModel:
    """Return a model that puts the question into English and its answer into Chinese."""
    facts = {
        "Who lit the lamp": (LIT, "Rosalind Thackwell"),
        "Thackwell born": (BORN, "Hexham"),
        "the person born who lit": (BORN, "Hexham"),
    }
    words: dict[str, str | Mapping[str, str]] = {
        "analyze": ANALYSIS,
        "translate_question": TRANSLATION,
        "translate_answer": "罗莎琳德",
    }
    return RuleChatModel(respond=expert(facts, **{**words, **others}))


def run(
    model: RuleChatModel,
    question: str = ASKED,
    level: Level = "retrieve",
    planted: Mapping[int, str] = PLANTED,
    **knobs: Any,
) -> QAOutput:
    return ask_over(notebook(60, planted), model, question, level, **knobs)


def told(model: RuleChatModel, prompt: str) -> Sequence[str]:
    """Return what a model was told by a prompt, beginning with these words."""
    return [messages[-1].text for messages in model.history if messages[0].text.startswith(prompt)]


def test_it_is_asked_in_both_languages_and_answered_in_both() -> None:
    model = polyglot()

    result = run(model)

    assert result["answer"] == "罗莎琳德（Rosalind Thackwell [1]）"
    assert [citation["quote"] for citation in result["citations"]] == [LIT]
    assert result["question"] == ASKED
    assert told(model, "Read the numbered")[0].endswith(f"Question: {ASKED}\n{TRANSLATION}\nAnswer in English.")
    assert result["usage"]["model_calls"] == model.calls == 4


@pytest.mark.parametrize(
    ("planted", "checks"),
    [
        pytest.param(PLANTED, 0, id="nowhere else"),
        pytest.param({**PLANTED, 30: "The lamp was lit by Edmund Garrod."}, 1, id="as much elsewhere"),
    ],
)
def test_an_answer_is_checked_unless_its_source_alone_says_most_of_a_translation(
    planted: Mapping[int, str], checks: int
) -> None:
    model = polyglot(answer="Rosalind Thackwell [1]")

    assert run(model, planted=planted)["found"]
    assert model.prompts["CHECK"] == checks


def test_it_is_read_for_in_both_languages() -> None:
    model = polyglot()

    assert run(model, level="read")["found"]
    assert all(text.startswith(f"Question: {ASKED}\n{TRANSLATION}\n") for text in told(model, "You check whether"))


def test_its_sub_questions_are_in_the_documents_language() -> None:
    model = polyglot(
        translate_question="Where was the person born who lit the lamp?",
        decompose=f"1. {TRANSLATION}\n2. Where was that person born?",
        next_question="Where was Rosalind Thackwell born?",
    )

    result = run(model, "点灯的人生于何处？", "reason", max_hops=2)

    assert [step["question"] for step in result["steps"]] == [TRANSLATION, "Where was Rosalind Thackwell born?"]
    assert result["answer"].startswith("罗莎琳德（Hexham")
    assert model.prompts["TRANSLATE_QUESTION"] == 1


def test_a_question_in_the_documents_language_is_not_translated() -> None:
    model = polyglot()

    assert run(model, TRANSLATION)["answer"] == "Rosalind Thackwell [1]"
    assert model.prompts["TRANSLATE_QUESTION"] + model.prompts["TRANSLATE_ANSWER"] == 0


def test_nor_is_one_in_the_language_of_some_of_them() -> None:
    model = polyglot()
    documents = [
        *notebook(60, {5: LIT}),
        *(Document(f"第{n}日，无事可记。", metadata={"source": str(n)}) for n in range(40)),
    ]

    ask_over(documents, model, ASKED, "retrieve")

    assert told(model, "Read the numbered")[0].endswith(f"Question: {ASKED}\nAnswer in Chinese.")
    assert model.prompts["TRANSLATE_ANSWER"] == 0


def test_an_answer_of_figures_alone_needs_no_translation() -> None:
    model = polyglot(answer="[1] 31.4")

    run(model)

    assert model.prompts["TRANSLATE_ANSWER"] == 0


def test_an_answer_in_the_form_that_the_question_demands_is_left_as_it_is() -> None:
    model = polyglot(analyze=search_plan(ASKED, question_en="Who kindled the light?", question_zh=ASKED))

    result = run(model, f"{ASKED}请用英文回答。")

    assert told(model, "Read the numbered")[0].endswith("How to answer: 请用英文回答。")
    assert result["answer"] == "Rosalind Thackwell [1]"


def test_a_translation_that_is_not_paid_for_is_left_out() -> None:
    model = polyglot()

    result = run(model, max_model_calls=3)

    assert (result["answer"], result["found"], model.calls) == ("Rosalind Thackwell [1]", True, 3)


LIT_ZH = "灯是罗莎琳德点亮的。"


def answer_from_chinese(first: str, question: str = TRANSLATION, **knobs: Any) -> tuple[QAOutput, RuleChatModel]:
    """Return what becomes of a model's first answer to an English question over Chinese documents."""
    model = polyglot(
        analyze=search_plan(TRANSLATION, question_en=TRANSLATION, question_zh=ASKED),
        translate_question=ASKED,
        answer={"用中文回答。": f"{LIT_ZH}[1]", "Answer in": first, "How to answer": first},
        translate_answer="Rosalind did.",
        check="yes",
    )
    return ask_over(diary(60, {5: LIT_ZH}), model, question, "retrieve", **knobs), model


def test_an_english_answer_from_chinese_documents_is_asked_for_again_in_chinese() -> None:
    result, model = answer_from_chinese("Nobody lit it.")

    assert (result["answer"], result["found"]) == (f"Rosalind did. ({LIT_ZH}[1])", True)
    assert model.prompts["ANSWER"] == 2
    assert result["usage"]["model_calls"] == model.calls


@pytest.mark.parametrize(
    ("first", "question"),
    [
        (f"{LIT_ZH}[1]", TRANSLATION),
        ("31.4 [1]", TRANSLATION),
        ("The passages do not mention it.", TRANSLATION),
        ("Rosalind [1]", f"{TRANSLATION} Answer in English."),
    ],
)
def test_but_not_if_there_is_nothing_to_put_into_chinese(first: str, question: str) -> None:
    _, model = answer_from_chinese(first, question)

    assert model.prompts["ANSWER"] == 1


def test_nor_if_that_is_not_paid_for() -> None:
    result, model = answer_from_chinese("Nobody lit it.", max_model_calls=3)

    assert (result["answer"], result["found"], model.calls) == ("Nobody lit it.", False, 3)


@pytest.mark.parametrize(
    ("translation", "expected"),
    [
        ("罗莎琳德", "罗莎琳德（Ada [1]）"),
        ("Ada war es.", "Ada war es. (Ada [1])"),
        ("Ada", "Ada [1]"),
        ("", "Ada [1]"),
    ],
)
def test_a_translation_stands_before_the_answer_if_it_says_it_otherwise(translation: str, expected: str) -> None:
    assert beside(translation, "Ada [1]") == expected
