"""Levels 1 and 2 for one question: analyze it, search, and read if searching found nothing."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_qwen_longctx.graphs.analysis import analyze, route_translation, translate
from langchain_qwen_longctx.graphs.nesting import hand_down, nest
from langchain_qwen_longctx.graphs.reading import build_reading_graph
from langchain_qwen_longctx.graphs.retrieval import build_retrieval_graph
from langchain_qwen_longctx.graphs.state import AnsweringLevel, Plan, QAResources, QAState, Spent, bind, has_seen_all
from langchain_qwen_longctx.schemas import Level  # noqa: TC001 - LangGraph reads the annotations


class LookupInput(TypedDict, total=False):
    """What a lookup starts from.

    Attributes:
        question: The question, or a sub-question.
        level: `retrieve`, `read`, or `auto` for the first and, if it finds nothing, the second.
        is_tried: Whether level 1 has found nothing before, for this question or for the one that it is a part of.
        hints: For a sub-question, what is known already, to be searched for as well.
        is_part: Whether it is in the model's words, and not in the user's.
        plan: What to search for, if the question has been looked up before.
        answered_at: The level at which that was.
        started: When the question came.
        spent_above: What was spent on it before.
    """

    question: str
    level: Level
    is_tried: bool
    hints: list[str]
    is_part: bool
    plan: Plan
    answered_at: AnsweringLevel | None
    started: float
    spent_above: Spent


class LookupState(QAState, total=False):
    """State of a lookup.

    Attributes:
        level: As in `LookupInput`.
        is_tried: Likewise.
    """

    level: Level
    is_tried: bool


def build_lookup_graph(resources: QAResources) -> StateGraph[LookupState, None, LookupInput, LookupState]:
    """Return the graph of levels 1 and 2, from a question to citations, not yet compiled."""
    graph = StateGraph(LookupState, input_schema=LookupInput)
    graph.add_node("analyze", partial(analyze, resources))
    graph.add_node("translate", partial(translate, resources))
    searching = build_retrieval_graph(resources).compile(name="search")
    graph.add_node("search", nest(hand_down, searching, partial(at_level, "retrieve")))
    reading = build_reading_graph(resources).compile(name="read")
    at_once = resources.config.concurrency
    graph.add_node("read", nest(hand_down_search, reading, partial(at_level, "read"), max_concurrency=at_once))
    graph.add_conditional_edges(START, route_start, ["analyze", "search", "read"])
    graph.add_conditional_edges("analyze", bind(route_plan, resources), ["translate", "search", "read"])
    graph.add_conditional_edges("translate", route_level)
    graph.add_conditional_edges("search", bind(route_search, resources), {"read": "read", "end": END})
    graph.add_edge("read", END)
    return graph


def hand_down_search(state: LookupState) -> dict[str, Any]:
    """Return a state for level 2, which need not repeat what level 1 has tried."""
    return {**hand_down(state), "is_tried": state.get("is_tried", bool(state.get("answered_at")))}


def at_level(level: Literal["retrieve", "read"], result: dict[str, Any]) -> dict[str, Any]:
    """Note which level a result comes from."""
    return {**result, "answered_at": level}


def route_start(state: LookupState) -> Literal["analyze", "search", "read"]:
    """Analyze the question unless that has been done."""
    return route_level(state) if "plan" in state else "analyze"


def route_plan(resources: QAResources, state: LookupState) -> Literal["translate", "search", "read"]:
    """Translate first if some of the documents are in another language than the question."""
    return "translate" if route_translation(resources, state) == "translate" else route_level(state)


def route_level(state: LookupState) -> Literal["search", "read"]:
    """Begin with level 1 unless level 2 is asked for."""
    return "read" if state.get("level") == "read" else "search"


def route_search(resources: QAResources, state: LookupState) -> Literal["read", "end"]:
    """Go on to level 2 if nothing was found, unless that is not wanted or could read nothing new."""
    if state.get("level", "auto") != "auto" or state["found"] or state.get("halted"):
        return "end"
    return "end" if has_seen_all(resources, state) else "read"
