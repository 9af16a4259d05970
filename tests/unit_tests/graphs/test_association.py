"""A question whose names the documents do not have: searched for by what belongs to these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.graphs.analysis import plan_search
from langchain_qwen_longctx.graphs.association import MAX_ASSOCIATIONS, associated, spoken_of

if TYPE_CHECKING:
    from langchain_qwen_longctx.schemas import Level, QAOutput

FACT = "Rosalind Thackwell has rooms beside the Semperoper."
QUESTION = "Who lives in Dresden?"
NAMES = '{"names": ["Zwinger", "Semperoper", "Frauenkirche"]}'


def model(associate: str = NAMES) -> RuleChatModel:
    return RuleChatModel(respond=expert({"lives in Dresden": (FACT, "Rosalind Thackwell")}, associate=associate))


def ask(model: RuleChatModel, question: str = QUESTION, level: Level = "read", **knobs: Any) -> QAOutput:
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    qa = create_long_context_qa(model=model, documents=notebook(120, {70: FACT}), config=config)
    return qa.invoke({"question": question, "level": level})


def test_what_belongs_to_a_name_leads_to_the_place_that_does_not_name_it() -> None:
    expert_model = model()

    result = ask(expert_model)

    assert result["answer"] == "Rosalind Thackwell [1]"
    assert [citation["quote"] for citation in result["citations"]] == [FACT]
    assert expert_model.prompts["ASSOCIATE"] == 1
    assert result["coverage"]["chunks_read"] <= 8


def test_the_question_stays_as_it_was_and_the_names_come_after_it() -> None:
    expert_model = model()

    result = ask(expert_model)

    read = [messages[-1].text for messages in expert_model.history if "Text:" in messages[-1].text]
    assert result["question"] == QUESTION
    assert all(text.startswith(f"Question: {QUESTION}\n{QUESTION} (Semperoper)\n") for text in read)


def test_level_1_does_not_ask_for_them() -> None:
    expert_model = model()

    assert not ask(expert_model, level="retrieve")["found"]
    assert expert_model.prompts["ASSOCIATE"] == 0


def test_a_name_that_the_documents_have_needs_none() -> None:
    expert_model = model()

    ask(expert_model, "Who stays beside the Semperoper?")

    assert expert_model.prompts["ASSOCIATE"] == 0


@pytest.mark.parametrize("reply", ['{"names": []}', '{"names": ["Zwinger"]}'])
def test_names_that_the_documents_do_not_have_change_nothing(reply: str) -> None:
    expert_model = model(reply)

    ask(expert_model)

    assert not any("Zwinger" in messages[-1].text for messages in expert_model.history)


def test_a_reply_that_cannot_be_read_costs_its_calls_and_no_more() -> None:
    result = ask(model("I would rather not."))

    assert not result["found"]
    assert result["usage"]["model_calls"] > 2


def test_without_a_call_left_it_is_not_asked() -> None:
    expert_model = model()

    result = ask(expert_model, max_model_calls=2)

    assert result["stopped"] == "budget"
    assert expert_model.prompts["ASSOCIATE"] == 0


def test_the_rarest_names_are_taken_and_not_too_many() -> None:
    texts = ["Alpha", "Alpha Beta", "Beta Gamma Delta Epsilon", *["The tide is high."] * 300]
    weights = TermWeights.from_texts(texts)

    assert spoken_of(["Alpha", "Gamma", "Delta", "Epsilon", "Omega", "the tide", "Gamma Omega", ""], weights) == [
        "Gamma",
        "Delta",
        "Epsilon",
    ]
    assert MAX_ASSOCIATIONS == 3


def test_in_chinese_they_stand_in_chinese_brackets() -> None:
    plan = associated(plan_search("谁住在巴黎？", None), "谁住在巴黎？", ["铁塔", "卢浮宫"])

    assert plan["queries"] == ["谁住在巴黎？", "谁住在巴黎？（铁塔、卢浮宫）"]
    assert plan["translation"] == "谁住在巴黎？（铁塔、卢浮宫）"


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Who lives in Kuala Lumpur?", ["Kuala Lumpur"]),
        ("Where is Dresden's opera?", ["Dresden"]),
        ("Who stays beside the Semperoper in Dresden?", ["Dresden"]),
        ("Who stays beside the Semperoper?", []),
        ("Dresden?", []),
        ("who lives where?", []),
        ("谁住在巴黎？", ["巴黎"]),
        ("谁住在这里？", []),
        ("", []),
    ],
)
def test_a_name_is_absent_if_the_documents_lack_one_of_its_words(question: str, names: list[str]) -> None:
    assert TermWeights.from_texts([FACT]).absent_names(question) == names
