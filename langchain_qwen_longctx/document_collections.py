"""Documents that a server is asked about together, and what answers from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from typing_extensions import TypedDict

from langchain_qwen_longctx.errors import CollectionError
from langchain_qwen_longctx.graphs.long_context_qa import create_long_context_qa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
    from langchain_qwen_longctx.schemas import QAInput, QAOutput

NumberT = TypeVar("NumberT", int, float)

SERVED: Final = "served"
"""The collection of the documents that the server was started with."""

MAX_QUESTION_CHARACTERS: Final = 100_000
"""Of a question, and of each message of a conversation at the route for OpenAI's clients."""

MAX_RUNNABLES: Final = 8
"""Budgets for which a collection keeps its graph; another one takes a twentieth of a second at a million tokens."""

BLANK_LINE: Final = 2
"""Characters between two chunks from which on a blank line was there, as a rule."""


class DocumentSummary(TypedDict):
    """A document.

    Attributes:
        source: The source's path or name.
        chunks: Number of chunks it was divided into.
        characters: Length of its text, without space at the end.
    """

    source: str
    chunks: int
    characters: int


class DocumentInfo(DocumentSummary):
    """A document of a collection.

    Attributes:
        pages: The number of its last page that has text, None where the format has none.
    """

    pages: int | None


class Failure(TypedDict):
    """A document that could not be read, and why."""

    source: str
    problem: str


class CollectionInfo(TypedDict):
    """What is told of a collection.

    Attributes:
        id: Its name; of uploads, one that cannot be guessed.
        documents: What it holds.
        chunks: Chunks in all.
        failed: What could not be read.
        expires_in: Seconds until it is forgotten if nobody asks; None is never.
    """

    id: str
    documents: list[DocumentInfo]
    chunks: int
    failed: list[Failure]
    expires_in: float | None


class Passage(TypedDict):
    """A span of a document with the text around it.

    Attributes:
        source: The document.
        page: 1-based page, None where the format has none.
        start: Offset of the span's first character.
        end: Offset after its last.
        before: Text before it.
        quote: The span, verbatim as far as chunks have it; whitespace between chunks is one space or one blank line.
        after: Text after it.
        is_start: Whether `before` begins where the document does.
        is_end: Whether `after` ends where it does.
    """

    source: str
    page: int | None
    start: int
    end: int
    before: str
    quote: str
    after: str
    is_start: bool
    is_end: bool


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """What makes the graph over a collection.

    Attributes:
        model: The chat model.
        config: The knobs; its limits hold for every question.
        cache: Keeps the model's replies; None keeps nothing.
    """

    model: BaseChatModel
    config: LongContextConfig
    cache: ReplyCache | None = None

    def over(
        self, retriever: BilingualBM25Retriever, max_calls: int | None, max_seconds: float | None
    ) -> Runnable[QAInput, QAOutput]:
        """Return the Runnable over an index, within a budget that is no larger than the server's own."""
        config = replace(
            self.config,
            max_model_calls=least(self.config.max_model_calls, max_calls),
            max_seconds=least(self.config.max_seconds, max_seconds),
        )
        return create_long_context_qa(model=self.model, retriever=retriever, config=config, cache=self.cache)


def least(limit: NumberT | None, wanted: NumberT | None) -> NumberT | None:
    """Return the lower of two limits, of which None is none."""
    return min((value for value in (limit, wanted) if value is not None), default=None)


@dataclass
class Collection:
    """Documents that questions are asked about together.

    Attributes:
        id: Its name.
        retriever: Their index.
        failed: What could not be read.
        text_bytes: How much text there is, as far as that counts.
        used: When somebody last asked for it, by the shelf's clock.
    """

    id: str
    retriever: BilingualBM25Retriever
    failed: list[Failure] = field(default_factory=list)
    text_bytes: int = 0
    used: float = 0.0
    _runnables: dict[tuple[int | None, float | None], Runnable[QAInput, QAOutput]] = field(default_factory=dict)
    _making: Lock = field(default_factory=Lock)

    def runnable(
        self, answerer: Answerer, max_calls: int | None = None, max_seconds: float | None = None
    ) -> Runnable[QAInput, QAOutput]:
        """Return the Runnable that answers from these documents within a budget."""
        budget = (max_calls, max_seconds)
        with self._making:
            if budget not in self._runnables:
                while len(self._runnables) >= MAX_RUNNABLES:
                    del self._runnables[next(iter(self._runnables))]
                self._runnables[budget] = answerer.over(self.retriever, max_calls, max_seconds)
            return self._runnables[budget]

    def documents(self) -> list[DocumentInfo]:
        """Return what it holds, in the order in which it came."""
        return [
            {**summarise(source, chunks), "pages": chunks[-1].metadata["page"]}
            for source, chunks in self._by_source.items()
        ]

    def passage(self, source: str, start: int, end: int, around: int) -> Passage:
        """Return a span of a document and about so many characters on each side of it.

        Raises:
            CollectionError: There is no such document, or no such span in it.
        """
        chunks = self._by_source.get(source)
        if chunks is None:
            raise CollectionError(404, f"there is no document {source!r} in the collection {self.id!r}")
        last = chunks[-1].metadata["end"]
        if not 0 <= start < end <= last:
            raise CollectionError(422, f"there are no characters {start} to {end} in {source!r}, which has {last}")
        first, final = max(0, start - around), min(last, end + around)
        page = next(chunk.metadata["page"] for chunk in reversed(chunks) if chunk.metadata["start"] <= start)
        return {
            "source": source,
            "page": page,
            "start": start,
            "end": end,
            "before": text_between(chunks, first, start),
            "quote": text_between(chunks, start, end),
            "after": text_between(chunks, end, final),
            "is_start": first <= chunks[0].metadata["start"],
            "is_end": final == last,
        }

    @cached_property
    def _by_source(self) -> dict[str, list[Document]]:
        return chunks_by_source(self.retriever.docs)


def chunks_by_source(chunks: Iterable[Document]) -> dict[str, list[Document]]:
    """Return the chunks of each document, documents and chunks in the order in which they come."""
    found: dict[str, list[Document]] = {}
    for chunk in chunks:
        found.setdefault(chunk.metadata["source"], []).append(chunk)
    return found


def summarise(source: str, chunks: Sequence[Document]) -> DocumentSummary:
    """Return what a document is, by its chunks in order."""
    return {"source": source, "chunks": len(chunks), "characters": chunks[-1].metadata["end"]}


def text_between(chunks: Iterable[Document], start: int, end: int) -> str:
    """Return a document's text from one offset to another, of its chunks in order, which lack whitespace alone."""
    parts: list[str] = []
    position = start
    for chunk in chunks:
        first, last = chunk.metadata["start"], chunk.metadata["end"]
        if last <= start or first >= end:
            continue
        if first > position:
            parts.append("\n\n" if first - position >= BLANK_LINE else " ")
        parts.append(chunk.page_content[max(start, first) - first : end - first])
        position = last
    return "".join(parts)
