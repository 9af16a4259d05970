"""Level 1 adds up what many places say, and leaves the rest to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert, search_plan

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.graphs.tallying import put_in_words, route_aggregate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_qwen_longctx.aggregation import Aggregate
    from langchain_qwen_longctx.schemas import QAOutput

COUNT = "How many times did the ferry Selholm call at Velmar?"
CALLS = {page: f"On day {page}, the ferry Selholm called at Velmar." for page in (3, 20, 41, 59)}
VOTES = {
    page: f"In the election of Orsk, a vote was cast for {name}."
    for page, name in ((2, "Ada"), (9, "Ida"), (50, "Ada"))
}
BOATS = {page: f"Ada Brook owns a boat called {name}." for page, name in ((4, "Orl"), (31, "Tamander"), (55, "Quin"))}


def run(question: str, planted: Mapping[int, str], pages: int = 60, **others: Any) -> tuple[QAOutput, RuleChatModel]:
    model = RuleChatModel(respond=expert({}, **others))
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
    qa = create_long_context_qa(model=model, documents=notebook(pages, planted), config=config)
    return qa.invoke({"question": question, "level": "retrieve"}), model


@pytest.mark.parametrize(
    ("question", "planted", "answer"),
    [
        (COUNT, CALLS, "4 times [1] [2] [3] [4]"),
        ("Who got the most votes in the election of Orsk?", VOTES, "Ada (2 of 3) [1] [2] [3]"),
        ("What are the boats of Ada Brook called? Name them all.", BOATS, "Orl [1], Tamander [2], Quin [3]"),
    ],
)
def test_the_answer_rests_on_every_place(question: str, planted: Mapping[int, str], answer: str) -> None:
    result, model = run(question, planted)

    assert (result["answer"], result["found"]) == (answer, True)
    assert [citation["quote"] for citation in result["citations"]] == list(planted.values())
    assert result["coverage"]["chunks_relevant"] == len(planted)
    assert model.prompts == {"ANALYZE": 1}


@pytest.fixture
def many_calls() -> dict[int, str]:
    tide = "The tide was high. " * 30
    return {page: f"On day {page}, the ferry Selholm called at Velmar. {tide}" for page in range(90)}


def test_no_place_is_left_out_however_many_there_are(many_calls: dict[int, str]) -> None:
    result, _ = run(COUNT, many_calls, pages=90)

    assert result["answer"].startswith("90 times [1] [2]")


def test_where_there_may_be_more_places_than_are_looked_through_nothing_is_added_up(
    many_calls: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_qwen_longctx.graphs.tallying.MAX_CHUNKS_TALLIED", 40)

    result, model = run(COUNT, many_calls, pages=90)

    assert "40 times" not in result["answer"]
    assert model.prompts["ANSWER"] == 1


def test_a_question_in_another_language_is_added_up_by_its_translation() -> None:
    result, _ = run(
        "渡船Selholm一共停靠了Velmar多少次？",
        CALLS,
        translate_question=COUNT,
        analyze=search_plan("渡船停靠了多少次？", question_en=COUNT),
        translate_answer="4次",
    )

    assert result["answer"] == "4次（4 times [1] [2] [3] [4]）"


def test_what_cannot_be_added_up_goes_to_the_model() -> None:
    _, model = run("How many times was the lamp mended?", {7: "The lamp was mended three times."}, answer="Three [1]")

    assert model.prompts["ANSWER"] == 1


def test_only_questions_that_ask_for_it_are_added_up() -> None:
    assert route_aggregate({"question": COUNT}) == "tally"
    assert route_aggregate({"question": "Who kept the light?"}) == "select"


@pytest.mark.parametrize(
    ("aggregate", "found", "expected"),
    [
        ("count", [("", 2)], "2次 [1] [2]"),
        ("most", [("沈墨云", 1), ("梁知远", 1)], "沈墨云、梁知远（2处中的1处） [1] [2]"),
        ("all", [("沈墨云", 1), ("梁知远", 1)], "沈墨云 [1]、梁知远 [2]"),
    ],
)
def test_it_is_put_in_chinese_words_as_well(aggregate: Aggregate, found: list[tuple[str, int]], expected: str) -> None:
    quotes = ["在青云湾的选举中，沈墨云得到一票。", "在青云湾的选举中，梁知远得到一票。"]

    assert put_in_words(aggregate, found, quotes, "zh") == expected
