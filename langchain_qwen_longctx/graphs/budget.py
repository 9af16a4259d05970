"""What a question may still cost, and the one way in which nodes call a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

from langchain_qwen_longctx.chat_models import Allowance, Reply, ask
from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.graphs.state import QAResources, QAState, Spent, add_spent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.prompts import ChatPromptTemplate

ParsedT = TypeVar("ParsedT", bound=BaseModel)

PROMPT_TOKENS = 256
"""Room for instructions, question and numbers in the answer's prompt, when its cost is set aside."""

READ_PER_WRITTEN = 4
"""Tokens a model reads in the time it takes to write one; about that on a CPU, far more on a GPU."""

EXPECTED_ANSWER = 64
"""Tokens of a usual answer."""


def call(
    resources: QAResources,
    state: QAState,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    schema: type[ParsedT] | None = None,
    answers_kept: int = 1,
) -> Reply[ParsedT]:
    """Call the model within what the question may still cost.

    Args:
        resources: Whose model.
        state: Whose question.
        prompt: What to say.
        variables: Values for the prompt's placeholders.
        schema: What the reply must be; None for plain text.
        answers_kept: For how many calls of an answer's size something is kept back; for an answer itself, 0.

    Raises:
        OutOfBudgetError: It would cost more.
        ModelError: As `ask` raises it.
    """
    return ask(
        resources.model,
        prompt,
        variables,
        config=resources.config,
        schema=cast("type[ParsedT]", schema),
        allowance=allowance(resources, state, answers_kept=answers_kept),
        cache=resources.cache,
    )


def spent_so_far(state: QAState) -> Spent:
    """Return what the question cost up to here, in this graph and in those around it."""
    return add_spent(state.get("spent_above", {}), state.get("spent", {}))


def allowance(resources: QAResources, state: QAState, *, answers_kept: int = 1) -> Allowance:
    """Return what the next calls may cost, so that so many answers can still be given after them.

    An answer itself is not stopped by the clock: time limits how much is read, and what was read is not thrown away.
    """
    config, spent = resources.config, spent_so_far(state)
    limits: Allowance = {}
    if config.max_model_calls is not None:
        limits["calls"] = config.max_model_calls - spent.get("model_calls", 0) - answers_kept
    if config.max_tokens is not None:
        used = spent.get("input_tokens", 0) + spent.get("output_tokens", 0)
        limits["tokens"] = config.max_tokens - used - answers_kept * answer_size(resources)
    if config.max_seconds is not None and answers_kept:
        limits["deadline"] = state["started"] + config.max_seconds - answers_kept * answer_seconds(resources, state)
    return limits


def answer_size(resources: QAResources) -> int:
    """Return how many tokens an answer takes at most, prompt and reply."""
    config = resources.config
    evidence = config.evidence_tokens
    if evidence is None:
        return config.context_window
    return min(evidence + config.answer_tokens + PROMPT_TOKENS, config.context_window)


def answer_seconds(resources: QAResources, state: QAState) -> float:
    """Estimate how long an answer takes, from what the question's calls have taken so far; 0 before the first."""
    done = work(spent_so_far(state))
    if not done:
        return 0.0
    tokens = answer_size(resources) - resources.config.answer_tokens
    expected = work({"input_tokens": tokens, "output_tokens": EXPECTED_ANSWER})
    return (now() - state["started"]) * expected / done


def work(spent: Spent) -> float:
    """Return what was spent in units of one token written."""
    return spent.get("output_tokens", 0) + spent.get("input_tokens", 0) / READ_PER_WRITTEN


def share_out(limits: Allowance, wanted: int, *, calls_each: int, tokens_each: int) -> tuple[int, Allowance]:
    """Divide an allowance among askings made side by side, so that together they cannot exceed it.

    Where it is short, there are fewer of them rather than ones that could not try again.

    Args:
        limits: What all of them may cost.
        wanted: How many are wanted.
        calls_each: How many calls each takes at most.
        tokens_each: How many tokens each takes, as a rule.

    Returns:
        How many there can be, 0 if none, and what each of them may cost.
    """
    count = wanted
    if "calls" in limits:
        count = min(count, max(limits["calls"] // calls_each, min(limits["calls"], 1)))
    if "tokens" in limits:
        count = min(count, limits["tokens"] // max(tokens_each, 1))
    if count <= 0 or now() >= limits.get("deadline", float("inf")):
        return 0, {}
    each: Allowance = {**limits}
    if "calls" in limits:
        each["calls"] = limits["calls"] // count
    if "tokens" in limits:
        each["tokens"] = limits["tokens"] // count
    return count, each
