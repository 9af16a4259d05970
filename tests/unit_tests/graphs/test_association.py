"""A question whose name the documents do not have: searched for by what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from notebook import diary, notebook
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.graphs.association import naming, without
from langchain_qwen_longctx.languages import detect_language

if TYPE_CHECKING:
    from langchain_qwen_longctx.schemas import Level, QAOutput

FACT = "Rosalind Thackwell has rooms beside the Semperoper."
QUESTION = "Who lives in Dresden?"
GUESS = "Who lives in Semperoper?"
NAMES = '{"names": ["The Zwinger", "Dresden Semperoper", "Frauenkirche"]}'


def model(associate: str = NAMES, **others: str) -> RuleChatModel:
    facts = {"lives in Semperoper": (FACT, "Rosalind Thackwell")}
    return RuleChatModel(respond=expert(facts, **{"associate": associate, "belongs": "yes", "check": "yes", **others}))


def ask(
    model: RuleChatModel, question: str = QUESTION, level: Level = "read", fact: str = FACT, **knobs: Any
) -> QAOutput:
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    pages = diary if detect_language(fact) == "zh" else notebook
    qa = create_long_context_qa(model=model, documents=pages(120, {70: fact}), config=config)
    return qa.invoke({"question": question, "level": level})


def told_with(model: RuleChatModel, words: str) -> list[str]:
    """Return what a model was told with these words in it."""
    return [messages[-1].text for messages in model.history if words in messages[-1].text]


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

    [told] = told_with(expert_model, "Passages:")
    assert told == f"Question: {GUESS}\n\nPassages:\n\n[1] {FACT}\n\nQuestion: {GUESS}\nAnswer in English."


def test_whether_that_is_an_answer_is_asked_with_the_name_beside_what_stands_for_it() -> None:
    expert_model = model()

    ask(expert_model)

    [told] = told_with(expert_model, "Does the text answer")
    placed = "Rosalind Thackwell has rooms beside the Semperoper of Dresden."
    assert told.startswith(f"Question: {QUESTION}\n\nText: {placed}\n")


def test_in_chinese_the_name_stands_before_it() -> None:
    fact = "罗思远的住处紧挨着茨温格宫。"
    rule = expert({"家在茨温格宫": (fact, "罗思远")}, associate='{"names": ["茨温格宫"]}', belongs="yes", check="yes")
    expert_model = RuleChatModel(respond=rule)

    assert ask(expert_model, "谁家在德累斯顿？", fact=fact)["found"]

    [told] = told_with(expert_model, "Does the text answer")
    assert told.startswith("Question: 谁家在德累斯顿？\n\nText: 罗思远的住处紧挨着德累斯顿的茨温格宫。\n")


@pytest.mark.parametrize(
    ("question", "fact", "other"),
    [
        ("Who lives in Seoul?", "Rosalind Thackwell sleeps at Gyeongbokgung palace.", "Gyeongbokgung palace"),
        ("谁家在武汉？", "罗思远的住处紧挨着黄鹤楼。", "黄鹤楼"),
    ],
)
def test_what_the_model_does_not_list_the_dictionary_may_explain_by_the_name(
    question: str, fact: str, other: str
) -> None:
    person = "罗思远" if "罗思远" in fact else "Rosalind Thackwell"
    rule = expert({other: (fact, person)}, associate='{"names": []}', belongs="yes", check="yes")
    expert_model = RuleChatModel(respond=rule)

    assert ask(expert_model, question, fact=fact)["answer"] == f"{person} [1]"
    assert expert_model.prompts["ASSOCIATE"] == 1


@pytest.mark.parametrize(
    ("question", "abroad", "listed", "fact", "other"),
    [
        ("Who lives in Moscow?", "莫斯科", "克里姆林宫", "Rosalind Thackwell has rooms beside the Kremlin.", "Kremlin"),
        ("谁家在伦敦？", "London", "The Big Ben", "罗思远的住处紧挨着大本钟。", "大本钟"),
    ],
)
def test_what_the_documents_have_of_neither_is_asked_for_in_the_other_language(
    question: str, abroad: str, listed: str, fact: str, other: str
) -> None:
    person = "罗思远" if "罗思远" in fact else "Rosalind Thackwell"
    lists = {abroad: f'{{"names": ["{listed}"]}}', "": '{"names": []}'}
    rule = expert({other: (fact, person)}, associate=lists, belongs="yes", check="yes")
    expert_model = RuleChatModel(respond=rule)

    assert ask(expert_model, question, fact=fact)["answer"] == f"{person} [1]"
    assert expert_model.prompts["ASSOCIATE"] == 2
    asked = told_with(expert_model, "Eight names in")
    languages = ["Chinese", "English"] if detect_language(question) == "zh" else ["English", "Chinese"]
    assert [text.partition("Eight names in ")[2] for text in asked] == [f"{language}:" for language in languages]


def test_without_a_call_left_for_the_other_language_it_is_not_asked_in_that() -> None:
    expert_model = model('{"names": []}')

    result = ask(expert_model, "Who lives in Moscow?", max_model_calls=3)

    assert result["stopped"] == "budget"
    assert expert_model.prompts["ASSOCIATE"] == 1


def test_what_is_everywhere_is_not_put_in_its_place() -> None:
    expert_model = model('{"names": ["Notebook"]}')

    assert not ask(expert_model)["found"]
    assert expert_model.prompts["BELONGS"] == 0


def test_where_the_model_says_that_this_is_no_answer_it_is_read() -> None:
    expert_model = model(check="no")

    result = ask(expert_model)

    assert not result["found"]
    assert result["question"] == QUESTION
    assert result["coverage"]["chunks_read"] > 1
    assert all(GUESS not in text for text in told_with(expert_model, "Text:\n"))


def test_what_is_no_part_of_it_is_not_put_in_its_place() -> None:
    expert_model = model(belongs="no")

    assert not ask(expert_model)["found"]
    assert expert_model.prompts["BELONGS"] == 1
    assert not told_with(expert_model, GUESS)


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


@pytest.mark.parametrize(
    ("name", "told", "left"),
    [
        (
            "Moscow",
            ["Moscow Kremlin", "the Kremlin", "Moscow", "Red  Square", "", "Moscow Kremlin"],
            ["Kremlin", "Red Square"],
        ),
        ("罗马", ["罗马斗兽场", "罗马", "斗兽场", "罗马人", "台伯河"], ["斗兽场", "台伯河"]),
        ("Han", ["Han dynasty", "Han Chinese", "silk"], ["Chinese", "silk"]),
        ("上海", ["上海大学", "上海中心大厦", "外滩"], ["中心大厦", "外滩"]),
    ],
)
def test_the_name_itself_articles_and_repetitions_are_left_out(name: str, told: list[str], left: list[str]) -> None:
    assert list(without(name, told)) == left


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("Ada lives beside the Eiffel Tower.", "Eiffel Tower", 1),
        ("Ada lives beside the Eiffel Tower.", "Tower", 0),
        ("The Tower is high. A tower is high.", "Tower", 1),
        ("Kremlin Square is wide.", "Kremlin", 0),
        ("The Kremlins are a family.", "Kremlin", 0),
        ("It is red. The Kremlin's walls are red.", "Kremlin", 1),
        ("Ada lives beside the Golden Pavilion.", "Golden pavilion", 1),
        ("The colours are black and golden.", "Golden", 0),
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
