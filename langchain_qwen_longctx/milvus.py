"""BM25 in Milvus, for more text than one machine's memory holds, or for one index that many machines search."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Self

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.config import run_in_executor
from pydantic import Field

from langchain_qwen_longctx.analyzers import ANALYZER_VERSION, analyze
from langchain_qwen_longctx.errors import IndexFileError, InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

TERMS: Final = ANALYZER_VERSION.replace("-", "_")
"""The field that is searched. Its name says of which version the terms are: Milvus Lite keeps no description."""

BATCH: Final = 1000
"""Chunks sent at once: a few megabytes."""

MAX_BYTES: Final = 65_535
"""Of a text in Milvus."""

PLAIN: Final = re.compile(r"[a-z0-9]{1,32}")
"""Terms that every tokenizer leaves whole."""


class MilvusBM25Retriever(BaseRetriever):
    """Searches chunks in a collection of Milvus, by the same terms as `BilingualBM25Retriever`.

    Milvus counts and ranks; the terms come from `analyzers.analyze`, so that both find alike in Chinese and English.
    Its BM25 differs in one place: a term weighs `ln(1 + x)` where `rank_bm25` has `ln(x)`.

    Each result has the chunk's metadata, and `score` and `rank` as with `BilingualBM25Retriever`; `k` and `sources` may
    be given per call. Make it with `open`.

    Attributes:
        store: The collection, as LangChain's vector store.
        k: Results of a call that does not say how many.
        is_embedded: Whether Milvus runs in this process.
    """

    store: Any = Field(repr=False)
    k: int = Field(default=4, ge=1)
    is_embedded: bool = False

    @classmethod
    def open(cls, uri: str | Path, *, collection: str = "qwen_longctx", token: str | None = None, k: int = 4) -> Self:
        """Open a collection, which is made when something is added to it.

        Args:
            uri: Address of a Milvus server, such as `http://127.0.0.1:19530`; or a path that ends with `.db`, where
                Milvus Lite runs within this process, and no other one may open it meanwhile.
            collection: Its name: letters, digits and underscores.
            token: `USER:PASSWORD` or an API key, if the server asks for it.
            k: Results of a call that does not say how many.

        Raises:
            InputError: The server is not there, the address is none, or the extra `milvus` is not installed.
            IndexFileError: The collection is not of this class, or has the terms of another version.
        """
        with _usable(str(uri)):
            return cls(store=_open_store(str(uri), collection, token), k=k, is_embedded="://" not in str(uri))

    def add_documents(self, chunks: Iterable[Document]) -> None:
        """Add chunks of `QwenTextSplitter`; what is there of their sources already gives way to them.

        Raises:
            InputError: One of them has no `chunk_id` or no `source`, or is too large.
        """
        rows = {chunk.metadata.get("chunk_id", ""): _to_row(chunk) for chunk in chunks}
        self.delete({row.metadata["source"] for row in rows.values()})
        if rows:
            self.store.add_documents(list(rows.values()), ids=list(rows), batch_size=BATCH)
            if self.is_embedded:
                # Milvus Lite takes sixty times as long to search what is not in its files yet.
                self.store.client.flush(self.store.collection_name)

    def delete(self, sources: Collection[str]) -> None:
        """Delete the chunks of sources, or of the one source."""
        if sources and self.store.col is not None:
            self.store.client.delete(self.store.collection_name, filter=_of_sources(sources))

    def best_sources(self, query: str, *, n: int, k: int = 64) -> list[str]:
        """Return the sources of the `k` best chunks, the best first, `n` at most.

        So a question is narrowed down from a corpus to the few documents that are worth reading.
        """
        return list(dict.fromkeys(chunk.metadata["source"] for chunk in self.invoke(query, k=k)))[:n]

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the interface's
        k: int | None = None,
        sources: Collection[str] | None = None,
    ) -> list[Document]:
        k = self.k if k is None else k
        if k < 1:
            msg = f"k is {k}; it must be at least 1"
            raise InputError(msg)
        terms = encode(analyze(query))
        if not terms or (sources is not None and not sources):
            return []
        wanted = None if sources is None else _of_sources(sources)
        found = self.store.similarity_search_with_score(terms, k=k, expr=wanted)
        # Milvus Lite gives distances, the server scores.
        return [_from_row(row, abs(score), rank) for rank, (row, score) in enumerate(found)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        # The base class's own passes no per-call arguments on.
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **kwargs
        )


def encode(terms: Iterable[str]) -> str:
    """Return terms as one text, from which any tokenizer gets them back; others than plain ones are hashed for that."""
    return " ".join(term if PLAIN.fullmatch(term) else f"x{_digest(term, 6)}" for term in terms)


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def _of_sources(sources: Collection[str]) -> str:
    """Return the filter for sources. Names are hashed, since they may hold anything that a filter would trip over."""
    names = [sources] if isinstance(sources, str) else sources
    return f"source_id in [{', '.join(repr(_digest(name, 16)) for name in sorted(names))}]"


def _to_row(chunk: Document) -> Document:
    """Return a chunk as the store keeps it."""
    source, terms = chunk.metadata.get("source"), encode(analyze(chunk.page_content))
    if not source or not chunk.metadata.get("chunk_id"):
        msg = f"a chunk has no source or no chunk_id: {chunk.page_content[:80]!r}; split the documents first"
        raise InputError(msg)
    if max(len(terms), len(chunk.page_content.encode("utf-8", "replace"))) > MAX_BYTES:
        msg = f"a chunk of {source} has more than {MAX_BYTES} bytes; split the documents first"
        raise InputError(msg)
    metadata = {TERMS: terms, "source": source, "source_id": _digest(source, 16), "metadata": chunk.metadata}
    return Document(chunk.page_content, metadata=metadata)


def _from_row(row: Document, score: float, rank: int) -> Document:
    return Document(row.page_content, metadata={**row.metadata["metadata"], "score": score, "rank": rank})


def _open_store(uri: str, collection: str, token: str | None) -> Any:  # noqa: ANN401 - of an optional package
    from langchain_milvus import BM25BuiltInFunction, Milvus  # noqa: PLC0415 - only if the extra is installed
    from pymilvus import DataType  # noqa: PLC0415

    def text(**options: Any) -> dict[str, Any]:
        return {"dtype": DataType.VARCHAR, "kwargs": {"max_length": MAX_BYTES, **options}}

    store = Milvus(
        embedding_function=None,
        builtin_function=BM25BuiltInFunction(input_field_names=TERMS, output_field_names="sparse"),
        collection_name=collection,
        connection_args={"uri": uri, "token": token or ""},
        primary_field="chunk_id",
        vector_field="sparse",
        metadata_schema={
            TERMS: text(enable_analyzer=True, analyzer_params={"tokenizer": "standard"}),
            "source": text(),
            "source_id": text(),
            "metadata": {"dtype": DataType.JSON},
        },
        index_params={
            "index_type": "SPARSE_INVERTED_INDEX",
            "metric_type": "BM25",
            "params": {"bm25_k1": 1.5, "bm25_b": 0.75},
        },
        # The store's own leave out small weights, which Milvus Lite refuses.
        search_params={"metric_type": "BM25", "params": {}},
    )
    if store.fields and TERMS not in store.fields:
        msg = f"the collection {collection} at {uri} has no field {TERMS}; drop it and index again, or name another"
        raise IndexFileError(msg)
    # Milvus Lite complains of a call that it lacks and that its client can do without.
    logging.getLogger("grpc._server").addFilter(_is_of_use)
    return store


def _is_of_use(record: logging.LogRecord) -> bool:
    return "Method not implemented" not in record.getMessage()


@contextmanager
def _usable(uri: str) -> Iterator[None]:
    """Say what to do if a store cannot be opened."""
    try:
        import langchain_milvus  # noqa: F401, PLC0415
        from pymilvus import MilvusException  # noqa: PLC0415
    except ImportError as error:
        msg = f'Milvus needs langchain-milvus ({error}); run: pip install "langchain-qwen-longctx[milvus]"'
        raise InputError(msg) from error
    try:
        yield
    except MilvusException as error:
        is_server = "://" in uri
        remedy = "start it, or check address and token" if is_server else "another process may have it open"
        place = re.sub("//.*@", "//", uri)
        msg = f"Milvus at {place} cannot be used ({error.message}); {remedy}"
        raise InputError(msg) from error
