"""The documents that a server answers from: those it was started with, and uploads, which live for a while."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from typing_extensions import TypedDict

from langchain_qwen_longctx.document_loaders import load_bytes
from langchain_qwen_longctx.errors import CollectionError, DocumentError
from langchain_qwen_longctx.graphs.long_context_qa import create_long_context_qa
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache
    from langchain_qwen_longctx.schemas import QAInput, QAOutput

NumberT = TypeVar("NumberT", int, float)

SERVED: Final = "served"
"""The collection of the documents that the server was started with."""

MAX_QUESTION_CHARACTERS: Final = 100_000
"""Of a question, and of each message of a conversation at the route for OpenAI's clients."""

MAX_RUNNABLES: Final = 8
"""Budgets for which a collection keeps its graph; another one takes a twentieth of a second at a million tokens."""

MAX_NAME: Final = 200
BLANK_LINE: Final = 2
"""Characters between two chunks from which on a blank line was there, as a rule."""

NO_SUCH_COLLECTION: Final = (
    "there is no collection {!r}: its time is over, or the server was started anew; upload again"
)


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
class UploadLimits:
    """What may be uploaded.

    Attributes:
        max_file_bytes: Bytes of a file at most. Default 20 MB.
        max_files: Files of a collection at most. Default 20.
        max_collections: Collections kept at once at most. Default 64.
        lifetime_seconds: How long a collection is kept after it was last used. Default an hour.
    """

    max_file_bytes: int = 20_000_000
    max_files: int = 20
    max_collections: int = 64
    lifetime_seconds: float = 3600.0


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
        used: When somebody last asked for it, by the shelf's clock.
    """

    id: str
    retriever: BilingualBM25Retriever
    failed: list[Failure] = field(default_factory=list)
    used: float = 0.0
    _runnables: dict[tuple[int | None, float | None], Runnable[QAInput, QAOutput]] = field(default_factory=dict)

    def runnable(
        self, answerer: Answerer, max_calls: int | None = None, max_seconds: float | None = None
    ) -> Runnable[QAInput, QAOutput]:
        """Return the Runnable that answers from these documents within a budget."""
        budget = (max_calls, max_seconds)
        if budget not in self._runnables:
            while len(self._runnables) >= MAX_RUNNABLES:
                self._runnables.pop(next(iter(self._runnables)), None)
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


class Shelf:
    """All collections of a server. Those of uploads are in memory alone, and are forgotten after a while.

    Args:
        served: The documents that the server was started with, if any.
        limits: What may be uploaded.
        chunk_tokens: Most tokens in a chunk.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        served: Collection | None,
        limits: UploadLimits,
        chunk_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.served = served
        self.limits = limits
        self._chunk_tokens = chunk_tokens
        self._clock = clock
        self._lock = Lock()
        self._uploads: dict[str, Collection] = {}

    def __len__(self) -> int:
        """Return how many collections of uploads there are."""
        with self._lock:
            self._forget_old()
            return len(self._uploads)

    def add(self, files: Sequence[tuple[str, bytes]]) -> Collection:
        """Read and index uploaded files.

        Args:
            files: Their names and contents.

        Raises:
            CollectionError: There are too many, one is too large, or none can be read.
        """
        self._check(files)
        documents: list[Document] = []
        failed: list[Failure] = []
        for name, data in zip(unique_names([name for name, _ in files]), (data for _, data in files), strict=True):
            try:
                documents += load_bytes(data, name)
            except DocumentError as error:
                failed.append({"source": name, "problem": str(error).removeprefix(f"{name}: ")})
        if not documents:
            problems = "; ".join(f"{failure['source']}: {failure['problem']}" for failure in failed)
            raise CollectionError(422, f"none of the files can be read: {problems}")
        chunks = QwenTextSplitter(chunk_tokens=self._chunk_tokens).split_documents(documents)
        index = BilingualBM25Retriever.from_documents(chunks)
        return self._keep(Collection(secrets.token_urlsafe(16), index, failed))

    def get(self, name: str) -> Collection:
        """Return a collection, which is then kept for its whole lifetime again.

        Raises:
            CollectionError: There is none of this name.
        """
        if name == SERVED and self.served:
            return self.served
        with self._lock:
            self._forget_old()
            if name not in self._uploads:
                is_own = name == SERVED
                problem = "this server has no documents of its own; upload some first" if is_own else None
                raise CollectionError(404, problem or NO_SUCH_COLLECTION.format(name))
            collection = self._uploads[name]
            collection.used = self._clock()
            return collection

    def remove(self, name: str) -> None:
        """Forget a collection of uploads.

        Raises:
            CollectionError: There is none of this name, or it is not one of uploads.
        """
        if name == SERVED:
            raise CollectionError(403, "the documents that the server was started with cannot be removed")
        self.get(name)
        with self._lock:
            self._uploads.pop(name, None)

    def describe(self, collection: Collection) -> CollectionInfo:
        """Return what is told of a collection."""
        age = self._clock() - collection.used
        return {
            "id": collection.id,
            "documents": collection.documents(),
            "chunks": len(collection.retriever.docs),
            "failed": collection.failed,
            "expires_in": None if collection is self.served else max(0.0, self.limits.lifetime_seconds - age),
        }

    def _check(self, files: Sequence[tuple[str, bytes]]) -> None:
        limits = self.limits
        if not 1 <= len(files) <= limits.max_files:
            raise CollectionError(422, f"there are {len(files)} files; send between 1 and {limits.max_files}")
        for name, data in files:
            if len(data) > limits.max_file_bytes:
                size = f"{len(data):,} bytes, more than {limits.max_file_bytes:,}"
                raise CollectionError(413, f"{safe_name(name)} has {size}; divide it")

    def _keep(self, collection: Collection) -> Collection:
        with self._lock:
            self._forget_old()
            if len(self._uploads) >= self.limits.max_collections:
                problem = f"{len(self._uploads)} collections are kept already; delete one, or try again later"
                raise CollectionError(503, problem)
            collection.used = self._clock()
            self._uploads[collection.id] = collection
            return collection

    def _forget_old(self) -> None:
        oldest = self._clock() - self.limits.lifetime_seconds
        for name in [name for name, collection in self._uploads.items() if collection.used < oldest]:
            del self._uploads[name]


def unique_names(names: Sequence[str]) -> list[str]:
    """Return safe names for files, of which no two are alike: sources are told apart by them."""
    taken: list[str] = []
    for name in map(safe_name, names):
        stem, dot, suffix = name.rpartition(".")
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
        taken.append(unique)
    return taken


def safe_name(name: str) -> str:
    """Return a file's name without the folders before it, and without characters that cannot be seen."""
    last = re.split(r"[\\/]", name)[-1]
    seen = "".join(character if character.isprintable() else "_" for character in last).strip()
    return seen[-MAX_NAME:] or "document"
