"""BM25 over chunks, in Chinese and English, with scores and a file format."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable  # noqa: TC003 - pydantic reads the annotation
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import chain, compress, islice
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.runnables.config import run_in_executor
from rank_bm25 import BM25Okapi

from langchain_qwen_longctx.analyzers import ANALYZER_VERSION, analyze
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

CHUNKS_COUNTED_AT_ONCE: Final = 128
"""Of so many chunks all terms are in memory, several megabytes of them."""


@dataclass(frozen=True, slots=True)
class Postings:
    """An inverted index in arrays.

    Attributes:
        vocabulary: Term to number, in order of first appearance where it was counted.
        offsets: Term `t` has the postings `offsets[t]:offsets[t + 1]`; shape `(terms + 1,)`, int64.
        chunks: Chunk number of each posting, ascending within a term; shape `(postings,)`, int32.
        frequencies: How often the term stands in that chunk; same shape, int32.
        lengths: Number of terms in each chunk; shape `(chunks,)`, int64.
    """

    vocabulary: dict[str, int]
    offsets: NDArray[np.int64]
    chunks: NDArray[np.int32]
    frequencies: NDArray[np.int32]
    lengths: NDArray[np.int64]

    @classmethod
    def from_corpus(cls, corpus: Iterable[Sequence[str]]) -> Self:
        """Count the terms of a corpus, one sequence of terms a chunk. Of these, few are in memory at once."""
        vocabulary = _numbering()
        documents = iter(corpus)
        lengths: list[int] = []
        postings: list[NDArray[np.int32]] = []
        while some := list(islice(documents, CHUNKS_COUNTED_AT_ONCE)):
            sizes = list(map(len, some))
            terms = np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(some)), np.int64, sum(sizes))
            keys, frequencies = np.unique(terms * len(some) + np.repeat(range(len(some)), sizes), return_counts=True)
            terms, chunks = np.divmod(keys, len(some))
            postings.append(np.stack([terms, chunks + len(lengths), frequencies]).astype(np.int32))
            lengths += sizes
        return cls._sorted(vocabulary, postings, np.array(lengths, np.int64))

    @classmethod
    def merge(cls, parts: Sequence[Postings], numbers: Sequence[int] | None = None) -> Self:
        """Join indexes of separate chunks into the one index of all of them, or of some.

        Args:
            parts: The indexes.
            numbers: Which chunks to take, counted through all parts, in the order they are to have, each at most once;
                default all. Terms that stand in none of them are left out.
        """
        vocabulary = _numbering()
        lengths = np.concatenate([np.empty(0, np.int64), *(part.lengths for part in parts)])
        taken = np.arange(len(lengths)) if numbers is None else np.array(numbers, np.int64)
        places = np.full(len(lengths), -1, np.int32)
        places[taken] = np.arange(len(taken))
        postings: list[NDArray[np.int32]] = []
        first = 0
        for part in parts:
            terms = np.fromiter(map(vocabulary.__getitem__, part.vocabulary), np.int32, len(part.vocabulary))
            chunks = places[first : first + len(part.lengths)][part.chunks]
            found = np.stack([np.repeat(terms, np.diff(part.offsets)), chunks, part.frequencies])
            postings.append(found[:, chunks >= 0])
            first += len(part.lengths)
        if numbers is not None:
            together = np.concatenate([np.empty((3, 0), np.int32), *postings], axis=1)
            postings = [together[:, np.argsort(together[1], kind="stable")]]
        return cls._sorted(vocabulary, postings, lengths[taken])

    @classmethod
    def _sorted(
        cls, vocabulary: defaultdict[str, int], postings: list[NDArray[np.int32]], lengths: NDArray[np.int64]
    ) -> Self:
        """Return the index of postings, without the terms that have none.

        Args:
            vocabulary: The terms and their numbers. It is taken over.
            postings: Numbers of terms, numbers of chunks, and frequencies, in parts of shape `(3, postings)`; those of
                a term in the order of their chunks. They are removed, as the memory is needed.
            lengths: As in the index.
        """
        terms, chunks, frequencies = np.concatenate([np.empty((3, 0), np.int32), *postings], axis=1)
        postings.clear()
        counts = np.bincount(terms, minlength=len(vocabulary))
        order = np.argsort(terms, kind="stable")
        vocabulary.default_factory = None
        kept = vocabulary if counts.all() else {term: n for n, term in enumerate(compress(vocabulary, counts))}
        offsets = np.concatenate([[0], np.cumsum(counts[counts > 0])])
        return cls(kept, offsets, chunks[order], frequencies[order], lengths)


def _numbering() -> defaultdict[str, int]:
    """Return a dictionary that gives each new key the next number."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


class SparseBM25Okapi(BM25Okapi):  # type: ignore[misc]
    """`rank_bm25.BM25Okapi` over postings: the same scores to the last bit, at the cost of the postings touched.

    The original visits every chunk for every query term; a query made of hundreds of terms, such as the sentences found
    by reading, takes it most of a second over a million tokens.

    Args:
        postings: The inverted index.
        k1: Saturation of term frequency.
        b: Weight of chunk length, 0 to 1.
        epsilon: Terms in more than half of the chunks have a negative idf; they get `epsilon` times the mean idf.

    Attributes:
        weights: The idf of each term, by its number; shape `(terms,)`.

    Source: Trotman, Puurula & Burgess, "Improvements to BM25 and Language Models Examined" (2014), as in `rank_bm25`.
    """

    def __init__(self, postings: Postings, *, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25) -> None:
        # The base class's constructor would count the corpus into one dictionary per chunk.
        self.postings = postings
        self.k1, self.b, self.epsilon = k1, b, epsilon
        self.tokenizer = None
        self.corpus_size = len(postings.lengths)
        self.doc_len = postings.lengths
        self.avgdl = int(postings.lengths.sum()) / max(self.corpus_size, 1)
        self.weights = self._inverse_frequencies()
        self._saturation = k1 * (1 - b + b * postings.lengths / (self.avgdl or 1))

    @cached_property
    def idf(self) -> dict[str, float]:
        """The weights by term, for whoever expects what `rank_bm25` has."""
        return dict(zip(self.postings.vocabulary, self.weights.tolist(), strict=True))

    def _inverse_frequencies(self) -> NDArray[np.float64]:
        counts = np.diff(self.postings.offsets)
        # math.log and additions one by one, as rank_bm25 has them: NumPy's log and sum differ in the last bit, and so
        # does the built-in sum from Python 3.12 on.
        idf_of = {int(n): math.log(self.corpus_size - n + 0.5) - math.log(n + 0.5) for n in np.unique(counts)}
        idf = np.fromiter(map(idf_of.__getitem__, counts.tolist()), np.float64, len(counts))
        self.average_idf = reduce(add, idf.tolist(), 0.0) / max(len(idf), 1)
        return np.where(idf < 0, self.epsilon * self.average_idf, idf)

    def get_scores(self, query: Iterable[str]) -> NDArray[np.float64]:
        """Return the score of every chunk for the terms of a query, repeats counted; shape `(chunks,)`."""
        return self.score_matches(query)[0]

    def get_batch_scores(self, query: Iterable[str], doc_ids: Sequence[int]) -> list[float]:
        """Return the scores of the given chunks only."""
        return [float(score) for score in self.get_scores(query)[list(doc_ids)]]

    def score_matches(self, query: Iterable[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the score of every chunk, and whether it holds at least one term of the query; each `(chunks,)`.

        In a corpus of one or two chunks every idf may be negative, so a score does not tell a match from none.
        """
        scores, matched = np.zeros(self.corpus_size), np.zeros(self.corpus_size, np.bool_)
        postings = self.postings
        known = (postings.vocabulary[term] for term in query if term in postings.vocabulary)
        for number in known:
            span = slice(postings.offsets[number], postings.offsets[number + 1])
            chunks, frequencies = postings.chunks[span], postings.frequencies[span]
            saturated = frequencies * (self.k1 + 1) / (frequencies + self._saturation[chunks])
            scores[chunks] += self.weights[number] * saturated
            matched[chunks] = True
        return scores, matched


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
    from safetensors.numpy import save  # noqa: PLC0415 - only when an index is written

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
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
        try:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise


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
