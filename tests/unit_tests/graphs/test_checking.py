"""Whether what is cited answers the question: by its words where they tell, or else by the model's own."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
from notebook import ask_over, notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx.graphs.checking import is_no, route_found, route_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_qwen_longctx.schemas import Level, QAOutput

LIT = "Rosalind Thackwell lit the lamp at the pier."


def ask(
    question: str, *verdicts: str, level: Level = "retrieve", planted: str = "", **knobs: Any
) -> tuple[QAOutput, RuleChatModel]:
    """Ask a model that always takes the same sentence for the answer, and gives these verdicts, the last for good."""
    well, given = expert({}), chain(verdicts, repeat(verdicts[-1]))

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        match prompt_of(messages):
            case "ANSWER":
                return "Rosalind Thackwell [1]"
            case "CHECK":
                return next(given)
            case _:
                return well(messages)

    model = RuleChatModel(respond=respond)
    return ask_over(notebook(60, {5: LIT, 50: planted}), model, question, level, **knobs), model


def test_an_answer_whose_source_speaks_of_the_whole_question_takes_no_check() -> None:
    result, model = ask("Who lit the lamp?", "no")

    assert (result["found"], result["answer"]) == (True, "Rosalind Thackwell [1]")
    assert model.prompts["CHECK"] == 0


def test_an_answer_whose_source_speaks_of_something_else_is_declined_without_a_check() -> None:
    result, model = ask("Who conducted the Ottoman orchestra of Trebizond beside the lamp?", "yes")

    assert (result["found"], result["citations"]) == (False, [])
    assert result["answer"] == "The documents do not answer this question."
    assert model.prompts["CHECK"] == 0


@pytest.mark.parametrize(
    ("verdict", "looks", "found"), [("Yes", 2, True), ("No.", 1, False), ("不能", 1, False), ("Perhaps", 2, True)]
)
def test_in_between_the_model_says_whether_it_answers(verdict: str, looks: int, found: bool) -> None:
    result, model = ask("Who lit the green lamp in Lisbon?", verdict)

    assert model.prompts["CHECK"] == looks
    assert (result["found"], bool(result["citations"])) == (found, found)
    assert result["usage"]["model_calls"] == model.calls


def test_an_answer_in_doubt_stands_where_two_passages_give_none() -> None:
    alone, _ = ask("Who lit the green lamp in Lisbon?", "yes")

    result, model = ask("Who lit the green lamp in Lisbon?", "yes", level="auto")

    for outcome in (alone, result):
        assert (outcome["answer"], outcome["found"]) == ("Rosalind Thackwell [1]", True)
        assert (outcome["level"], outcome["stopped"]) == ("retrieve", None)
    assert result["citations"] == alone["citations"]
    assert model.prompts["ANSWER"] == 2
    assert result["usage"]["model_calls"] == model.calls


def test_a_check_that_is_not_paid_for_leaves_the_answer_as_it_is() -> None:
    result, model = ask("Who lit the green lamp in Lisbon?", "no", max_model_calls=2)

    assert result["found"]
    assert model.prompts["CHECK"] == 0
    assert result["stopped"] is None


@pytest.mark.parametrize(
    ("question", "first", "second", "looks", "found"),
    [
        # The cited sentence names Thackwell, and not Lisbon.
        ("Who lit the green lamp in Lisbon?", "no", "yes", 1, False),
        ("Who lit the green lamp in Lisbon?", "yes", "no", 2, False),
        ("Who lit the green lamp in Lisbon?", "yes", "yes", 2, True),
        ("What colour did Thackwell paint the lamp?", "yes", "no", 1, True),
        ("What colour did Thackwell paint the lamp?", "no", "yes", 2, True),
        ("What colour did Thackwell paint the lamp?", "no", "no", 2, False),
    ],
)
def test_where_the_names_say_otherwise_the_model_looks_again(
    question: str, first: str, second: str, looks: int, found: bool
) -> None:
    result, model = ask(question, first, second)

    assert model.prompts["CHECK"] == looks
    assert result["found"] == found
    assert result["usage"]["model_calls"] == model.calls


@pytest.mark.parametrize("level", ["retrieve", "read", "auto"])
def test_what_is_named_and_nobody_has_heard_of_has_no_answer(level: Level) -> None:
    result, model = ask("Who lit the green lamp of Tamdellor?", "yes", level=level)

    assert (result["found"], result["citations"]) == (False, [])
    assert (model.prompts["CHECK"], model.prompts["READ"]) == (0, 0)


@pytest.mark.parametrize(
    ("question", "planted"),
    [
        ("Who lit the green lamp of Tamdellor?", "Tamdellor is a village."),
        ("Who lit the green lamp of Tamdellor?", "Tamdellor's fair was dull."),
        ("Who lit the green lamp of Lisbon?", ""),
        ("How did Rosalynd Thackwel like the green lamp?", ""),
    ],
)
def test_the_model_says_where_a_name_is_known_or_misspelled(question: str, planted: str) -> None:
    result, model = ask(question, "yes", planted=planted)

    assert result["found"]
    assert model.prompts["CHECK"] == 2


def test_a_name_of_elsewhere_that_is_spelled_nearly_so_is_another_one() -> None:
    result, model = ask("Who lit the green lamp of Tamdellor?", "yes", planted="The road to Tamdelloz is steep.")

    assert not result["found"]
    assert model.prompts["CHECK"] == 0


def test_a_full_reading_reads_for_a_name_that_nobody_has_heard_of_as_well() -> None:
    result, model = ask("Who lit the green lamp of Tamdellor?", "yes", level="read", coverage="full")

    assert not result["found"]
    assert model.prompts["READ"] == result["coverage"]["chunks_total"] == 60


def test_a_second_look_is_at_the_cited_sentence_alone() -> None:
    _, model = ask("Who lit the green lamp in Lisbon?", "yes")
    first, second = (messages[-1].text for messages in model.history if prompt_of(messages) == "CHECK")

    assert LIT in first
    assert f"Text: {LIT}\n" in second
    assert len(second) < len(first)


def test_a_second_look_that_is_not_paid_for_leaves_the_first_one_to_stand() -> None:
    result, model = ask("Who lit the green lamp in Lisbon?", "yes", "no", max_model_calls=3)

    assert model.prompts["CHECK"] == 1
    assert result["found"]
    assert result["stopped"] is None


def test_a_verdict_is_no_however_it_is_written() -> None:
    assert all(map(is_no, ["no", "No.", " NO, it does not", "否", "不是", "没有"]))
    assert not any(map(is_no, ["yes", "是", "", "Yes, no doubt"]))


def test_only_what_cites_something_is_checked() -> None:
    assert route_found({"found": False}) == "end"
    assert route_found({"found": True}) == "check"


def test_what_is_not_found_is_declined() -> None:
    assert route_verdict({"found": False}) == "decline"
    assert route_verdict({"found": True}) == "end"
