"""Whether what is cited answers the question: by its words where they tell, or else by the model's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.graphs.checking import is_no, route_found, route_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_qwen_longctx.schemas import Level, QAOutput

LIT = "Rosalind Thackwell lit the lamp at the pier."


def ask(question: str, verdict: str, *, level: Level = "retrieve", **knobs: Any) -> tuple[QAOutput, RuleChatModel]:
    """Ask a model that always takes the same sentence for the answer."""
    well = expert({}, check=verdict)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return "Rosalind Thackwell [1]" if prompt_of(messages) == "ANSWER" else well(messages)

    model = RuleChatModel(respond=respond)
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    qa = create_long_context_qa(model=model, documents=notebook(60, {5: LIT}), config=config)
    return qa.invoke({"question": question, "level": level}), model


def test_an_answer_whose_source_speaks_of_the_whole_question_takes_no_check() -> None:
    result, model = ask("Who lit the lamp?", "no")

    assert (result["found"], result["answer"]) == (True, "Rosalind Thackwell [1]")
    assert model.prompts["CHECK"] == 0


def test_an_answer_whose_source_speaks_of_something_else_is_declined_without_a_check() -> None:
    result, model = ask("Who conducted the Ottoman orchestra of Trebizond beside the lamp?", "yes")

    assert (result["found"], result["citations"]) == (False, [])
    assert result["answer"] == "The documents do not answer this question."
    assert model.prompts["CHECK"] == 0


@pytest.mark.parametrize(("verdict", "found"), [("Yes", True), ("No.", False), ("不能", False), ("Perhaps", True)])
def test_in_between_the_model_says_whether_it_answers(verdict: str, found: bool) -> None:
    result, model = ask("Who lit the green lamp in Trebizond?", verdict)

    assert model.prompts["CHECK"] == 1
    assert (result["found"], bool(result["citations"])) == (found, found)
    assert result["usage"]["model_calls"] == model.calls


def test_a_check_that_is_not_paid_for_leaves_the_answer_as_it_is() -> None:
    result, model = ask("Who lit the green lamp in Trebizond?", "no", max_model_calls=2)

    assert result["found"]
    assert model.prompts["CHECK"] == 0
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
