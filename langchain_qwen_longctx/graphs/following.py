"""Answer in two steps without sub-questions: from the best passage for a question and one that it leads on to.

Many a question of two steps comes back undivided when a small model is to take it apart. It answers it from the two
passages that hold the steps, but not from these among many. Which passage the second one is, it can tell: put before
it beside the first, one after the other, it says whether they answer the question.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langgraph.graph import START, StateGraph

from langchain_qwen_longctx.bridges import closest_sentence, is_bridge
from langchain_qwen_longctx.graphs.checking import add_checking, ask_whether, is_sure
from langchain_qwen_longctx.graphs.ranking import best_passages, led_on_to, retrieve
from langchain_qwen_longctx.graphs.retrieval import (
    MAX_FURTHER,
    RetrievalInput,
    add_answering,
    evidence_budget,
    put_forward,
    route_evidence,
)
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, add_spent, having_spent
from langchain_qwen_longctx.passages import Passage, overlaps, text_of, texts_of
from langchain_qwen_longctx.prompt_injection import disarm

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BESIDE = 4
"""Among so many of the best passages for the question, its second step may be as well."""

MAX_TRIED = 3
"""So many of them are put before the model beside the best passage."""

MAX_UNSURE = 2
"""So many are evidence if the model says of none that it answers the question."""


def build_following_graph(resources: QAResources) -> StateGraph[QAState, None, RetrievalInput, QAState]:
    """Return the graph from a plan to citations, not yet compiled."""
    graph = StateGraph(QAState, input_schema=RetrievalInput)
    graph.add_node("retrieve", partial(retrieve, resources))
    graph.add_node("pair", partial(pair, resources))
    add_answering(graph, resources)
    add_checking(graph, resources, after="cite", by=check_pair)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "pair")
    graph.add_conditional_edges("pair", route_evidence)
    return graph


def pair(resources: QAResources, state: QAState) -> QAState:
    """Choose as evidence the best passage and that one of the others with which the model says it answers.

    If it says so of none, the two likeliest are taken.
    """
    best = best_passages(resources, state)
    if not best:
        return {"evidence": [], "evidence_tokens": 0}
    others = likeliest_steps(resources, state["plan"], best[0], best[1:MAX_BESIDE])
    first, chosen = text_of(best[0], resources.chunks), others[:MAX_UNSURE]
    spent: Spent = {}
    for other in others[:MAX_TRIED]:
        text = disarm(f"{first}\n{text_of(other, resources.chunks)}", state["question"])
        verdict = ask_whether(resources, having_spent(state, spent), text, answers_kept=1)
        spent = add_spent(spent, verdict["spent"])
        if verdict.get("found"):
            chosen = [other]
            break
    return {**put_forward(resources, [best[0], *chosen], evidence_budget(resources, state)), "spent": spent}


def check_pair(resources: QAResources, state: QAState) -> QAState:
    """Tell from the words of the question whether the passages together can answer it.

    What is cited has little of a question of two steps, and a small model that is shown it says no too often.
    """
    evidence = state["evidence"]
    text = disarm(texts_of(evidence, resources.chunks), state["question"])
    return {"found": is_sure(resources, state, text, evidence)}


def likeliest_steps(resources: QAResources, plan: Plan, first: Passage, beside: Sequence[Passage]) -> list[Passage]:
    """Return what may be the step after a passage, the likeliest first.

    These are the passages that it names something of, before the others; and among them, that with which it says most
    of the question.
    """
    text, questions, weights = text_of(first, resources.chunks), plan["queries"], resources.weights
    led_on = (
        led_on_to(resources, plan, [told])[:MAX_FURTHER] for told in (closest_sentence(text, questions, weights), text)
    )

    def likelihood(other: Passage) -> tuple[bool, float]:
        following = text_of(other, resources.chunks)
        return is_bridge(text, following, questions, weights), weights.support(f"{text}\n{following}", questions)

    others = [other for passages in (*led_on, beside) for other in passages if not overlaps(other, first)]
    distinct = {(other["chunk_id"], other["start"]): other for other in others}
    return sorted(distinct.values(), key=likelihood, reverse=True)
