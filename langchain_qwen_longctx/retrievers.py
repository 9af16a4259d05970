"""BM25 over chunks, in Chinese and English, with scores and a file format."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable  # noqa: TC003 - pydantic reads the annotation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor

from langchain_qwen_longctx.analyzers import ANALYZER_VERSION, analyze
from langchain_qwen_longctx.bm25 import Postings, SparseBM25Okapi
from langchain_qwen_longctx.errors import IndexFileError, InputError

with warnings.catch_warnings():
    # langchain-community announces its end of maintenance at import; its BM25Retriever has no other home yet.
    warnings.filterwarnings("ignore", message="`langchain-community`", category=DeprecationWarning)
    from langchain_community.retrievers.bm25 import BM25Retriever

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from numpy.typing import NDArray

FORMAT: Final = "qwen-longctx-bm25"
FORMAT_VERSION: Final = "1"


class BilingualBM25Retriever(BM25Retriever):
    """LangChain's `BM25Retriever` with Chinese and English terms, scores, filters, and a safe file format.

    A document that shares no term with the query is never returned, so fewer than `k` may come back. Each result is a
    copy whose metadata has `score` (float, the BM25 score) and `rank` (int, from 0). Equal scores keep document order.

    Build it with `from_documents` or `from_texts`; `k` (default 4) and `sources` (a collection of `metadata["source"]`
    values to search in) may also be given per call: `retriever.invoke("query", k=20, sources=["report.pdf"])`.

    Attributes:
        about: What the index is of, in JSON, for whoever saves it; it is loaded with it.
    """

    preprocess_func: Callable[[str], list[str]] = analyze
    about: Any = None

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any]] | None = None,
        ids: Iterable[str] | None = None,
        bm25_params: dict[str, Any] | None = None,
        preprocess_func: Callable[[str], list[str]] = analyze,
        **kwargs: Any,
    ) -> Self:
        """Index texts.

        Args:
            texts: One text a document.
            metadatas: Metadata of each, in the same order.
            ids: Id of each, in the same order.
            bm25_params: `k1`, `b` and `epsilon` of `SparseBM25Okapi`.
            preprocess_func: Text to terms; default `analyzers.analyze`.
            **kwargs: Fields of the retriever, such as `k`.
        """
        texts = list(texts)
        metadatas = [{} for _ in texts] if metadatas is None else list(metadatas)
        identifiers = [None for _ in texts] if ids is None else list(ids)
        documents = [
            Document(page_content=text, metadata=metadata, id=identifier)
            for text, metadata, identifier in zip(texts, metadatas, identifiers, strict=True)
        ]
        return cls.from_documents(documents, bm25_params=bm25_params, preprocess_func=preprocess_func, **kwargs)

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        bm25_params: dict[str, Any] | None = None,
        preprocess_func: Callable[[str], list[str]] = analyze,
        **kwargs: Any,
    ) -> Self:
        """Index documents, usually the chunks of a splitter. Arguments as in `from_texts`."""
        docs = list(documents)
        postings = Postings.from_corpus(preprocess_func(doc.page_content) for doc in docs)
        vectorizer = SparseBM25Okapi(postings, **(bm25_params or {}))
        return cls(vectorizer=vectorizer, docs=docs, preprocess_func=preprocess_func, **kwargs)

    @classmethod
    def merge(cls, retrievers: Sequence[Self], *, numbers: Sequence[int] | None = None, **kwargs: Any) -> Self:
        """Join retrievers over separate documents into one over all of them, or over some, as if indexed together.

        Scores are to the last bit those of an index made of these documents, with one exception: terms in more than
        half of them get a share of the average idf, and how that is rounded depends on the order of the vocabulary.

        Args:
            retrievers: Retrievers with the same `preprocess_func`, which the new one takes over; their BM25 parameters
                give way to the defaults.
            numbers: Which documents to take, as positions in those of all retrievers, in the order in which they are to
                stand, each at most once; default all.
            **kwargs: Fields of the new retriever, such as `k`.
        """
        postings = Postings.merge([retriever.vectorizer.postings for retriever in retrievers], numbers)
        docs = [doc for retriever in retrievers for doc in retriever.docs]
        shared = {"preprocess_func": retrievers[0].preprocess_func} if retrievers else {}
        taken = docs if numbers is None else [docs[number] for number in numbers]
        return cls(vectorizer=SparseBM25Okapi(postings), docs=taken, **(shared | kwargs))

    def rank(
        self, terms: Sequence[str], *, k: int | None = None, sources: Collection[str] | None = None
    ) -> list[tuple[int, float]]:
        """Return the best documents for terms, as `(position in docs, score)`, best first.

        Args:
            terms: Query terms in the analyzer's form; a repeated term counts as often as it stands there.
            k: How many at most; default all that match.
            sources: Search only documents whose `metadata["source"]` is among these, or is this one.
        """
        if k is not None and k < 1:
            msg = f"k is {k}; it must be at least 1"
            raise InputError(msg)
        scores, matched = self.vectorizer.score_matches(terms)
        candidates = np.flatnonzero(matched)
        if sources is not None:
            wanted = {sources} if isinstance(sources, str) else set(sources)
            candidates = np.array([i for i in candidates if self.docs[i].metadata.get("source") in wanted], np.int64)
        best = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return [(int(i), float(scores[i])) for i in best]

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - the interface's
        k: int | None = None,
        sources: Collection[str] | None = None,
    ) -> list[Document]:
        ranking = self.rank(self.preprocess_func(query), k=self.k if k is None else k, sources=sources)
        return [
            self.docs[i].model_copy(update={"metadata": {**self.docs[i].metadata, "score": score, "rank": rank}})
            for rank, (i, score) in enumerate(ranking)
        ]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        # The base class's own passes no per-call arguments on.
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **kwargs
        )

    def save(self, path: str | Path) -> None:
        """Write documents and index to one file, whole or not at all.

        The file is in safetensors format: arrays and JSON, nothing that could run when it is read.

        Raises:
            InputError: The retriever has an analyzer of its own, which a file cannot carry, or a document's metadata
                holds something other than JSON.
            OSError: The file cannot be written; one that was there before is left as it was.
        """
        if self.preprocess_func is not analyze:
            msg = "only an index with the default preprocess_func can be saved; keep the documents and index them again"
            raise InputError(msg)
        _write_index(Path(path), self.docs, self.vectorizer, self.about)

    @classmethod
    def load(cls, path: str | Path, **kwargs: Any) -> Self:
        """Read a retriever that `save` wrote.

        Args:
            path: The file.
            **kwargs: Fields of the retriever, such as `k`.

        Raises:
            IndexFileError: The file is missing, truncated, damaged, not an index, or from another version.
        """
        docs, vectorizer, about = _read_index(Path(path))
        return cls(vectorizer=vectorizer, docs=docs, **({"about": about} | kwargs))


def _write_index(path: Path, docs: Sequence[Document], bm25: SparseBM25Okapi, about: object) -> None:
    try:
        documents = _to_array([[doc.page_content, doc.metadata, doc.id] for doc in docs])
    except (TypeError, ValueError) as error:
        msg = f"a document's metadata cannot be saved ({error}); use text, numbers, lists and dictionaries only"
        raise InputError(msg) from error
    postings = bm25.postings
    tensors: dict[str, NDArray[Any]] = {
        "documents": documents,
        "vocabulary": _to_array(list(postings.vocabulary)),
        "offsets": postings.offsets,
        "chunks": postings.chunks,
        "frequencies": postings.frequencies,
        "lengths": postings.lengths,
    }
    if about is not None:
        tensors["about"] = _to_array(about)
    parameters = json.dumps({"k1": bm25.k1, "b": bm25.b, "epsilon": bm25.epsilon})
    metadata = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "analyzer": ANALYZER_VERSION,
        "parameters": parameters,
        "digest": _digest(parameters, tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        _save_file(tensors, part, metadata)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _save_file(tensors: dict[str, NDArray[Any]], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors to a file, past the cache of the system, without a second copy of them in memory."""
    from safetensors import SafetensorError  # noqa: PLC0415 - only when an index is written
    from safetensors.numpy import save_file  # noqa: PLC0415 - likewise

    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        msg = f"{path}: {error}"
        raise OSError(msg) from error
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _read_index(path: Path) -> tuple[list[Document], SparseBM25Okapi, object]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - only when an index is read

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        msg = f"{path}: not a readable index ({error}); delete it and build the index again"
        raise IndexFileError(msg) from error
    if metadata.get("digest") != _digest(metadata.get("parameters", ""), tensors):
        msg = f"{path}: the content does not match its checksum; delete it and build the index again"
        raise IndexFileError(msg)
    documents = [
        Document(page_content=text, metadata=meta, id=identifier)
        for text, meta, identifier in json.loads(tensors["documents"].tobytes())
    ]
    vocabulary = {term: number for number, term in enumerate(json.loads(tensors["vocabulary"].tobytes()))}
    arrays = (tensors[name] for name in ("offsets", "chunks", "frequencies", "lengths"))
    about = json.loads(tensors["about"].tobytes()) if "about" in tensors else None
    return documents, SparseBM25Okapi(Postings(vocabulary, *arrays), **json.loads(metadata["parameters"])), about


def _check_format(path: Path, metadata: dict[str, str]) -> None:
    found = (metadata.get("format"), metadata.get("version"), metadata.get("analyzer"))
    expected = (FORMAT, FORMAT_VERSION, ANALYZER_VERSION)
    if found != expected:
        msg = f"{path}: holds {found}, expected {expected}; delete it and build the index again"
        raise IndexFileError(msg)


def _digest(parameters: str, tensors: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.blake2b(parameters.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def _to_array(value: object) -> NDArray[np.uint8]:
    # Not in ASCII: that is half as large again for Chinese, and would read two lone surrogates as one character.
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"), np.uint8)
