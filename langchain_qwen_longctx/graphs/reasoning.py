"""Level 3: ask oneself what has to be known first, look it up, remember it, and go on until the question is answered.

No tools are called: the model only writes the next sub-question or says that it knows enough, and plain rules do the
rest, so that small models can follow.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.citations import without_markers
from langchain_qwen_longctx.errors import OutOfBudgetError
from langchain_qwen_longctx.events import emit
from langchain_qwen_longctx.graphs.analysis import plan_search
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.lookup import build_lookup_graph
from langchain_qwen_longctx.graphs.nesting import hand_down, nest
from langchain_qwen_longctx.graphs.retrieval import add_answering, evidence_budget, put_forward, route_evidence
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, spent_on
from langchain_qwen_longctx.passages import Passage, around_span, text_of
from langchain_qwen_longctx.prompts import FIRST_QUESTION, NEXT_QUESTION
from langchain_qwen_longctx.schemas import Citation, Level, Step  # noqa: TC001 - LangGraph reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_qwen_longctx.chat_models import Reply

SAME_QUESTION = 0.8
"""From this share of common terms on, two questions count as the same."""


class Fact(TypedDict):
    """What is remembered of a sub-question.

    Attributes:
        question: The sub-question.
        answer: What was found, with markers of its own citations; or that nothing was.
        found: Whether the documents answer it.
        citations: The spans behind it.
        evidence: The sentences that they name, with their neighbours.
    """

    question: str
    answer: str
    found: bool
    citations: list[Citation]
    evidence: list[Passage]


class ReasoningInput(TypedDict, total=False):
    """What level 3 starts from.

    Attributes:
        question: The question.
        plan: What to search for, if the question has been looked up before.
        memory: What was found then.
        hop_level: The level at which sub-questions are looked up. Default `auto`: 1 and, if that finds nothing, 2.
        started: When the question came.
        spent_above: What was spent on it before.
    """

    question: str
    plan: Plan
    memory: list[Fact]
    hop_level: Level
    started: float
    spent_above: Spent


class ReasoningState(QAState, total=False):
    """State of the loop.

    Attributes:
        memory: What is known so far, in the order in which it was found.
        hop_level: As in `ReasoningInput`.
        sub_question: What is looked up next; empty when the loop is over.
    """

    memory: Annotated[list[Fact], operator.add]
    hop_level: Level
    sub_question: str


def build_reasoning_graph(resources: QAResources) -> StateGraph[ReasoningState, None, ReasoningInput, ReasoningState]:
    """Return the graph of level 3, from a question to citations, not yet compiled."""
    graph = StateGraph(ReasoningState, input_schema=ReasoningInput)
    graph.add_node("propose", partial(propose, resources))
    lookup = build_lookup_graph(resources).compile(name="look_up")
    graph.add_node("look_up", nest(hand_down_sub_question, lookup, partial(remember, resources)))
    graph.add_node("recall", recall)
    graph.add_node("conclude", partial(conclude, resources))
    add_answering(graph, resources)
    graph.add_edge(START, "propose")
    graph.add_conditional_edges("propose", route_proposal)
    graph.add_edge("look_up", "propose")
    graph.add_edge("recall", END)
    graph.add_conditional_edges("conclude", route_evidence)
    return graph


def propose(resources: QAResources, state: ReasoningState) -> ReasoningState:
    """Let the model write the next sub-question.

    A sub-question that found nothing is followed by the question itself, if that has not been looked up yet.
    """
    question, memory = state["question"], state.get("memory", [])
    if state.get("halted") or len(memory) >= resources.config.max_hops:
        return {"sub_question": ""}
    is_first = not any(fact["found"] for fact in memory)
    if is_first and any(fact["question"] != question for fact in memory):
        return {"sub_question": choose(question, "", memory)}
    prompt = FIRST_QUESTION if is_first else NEXT_QUESTION
    variables = {"question": question, "known": known(resources, memory)}
    try:
        reply: Reply[Any] = call(resources, state, prompt, variables)
    except OutOfBudgetError as error:
        return {"sub_question": "", "halted": [error.reason], "spent": spent_on(error)}
    return {"sub_question": choose(question, reply.text, memory), "spent": spent_on(reply)}


def known(resources: QAResources, memory: Sequence[Fact]) -> str:
    """Return what is known, in the words of the documents, one fact a line."""
    passages = [passage for fact in memory if fact["found"] for passage in fact["evidence"]]
    return "\n".join(" ".join(text_of(passage, resources.chunks).split()) for passage in passages)


def choose(question: str, proposal: str, memory: Sequence[Fact]) -> str:
    """Return what is looked up next, or nothing.

    Of a proposal, its first line counts. One that was looked up before, in these words or nearly so, is no progress and
    ends the loop, and so does the question itself: nothing in it is left to be replaced by what is known. Before
    anything has been found, the question takes the place of such a proposal.
    """
    lines = proposal.strip().splitlines()
    wanted = lines[0].strip() if lines else ""
    asked = [fact["question"] for fact in memory]
    if wanted and not is_asked(wanted, [*asked, question]):
        return wanted
    anything = any(fact["found"] for fact in memory)
    return "" if anything or is_asked(question, asked) else question


def is_asked(question: str, asked: Sequence[str]) -> bool:
    """Tell whether a question is among others, in these words or nearly so."""
    terms = set(analyze(question))
    return any(overlap(terms, set(analyze(other))) >= SAME_QUESTION for other in asked)


def overlap(left: set[str], right: set[str]) -> float:
    """Return the share of terms that two sets have in common; 1 for two empty ones."""
    union = left | right
    return len(left & right) / len(union) if union else 1.0


def route_proposal(state: ReasoningState) -> Literal["look_up", "recall", "conclude"]:
    """Look up the next sub-question; without one, conclude from what is known, if that is more than one fact."""
    if state["sub_question"]:
        return "look_up"
    return "recall" if len([fact for fact in state.get("memory", []) if fact["found"]]) == 1 else "conclude"


def hand_down_sub_question(state: ReasoningState) -> dict[str, Any]:
    """Return a state that begins anew with the sub-question."""
    spent = hand_down(state)["spent_above"]
    level = state.get("hop_level", "auto")
    return {"question": state["sub_question"], "level": level, "started": state["started"], "spent_above": spent}


def remember(resources: QAResources, result: dict[str, Any]) -> ReasoningState:
    """Keep what was found for a sub-question, and what it cost."""
    fact = to_fact(resources, result)
    emit("hop", to_step(fact))
    halted = result.get("halted", [])
    return {"memory": [fact], "spent": result["spent"], "touched": result["touched"], "halted": halted}


def to_fact(resources: QAResources, outcome: Mapping[str, Any]) -> Fact:
    """Return what is remembered of a question that was looked up."""
    return {
        "question": outcome["question"],
        "answer": outcome["answer"],
        "found": outcome["found"],
        "citations": outcome["citations"],
        "evidence": [cited_passage(resources, citation) for citation in outcome["citations"]],
    }


def cited_passage(resources: QAResources, citation: Citation) -> Passage:
    """Return a cited sentence and its neighbours."""
    chunk = resources.chunks[citation["chunk_id"]]
    first = chunk.metadata["start"]
    return around_span(chunk, citation["start"] - first, citation["end"] - first)


def recall(state: ReasoningState) -> ReasoningState:
    """Answer with the one thing that was found: to repeat it to the model would only cost."""
    fact = next(fact for fact in state["memory"] if fact["found"])
    return {"answer": fact["answer"], "found": True, "citations": fact["citations"], "steps": steps(state)}


def conclude(resources: QAResources, state: ReasoningState) -> QAState:
    """Put before the model what it remembers."""
    memory = state.get("memory", [])
    passages = [passage for fact in memory if fact["found"] for passage in fact["evidence"]]
    chosen = put_forward(resources, passages, evidence_budget(resources, state))
    chosen["plan"] = state.get("plan") or plan_search(state["question"], None)
    chosen["steps"] = steps(state)
    chosen["answered_at"] = "reason"
    return chosen


def steps(state: ReasoningState) -> list[Step]:
    """Return the sub-questions in order; the question itself is none."""
    return [to_step(fact) for fact in state.get("memory", []) if fact["question"] != state["question"]]


def to_step(fact: Fact) -> Step:
    """Return what users see of a fact: without the markers of its own citations."""
    return {"question": fact["question"], "answer": without_markers(fact["answer"]), "found": fact["found"]}
