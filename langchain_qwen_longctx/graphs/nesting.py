"""Graphs inside graphs: what is handed down to one, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableLambda

from langchain_qwen_longctx.graphs.budget import spent_so_far

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.graph.state import CompiledStateGraph

    from langchain_qwen_longctx.graphs.state import QAState


def nest(
    prepare: Callable[[Any], dict[str, Any]],
    graph: CompiledStateGraph[Any, None, Any, Any],
    finish: Callable[[dict[str, Any]], Any] | None = None,
) -> Runnable[Any, Any]:
    """Return a graph as a node of another one.

    Args:
        prepare: What it starts from, made of the outer state.
        graph: The inner graph.
        finish: What the outer state takes over, made of the inner one; None is all that both have.
    """
    first: Runnable[Any, Any] = RunnableLambda(prepare)
    return first | graph | RunnableLambda(finish) if finish else first | graph


def hand_down(state: QAState) -> dict[str, Any]:
    """Return a state for an inner graph: what it spends comes back and is added then."""
    kept = {name: value for name, value in state.items() if name not in {"spent", "halted"}}
    return {**kept, "spent_above": spent_so_far(state)}
