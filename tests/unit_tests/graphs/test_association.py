"""A question whose name the documents do not have: searched for by what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from notebook import notebook
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.graphs.association import naming, without

if TYPE_CHECKING:
    from langchain_qwen_longctx.schemas import Level, QAOutput

FACT = "Rosalind Thackwell has rooms beside the Semperoper."
QUESTION = "Who lives in Dresden?"
GUESS = "Who lives in Semperoper?"
NAMES = '{"names": ["The Zwinger", "Dresden Semperoper", "Frauenkirche"]}'


def model(associate: str = NAMES, **others: str) -> RuleChatModel:
    facts = {"lives in Semperoper": (FACT, "Rosalind Thackwell")}
    return RuleChatModel(respond=expert(facts, **{"associate": associate, "belongs": "yes", **others}))


def ask(model: RuleChatModel, question: str = QUESTION, level: Level = "read", **knobs: Any) -> QAOutput:
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    qa = create_long_context_qa(model=model, documents=notebook(120, {70: FACT}), config=config)
    return qa.invoke({"question": question, "level": level})


def chunk(text: str) -> Document:
    return Document(page_content=text, metadata={"chunk_id": "a"})


def test_what_goes_with_a_name_leads_to_the_place_that_does_not_name_it() -> None:
    expert_model = model()

    result = ask(expert_model)

    assert result["answer"] == "Rosalind Thackwell [1]"
    assert [citation["quote"] for citation in result["citations"]] == [FACT]
    assert (result["question"], result["level"]) == (QUESTION, "read")
    assert expert_model.prompts == {"ANALYZE": 1, "ASSOCIATE": 1, "BELONGS": 1, "ANSWER": 1, "CHECK": 1}
    assert result["usage"]["model_calls"] == 5


def test_only_the_sentences_that_name_it_are_put_before_the_model() -> None:
    expert_model = model()

    ask(expert_model)

    [told] = [messages[-1].text for messages in expert_model.history if "Passages:" in messages[-1].text]
    assert told == f"Question: {GUESS}\n\nPassages:\n\n[1] {FACT}\n\nQuestion: {GUESS}\nAnswer in English."


def test_where_the_model_says_that_this_is_no_answer_it_is_read() -> None:
    expert_model = model(check="no")

    result = ask(expert_model)

    assert not result["found"]
    assert result["question"] == QUESTION
    assert result["coverage"]["chunks_read"] > 1
    assert all(GUESS not in messages[-1].text for messages in expert_model.history if "Text:\n" in messages[-1].text)


def test_what_is_no_part_of_it_is_not_put_in_its_place() -> None:
    expert_model = model(belongs="no")

    assert not ask(expert_model)["found"]
    assert expert_model.prompts["BELONGS"] == 1
    assert not any(GUESS in messages[-1].text for messages in expert_model.history)


def test_level_1_does_not_look_for_it() -> None:
    expert_model = model()

    assert not ask(expert_model, level="retrieve")["found"]
    assert expert_model.prompts["ASSOCIATE"] == 0


def test_left_to_itself_a_question_is_answered_so_after_level_1() -> None:
    result = ask(model(), level="auto")

    assert result["answer"] == "Rosalind Thackwell [1]"


def test_a_name_that_the_documents_have_needs_no_other() -> None:
    expert_model = model()

    ask(expert_model, "Who stays beside the Semperoper?")

    assert expert_model.prompts["ASSOCIATE"] == 0


@pytest.mark.parametrize("reply", ['{"names": []}', '{"names": ["Zwinger", "Dresden"]}', "I would rather not."])
def test_without_a_name_that_the_documents_have_it_is_read(reply: str) -> None:
    expert_model = model(reply)

    result = ask(expert_model)

    assert not result["found"]
    assert result["coverage"]["chunks_read"] > 1


def test_without_a_call_left_it_is_not_asked() -> None:
    expert_model = model()

    result = ask(expert_model, max_model_calls=2)

    assert result["stopped"] == "budget"
    assert expert_model.prompts["ASSOCIATE"] == 0


def test_the_name_itself_articles_and_repetitions_are_left_out() -> None:
    told = ["Moscow Kremlin", "the Kremlin", "Moscow", "Red  Square", "", "Moscow Kremlin"]

    assert list(without("Moscow", told)) == ["Kremlin", "Red Square"]


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("Ada lives beside the Eiffel Tower.", "Eiffel Tower", 1),
        ("Ada lives beside the Eiffel Tower.", "Tower", 0),
        ("The Tower is high. A tower is high.", "Tower", 1),
        ("Kremlin Square is wide.", "Kremlin", 0),
        ("The Kremlins are a family.", "Kremlin", 0),
        ("It is red. The Kremlin's walls are red.", "Kremlin", 1),
        ("阿达住在埃菲尔铁塔旁边。塔很高。", "埃菲尔铁塔", 1),
        ("", "Kremlin", 0),
    ],
)
def test_a_sentence_holds_a_name_if_it_stands_there_as_a_whole(text: str, name: str, count: int) -> None:
    assert len(list(naming(name, chunk(text)))) == count


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
