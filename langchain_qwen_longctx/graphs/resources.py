"""What the nodes of a graph work with: checked against each other, and prepared once."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.cache.base import BaseCache

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.answerability import TermWeights
from langchain_qwen_longctx.config import DEFAULT_CONTEXT_WINDOW, LongContextConfig
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.graphs.state import QAResources
from langchain_qwen_longctx.languages import detect_language, han_share
from langchain_qwen_longctx.persistence import ReplyCache
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.language_models import BaseChatModel

LANGUAGE_SAMPLES = 50
MIN_LANGUAGE_SHARE = 0.1
"""A language counts as one of the documents' if at least this share of the sampled chunks is in it."""

MIN_CHINESE_SHARE = 0.1
"""A chunk counts as Chinese, whatever else it is, from this share of its letters on."""

MAX_RETRIEVED = 64
"""Chunks ranked per query; about twice what fills a window of 16k tokens."""


def gather_resources(
    model: BaseChatModel,
    documents: Iterable[Document] | None,
    retriever: BaseRetriever | None,
    config: LongContextConfig | None,
    *,
    reader_model: BaseChatModel | None = None,
    cache: BaseCache[Any] | ReplyCache | None = None,
) -> QAResources:
    """Check the parts against each other and prepare what the nodes need."""
    config = config or default_config(model)
    retriever, chunks = gather_chunks(documents, retriever, config)
    if not chunks:
        msg = "the documents hold no text; give at least one that does"
        raise InputError(msg)
    by_id = {chunk.metadata["chunk_id"]: chunk for chunk in chunks}
    return QAResources(
        model=_with_window(model, config),
        reader_model=_with_window(reader_model or model, config),
        retriever=retriever,
        chunks=by_id,
        ordered=list(by_id.values()),
        numbers={identifier: number for number, identifier in enumerate(by_id)},
        weights=weigh_terms(retriever, chunks),
        languages=detect_languages(chunks),
        config=config,
        cache=ReplyCache(cache) if isinstance(cache, BaseCache) else cache,
    )


def default_config(model: BaseChatModel) -> LongContextConfig:
    """Return the defaults for a model's own context window; for one that does not tell, those for 8192 tokens."""
    return LongContextConfig.for_window(getattr(model, "num_ctx", None) or DEFAULT_CONTEXT_WINDOW)


def gather_chunks(
    documents: Iterable[Document] | None, retriever: BaseRetriever | None, config: LongContextConfig
) -> tuple[BaseRetriever, list[Document]]:
    """Return a retriever and the chunks that it searches, each with what citations need in its metadata."""
    if isinstance(retriever, BilingualBM25Retriever):
        if documents is not None:
            msg = "give either documents or a BilingualBM25Retriever, which has its own"
            raise InputError(msg)
        return retriever.model_copy(update={"k": MAX_RETRIEVED}), retriever.docs
    if documents is None:
        msg = (
            f"give the documents that {type(retriever).__name__} searches as well, as documents=[...]"
            if retriever
            else "give documents, or a retriever"
        )
        raise InputError(msg)
    if retriever is None:
        splitter = QwenTextSplitter(chunk_tokens=config.chunk_tokens)
        own = BilingualBM25Retriever.from_documents(splitter.split_documents(documents), k=MAX_RETRIEVED)
        return own, own.docs
    chunks = [identified(document, number) for number, document in enumerate(documents, 1)]
    return IdentifyingRetriever(retriever=retriever, chunks=chunks), chunks


def weigh_terms(retriever: BaseRetriever, chunks: Sequence[Document]) -> TermWeights:
    """Return how much each term of the chunks tells; an index has counted them already."""
    if isinstance(retriever, BilingualBM25Retriever) and retriever.preprocess_func is analyze:
        return TermWeights.from_postings(retriever.vectorizer.postings)
    return TermWeights.from_texts(chunk.page_content for chunk in chunks)


def _with_window(model: BaseChatModel, config: LongContextConfig) -> BaseChatModel:
    """Give an Ollama model that has no `num_ctx` the configured one, or Ollama would cut prompts at its own default."""
    if not hasattr(model, "num_ctx"):
        return model
    if model.num_ctx is None:
        return model.model_copy(update={"num_ctx": config.context_window})
    if model.num_ctx < config.context_window:
        msg = f"context_window is {config.context_window}, the model's num_ctx {model.num_ctx}; make them equal"
        raise InputError(msg)
    return model


def detect_languages(chunks: Sequence[Document]) -> list[str]:
    """Return the languages of a sample of chunks spread evenly over the documents, the most frequent first.

    A chunk that is Chinese for the smaller part, such as a table with links and names in it, counts as Chinese as well.
    """
    sample = chunks[:: max(1, len(chunks) // LANGUAGE_SAMPLES)]
    counts: Counter[str] = Counter()
    for chunk in sample:
        partly_chinese = {"zh"} if han_share(chunk.page_content) >= MIN_CHINESE_SHARE else set()
        counts.update({detect_language(chunk.page_content)} | partly_chinese)
    return [code for code, count in counts.most_common() if count >= MIN_LANGUAGE_SHARE * len(sample)]


def identified(document: Document, number: int) -> Document:
    """Return a chunk with the metadata that citations need; what it lacks is made up from its text and its number."""
    text, given = document.page_content, document.metadata
    start = given.get("start", 0)
    own = {
        "source": str(given.get("source") or f"document-{number}"),
        "page": given.get("page"),
        "start": start,
        "end": start + len(text),
        "chunk_id": str(given.get("chunk_id") or document.id or text_id(text)),
    }
    return Document(page_content=text, metadata={**given, **own}, id=document.id)


def text_id(text: str) -> str:
    """Return an id for a text: 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class IdentifyingRetriever(BaseRetriever):
    """Any retriever, its results recognised among chunks by their text.

    Attributes:
        retriever: The retriever.
        chunks: What it searches, with `chunk_id` in the metadata.
    """

    retriever: BaseRetriever
    chunks: list[Document]

    @cached_property
    def by_text(self) -> dict[str, Document]:
        """The chunks by their text."""
        return {chunk.page_content: chunk for chunk in self.chunks}

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        known = self.by_text
        found = self.retriever.invoke(query, config={"callbacks": run_manager.get_child()})
        unknown = next((document for document in found if document.page_content not in known), None)
        if unknown:
            msg = (
                f"{type(self.retriever).__name__} returned a text that is not among the documents given with it: "
                f"{unknown.page_content[:80]!r}; give all that it searches, as they are stored in it"
            )
            raise InputError(msg)
        return [
            chunk.model_copy(update={"metadata": {**chunk.metadata, **scored(document)}})
            for document in found
            if (chunk := known[document.page_content])
        ]


def scored(document: Document) -> dict[str, Any]:
    """Return a document's score, if its retriever gives one."""
    return {"score": document.metadata["score"]} if "score" in document.metadata else {}
