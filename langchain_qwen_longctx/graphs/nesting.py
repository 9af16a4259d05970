"""Graphs inside graphs: what is handed down to one, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_qwen_longctx.graphs.budget import spent_so_far
from langchain_qwen_longctx.graphs.interruption import noticing_interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_qwen_longctx.graphs.state import QAState

MAX_STEPS: Final = 1_000_000
"""No limit: every loop here ends by a rule. LangChain's 25 would hold in a chain, and make a long reading an error."""


def nest(
    prepare: Callable[[Any], dict[str, Any]],
    graph: Runnable[Any, Any],
    finish: Callable[[dict[str, Any]], Any] = dict,
    *,
    max_concurrency: int | None = None,
) -> Runnable[Any, Any]:
    """Return a graph as a node of another one.

    Args:
        prepare: What it starts from, made of the outer state.
        graph: The inner graph.
        finish: What the outer state takes over, made of the inner one; by default all that both have.
        max_concurrency: How many of its tasks are under way at once; None is what holds for the outer graph.
    """
    limits: RunnableConfig = {"recursion_limit": MAX_STEPS}
    if max_concurrency:
        limits["max_concurrency"] = max_concurrency

    def run(state: dict[str, Any], config: RunnableConfig) -> Any:  # noqa: ANN401 - what `finish` returns
        with noticing_interruption():
            return finish(graph.invoke(prepare(state), {**config, **limits}))

    # Without it, the inner graph would go on in its thread when the outer one is cancelled.
    async def arun(state: dict[str, Any], config: RunnableConfig) -> Any:  # noqa: ANN401
        return finish(await graph.ainvoke(prepare(state), {**config, **limits}))

    return RunnableLambda(run, arun)


def hand_down(state: QAState) -> dict[str, Any]:
    """Return a state for an inner graph: what it spends comes back and is added then."""
    kept = {name: value for name, value in state.items() if name not in {"spent", "halted"}}
    return {**kept, "spent_above": spent_so_far(state)}
