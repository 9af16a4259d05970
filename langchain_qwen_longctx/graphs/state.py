"""The channels of the graphs, their reducers, and what the nodes work with.

Channels hold ids of chunks, never their texts: a checkpoint with texts grows to many times the documents' size.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar, cast, get_args

from typing_extensions import TypedDict

from langchain_qwen_longctx.passages import Passage  # noqa: TC001 - LangGraph reads the annotations
from langchain_qwen_longctx.schemas import (  # noqa: TC001 - LangGraph reads the annotations
    Citation,
    Coverage,
    Step,
    StopReason,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.retrievers import BaseRetriever

    from langchain_qwen_longctx.answerability import TermWeights
    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.errors import ModelError, OutOfBudgetError
    from langchain_qwen_longctx.persistence import ReplyCache

RouteT = TypeVar("RouteT")

Count: TypeAlias = Literal["model_calls", "cached_calls", "input_tokens", "output_tokens"]

Spent: TypeAlias = dict[Count, int]
"""What steps cost, in the terms of `Usage`; absent is 0. Time is apart: the whole question is timed at once."""

_COUNTS: tuple[Count, ...] = get_args(Count)


def add_spent(left: Spent, right: Spent) -> Spent:
    """Reducer: the sum of what two steps cost."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in _COUNTS}


def spent_on(outcome: Reply[Any] | ModelError | OutOfBudgetError) -> Spent:
    """Return what a reply cost, or one that never came."""
    if isinstance(outcome, Exception):
        return cast("Spent", outcome.spent)
    return {name: getattr(outcome, name) for name in _COUNTS}


AnsweringLevel: TypeAlias = Literal["retrieve", "read", "reason"]
"""The levels that give answers; `auto` chooses among them."""


class Touched(TypedDict, total=False):
    """What became of chunks, by their numbers in the documents, ascending; absent is none.

    Attributes:
        read: Put before the model, in whole or in part.
        relevant: Of these, cited or pointed at.
        failed: Whose reading failed for good.
    """

    read: list[int]
    relevant: list[int]
    failed: list[int]


def join_touched(left: Touched, right: Touched) -> Touched:
    """Reducer: the chunks of either side, each once."""
    return {
        "read": sorted({*left.get("read", ()), *right.get("read", ())}),
        "relevant": sorted({*left.get("relevant", ()), *right.get("relevant", ())}),
        "failed": sorted({*left.get("failed", ()), *right.get("failed", ())}),
    }


class Plan(TypedDict):
    """What to search for.

    Attributes:
        information: The part of the question that says what to find; words of the question itself.
        instruction: The rest of it, how to answer; empty for most questions.
        translation: The question in the documents' language if none of them is in its own; else empty.
        queries: The information as asked, then in the other languages it was put into.
        keywords: Words that a passage with the answer would contain, in all languages.
    """

    information: str
    instruction: str
    translation: str
    queries: list[str]
    keywords: list[str]


class QAState(TypedDict, total=False):
    """State of one question; the keys of `QAOutput`, and what passes between nodes.

    Attributes:
        started: When the question came, in seconds since the epoch.
        spent: What the nodes of this graph have spent on the question.
        spent_above: What was spent on it before this graph began; counts towards the limits, but is not its own.
        hints: What is known already, if the question is one of several.
        is_part: Whether the question is one that the model asks itself.
        plan: What to search for.
        ranked: The retrieved chunks' ids, best first, each with its score as a share of the best one's.
        evidence: The passages put before the model, in the order of their numbers in its prompt.
        evidence_tokens: Their size.
        draft: The model's answer, its markers naming `evidence[n - 1]`.
        doubted: Whether level 1 may have answered a question of two steps in one: what speaks of it leads on to what
            says more of it, or the words of the question do not tell that what is cited answers it.
        answered_at: The level that was tried last, None before the first.
        touched: What became of which chunks.
        halted: Why reading or asking ended early, each time that it did.
    """

    question: str
    started: float
    spent: Annotated[Spent, add_spent]
    spent_above: Spent
    hints: list[str]
    is_part: bool
    plan: Plan
    ranked: dict[str, float]
    evidence: list[Passage]
    evidence_tokens: int
    draft: str
    answer: str
    found: bool
    citations: list[Citation]
    steps: list[Step]
    doubted: bool
    answered_at: AnsweringLevel | None
    touched: Annotated[Touched, join_touched]
    coverage: Coverage
    usage: Usage
    halted: Annotated[list[StopReason], operator.add]
    stopped: StopReason | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class QAResources:
    """What the nodes of a graph work with; bound to them when the graph is built.

    Attributes:
        model: Plans the search, proposes sub-questions and answers.
        reader_model: Reads chunks.
        retriever: Ranks chunks for a query.
        chunks: Every chunk of the documents by its id, in document order.
        ordered: The same in a sequence; a chunk's number is its place in it.
        numbers: The number of each chunk, by its id.
        weights: How much each term of the documents tells.
        languages: ISO 639-1 codes of the documents' languages, the most frequent first.
        config: The knobs.
        cache: Replies of the models from before; None keeps none.
    """

    model: BaseChatModel
    reader_model: BaseChatModel
    retriever: BaseRetriever
    chunks: Mapping[str, Document]
    ordered: Sequence[Document]
    numbers: Mapping[str, int]
    weights: TermWeights
    languages: Sequence[str]
    config: LongContextConfig
    cache: ReplyCache | None = None


def having_spent(state: QAState, spent: Spent) -> QAState:
    """Return the state for the next call of a node: what its calls have cost so far is in no state yet."""
    return {**state, "spent": add_spent(state.get("spent", {}), spent)}


def has_seen_all(resources: QAResources, state: QAState) -> bool:
    """Tell whether every chunk was put before the model."""
    return len(state["touched"].get("read", ())) == len(resources.chunks)


def bind(route: Callable[[QAResources, Any], RouteT], resources: QAResources) -> Callable[[Any], RouteT]:
    """Return a router with what it works with, under its own name: traces show it, and a partial function has none."""
    return update_wrapper(partial(route, resources), route, assigned=("__name__",))
