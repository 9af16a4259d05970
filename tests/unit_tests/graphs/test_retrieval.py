from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document

from langchain_qwen_longctx.graphs.analysis import wording
from langchain_qwen_longctx.graphs.retrieval import above_floor, render, route_answer, route_evidence, style

if TYPE_CHECKING:
    from langchain_qwen_longctx.graphs.state import Plan, QAState


def scored(identifier: str, score: float | None) -> Document:
    metadata = {"chunk_id": identifier} | ({} if score is None else {"score": score})
    return Document("text", metadata=metadata)


def plan(translation: str, instruction: str = "") -> Plan:
    return {"information": "", "instruction": instruction, "translation": translation, "queries": [], "keywords": []}


def test_chunks_far_below_the_best_are_no_evidence() -> None:
    documents = [scored("a", 10.0), scored("b", 2.6), scored("c", 2.4)]

    assert above_floor(documents, 0.25) == {"a": 1.0, "b": 0.26}


def test_without_scores_or_with_negative_ones_every_match_is_evidence_and_counts_by_its_place() -> None:
    assert above_floor([scored("a", None), scored("b", None)], 0.75) == {"a": 1.0, "b": 0.5}
    assert above_floor([scored("a", -1.0), scored("b", -2.0)], 0.75) == {"a": 1.0, "b": 0.5}
    assert above_floor([], 0.25) == {}


def test_passages_are_numbered_from_one() -> None:
    passages = [Document("First.", metadata={"source": "a.md"}), Document("Second.", metadata={"source": "a.md"})]

    assert render(passages) == "[1] First.\n\n[2] Second."


def test_passages_of_several_sources_name_theirs() -> None:
    passages = [Document("First.", metadata={"source": "a.md"}), Document("Second.", metadata={"source": "b.md"})]

    assert render(passages) == "[1] (a.md)\nFirst.\n\n[2] (b.md)\nSecond."


@pytest.mark.parametrize(
    ("question", "instruction", "line"),
    [
        ("谁是主席？", "", "Answer in Chinese."),
        ("Who was the chair in 2019?", "", "Answer in English."),
        ("谁是主席？", "请用英文回答", "How to answer: 请用英文回答"),
    ],
)
def test_the_answer_is_in_the_questions_language_unless_it_says_how(question: str, instruction: str, line: str) -> None:
    assert style({"question": question, "plan": plan("", instruction)}) == line


def test_a_question_that_was_put_into_the_documents_language_is_answered_in_that() -> None:
    state: QAState = {"question": "谁是主席？", "plan": plan("Who was the chair?")}

    assert (wording(state), style(state)) == ("谁是主席？\nWho was the chair?", "Answer in English.")
    assert wording({"question": "谁是主席？"}) == "谁是主席？"


def test_the_routes_follow_evidence_and_draft() -> None:
    assert route_evidence({"evidence": []}) == "decline"
    assert route_evidence({"evidence": [{"chunk_id": "a", "start": 0, "end": 1}]}) == "answer"
    assert route_answer({"draft": "NOT FOUND"}) == "decline"
    assert route_answer({"draft": "Ada [1]"}) == "cite"
