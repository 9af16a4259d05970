"""The channels of the graphs, their reducers, and what the nodes work with.

Channels hold ids of chunks, never their texts: a checkpoint with texts grows to many times the documents' size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from langchain_core.messages import AnyMessage  # noqa: TC002 - LangGraph reads the annotations
from typing_extensions import TypedDict

from langchain_qwen_longctx.schemas import (  # noqa: TC001 - LangGraph reads the annotations
    Citation,
    Coverage,
    Level,
    Step,
    StopReason,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever

    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.errors import ModelResponseError

Count: TypeAlias = Literal["model_calls", "cached_calls", "input_tokens", "output_tokens"]

Spent: TypeAlias = dict[Count, int]
"""What steps cost, in the terms of `Usage`; absent is 0. Time is apart: the whole question is timed at once."""

_COUNTS: tuple[Count, ...] = get_args(Count)


def add_spent(left: Spent, right: Spent) -> Spent:
    """Reducer: the sum of what two steps cost."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in _COUNTS}


def subtract_spent(left: Spent, right: Spent) -> Spent:
    """Return what was spent between two sums."""
    return {name: left.get(name, 0) - right.get(name, 0) for name in _COUNTS}


def spent_on(reply: Reply[Any] | ModelResponseError) -> Spent:
    """Return what a reply cost, or one that could not be used."""
    return {
        "model_calls": reply.model_calls,
        "input_tokens": reply.input_tokens,
        "output_tokens": reply.output_tokens,
    }


class Plan(TypedDict):
    """What to search for.

    Attributes:
        information: The part of the question that says what to find; words of the question itself.
        instruction: The rest of it, how to answer; empty for most questions.
        queries: The information as asked, then in the other languages it was put into.
        keywords: Words that a passage with the answer would contain, in all languages.
    """

    information: str
    instruction: str
    queries: list[str]
    keywords: list[str]


class QAState(TypedDict, total=False):
    """State of one question; the keys of `QAInput` and `QAOutput`, and what passes between nodes.

    Attributes:
        started: When the question came, in seconds since the epoch.
        spent: What all questions of the thread cost so far.
        spent_before: The same when this question came.
        plan: What to search for.
        ranked: Ids of the retrieved chunks, best first.
        evidence: Ids of the chunks put before the model, in the order of their numbers in its prompt.
        evidence_tokens: Their size.
        draft: The model's answer, its markers naming `evidence[n - 1]`.
    """

    question: str
    level: Level
    history: list[AnyMessage]
    started: float
    spent: Annotated[Spent, add_spent]
    spent_before: Spent
    plan: Plan
    ranked: list[str]
    evidence: list[str]
    evidence_tokens: int
    draft: str
    answer: str
    found: bool
    citations: list[Citation]
    steps: list[Step]
    coverage: Coverage
    usage: Usage
    stopped: StopReason | None


AnsweringLevel = Literal["retrieve"]
"""The levels this version can answer at."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class QAResources:
    """What the nodes of a graph work with; bound to them when the graph is built.

    Attributes:
        model: Plans the search and answers.
        retriever: Ranks chunks for a query; its documents carry `chunk_id` in their metadata.
        chunks: Every chunk of the documents by its id, in document order.
        languages: ISO 639-1 codes of the documents' languages, the most frequent first.
        config: The knobs.
    """

    model: BaseChatModel
    retriever: BaseRetriever
    chunks: Mapping[str, Document]
    languages: Sequence[str]
    config: LongContextConfig
