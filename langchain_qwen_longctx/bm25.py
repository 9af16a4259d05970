"""BM25 over an inverted index in arrays. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import chain, compress, islice
from operator import add
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from rank_bm25 import BM25Okapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

CHUNKS_COUNTED_AT_ONCE: Final = 128
"""Of so many chunks all terms are in memory, several megabytes of them."""

POSTINGS_AT_ONCE: Final = 1 << 16
"""Of so many postings the steps towards their scores are in memory."""


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
        parts: list[_Part] = []
        while some := list(islice(documents, CHUNKS_COUNTED_AT_ONCE)):
            sizes = list(map(len, some))
            terms = np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(some)), np.int64, sum(sizes))
            keys, frequencies = np.unique(terms * len(some) + np.repeat(range(len(some)), sizes), return_counts=True)
            terms, chunks = np.divmod(keys, len(some))
            edges = np.flatnonzero(np.diff(terms, prepend=-1))
            counts = np.diff(edges, append=len(terms))
            parts.append(_Part(len(lengths), terms[edges], counts, _small(chunks), _small(frequencies)))
            lengths += sizes
        return cls._joined(vocabulary, parts, np.array(lengths, np.int64))

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
        joined: list[_Part] = []
        first = 0
        for part in parts:
            terms = np.fromiter(map(vocabulary.__getitem__, part.vocabulary), np.int64, len(part.vocabulary))
            chunks = places[first : first + len(part.lengths)][part.chunks]
            kept = chunks >= 0
            counts = np.add.reduceat(kept, part.offsets[:-1], dtype=np.int64) if len(terms) else terms
            joined.append(_Part(0, terms, counts, chunks[kept], part.frequencies[kept]))
            first += len(part.lengths)
        return cls._joined(vocabulary, joined, lengths[taken], in_order=numbers is None)

    @classmethod
    def _joined(
        cls,
        vocabulary: defaultdict[str, int],
        parts: list[_Part],
        lengths: NDArray[np.int64],
        *,
        in_order: bool = True,
    ) -> Self:
        """Return the index of postings, without the terms that have none.

        Args:
            vocabulary: The terms and their numbers. It is taken over.
            parts: The postings. They are removed one by one, as the memory is needed.
            lengths: As in the index.
            in_order: Whether all chunks of a part come before those of the next, and within a term are in order.
        """
        totals = np.zeros(len(vocabulary), np.int64)
        for part in parts:
            totals[part.terms] += part.counts
        offsets = np.concatenate([[0], np.cumsum(totals)])
        chunks, frequencies = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.int32)
        free = offsets[:-1].copy()
        parts.reverse()
        while parts:
            part = parts.pop()
            # The postings of a term go where those of the parts before end.
            begins = np.cumsum(part.counts) - part.counts
            places = np.repeat(free[part.terms] - begins, part.counts) + np.arange(len(part.chunks))
            chunks[places] = part.first + part.chunks.astype(np.int32)
            frequencies[places] = part.frequencies
            free[part.terms] += part.counts
        if not in_order:
            order = np.lexsort((chunks, np.repeat(np.arange(len(totals)), totals)))
            chunks, frequencies = chunks[order], frequencies[order]
        vocabulary.default_factory = None
        kept = vocabulary if totals.all() else {term: n for n, term in enumerate(compress(vocabulary, totals))}
        return cls(kept, np.concatenate([[0], offsets[1:][totals > 0]]), chunks, frequencies, lengths)


class _Part(NamedTuple):
    """Postings of some chunks, by terms and within a term by chunks.

    Attributes:
        first: Number of the chunk that is 0 here.
        terms: Numbers of the terms, each once; shape `(terms,)`.
        counts: How many postings each of them has; same shape.
        chunks: Chunk of each posting; shape `(postings,)`.
        frequencies: How often the term stands in that chunk; same shape.
    """

    first: int
    terms: NDArray[np.int64]
    counts: NDArray[np.int64]
    chunks: NDArray[np.integer[Any]]
    frequencies: NDArray[np.integer[Any]]


def _small(numbers: NDArray[np.int64]) -> NDArray[np.integer[Any]]:
    """Return numbers that are not negative in as few bytes as the largest of them takes."""
    return numbers.astype(np.min_scalar_type(numbers.max(initial=0)))


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
        postings = self.postings
        numbers = [postings.vocabulary[term] for term in query if term in postings.vocabulary]
        begins, ends = postings.offsets[numbers].tolist(), postings.offsets[1:][numbers].tolist()
        spans = [slice(begin, end) for begin, end in zip(begins, ends, strict=True)]
        chunks = np.concatenate([np.empty(0, np.int32), *(postings.chunks[span] for span in spans)])
        impacts = np.concatenate([np.empty(0), *(self._impacts[span] for span in spans)])
        matched = np.zeros(self.corpus_size, np.bool_)
        matched[chunks] = True
        # One after the other, so that the sums are those of a loop over the terms; of nothing, they are integers.
        return np.bincount(chunks, impacts, self.corpus_size).astype(np.float64, copy=False), matched

    @cached_property
    def _impacts(self) -> NDArray[np.float64]:
        """What each posting adds to the score of its chunk."""
        chunks, frequencies = self.postings.chunks, self.postings.frequencies
        impacts = np.repeat(self.weights, np.diff(self.postings.offsets))
        for begin in range(0, len(impacts), POSTINGS_AT_ONCE):
            some = slice(begin, begin + POSTINGS_AT_ONCE)
            saturated = frequencies[some] * (self.k1 + 1) / (frequencies[some] + self._saturation[chunks[some]])
            impacts[some] *= saturated
        return impacts
