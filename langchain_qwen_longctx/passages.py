"""From ranked chunks to the passages put before the model: a few sentences each, the best first. Pure.

A small model answers better, and several times faster, from the passages that matter than from the chunks around them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from langchain_core.documents import Document
from typing_extensions import TypedDict

from langchain_qwen_longctx.bm25 import Postings, SparseBM25Okapi
from langchain_qwen_longctx.recent_texts import spans_of
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

PASSAGE_TOKENS: Final = 128
"""Most tokens in a passage, unless a single sentence has more."""


class Passage(TypedDict):
    """A few sentences of a chunk.

    Attributes:
        chunk_id: The chunk.
        start: Offset of its first character in the chunk.
        end: Offset after its last character.
    """

    chunk_id: str
    start: int
    end: int


def whole(chunk: Document) -> Passage:
    """Return all of a chunk as one passage."""
    return {"chunk_id": chunk.metadata["chunk_id"], "start": 0, "end": len(chunk.page_content)}


def split_passages(chunk: Document, max_tokens: int = PASSAGE_TOKENS) -> list[Passage]:
    """Divide a chunk into passages of whole sentences."""
    text, identifier = chunk.page_content, chunk.metadata["chunk_id"]
    passages: list[Passage] = []
    for start, end in spans_of(text):
        if passages and count_tokens(text[passages[-1]["start"] : end]) <= max_tokens:
            passages[-1]["end"] = end
        else:
            passages.append({"chunk_id": identifier, "start": start, "end": end})
    return passages


def around_sentences(chunk: Document, numbers: Iterable[int]) -> list[Passage]:
    """Return the passages of a chunk around sentences, each with the sentence before and after it.

    Args:
        chunk: The chunk.
        numbers: Numbers of sentences, from 1; those that do not exist are passed over.
    """
    spans, identifier = spans_of(chunk.page_content), chunk.metadata["chunk_id"]
    around = [
        Passage(chunk_id=identifier, start=spans[max(n - 2, 0)][0], end=spans[min(n, len(spans) - 1)][1])
        for n in sorted(set(numbers))
        if 1 <= n <= len(spans)
    ]
    return join(around, {identifier: chunk})


def around_span(chunk: Document, start: int, end: int) -> Passage:
    """Return the passage of a chunk around a span, with the sentence before and after it."""
    spans = spans_of(chunk.page_content)
    inside = [n for n, (begin, stop) in enumerate(spans) if begin < end and stop > start]
    first, last = max(min(inside) - 1, 0), min(max(inside) + 1, len(spans) - 1)
    return {"chunk_id": chunk.metadata["chunk_id"], "start": spans[first][0], "end": spans[last][1]}


def rank_passages(
    chunks: Sequence[Document], shares: Sequence[float], query: Sequence[str], analyze: Callable[[str], Sequence[str]]
) -> list[Passage]:
    """Divide chunks into passages and sort them, best first.

    A passage counts by its BM25 score among all these passages, by that for pairs of neighbouring terms, which tell the
    ruler of Orion from Orion the ruler, and by its chunk's score: what stands around it says what it is about. Each is
    a share of the best one's, and they weigh the same.

    Source: for the pairs, Metzler & Croft, "A Markov random field model for term dependencies" (2005).

    Args:
        chunks: The retrieved chunks.
        shares: The score of each as a share of the best one's, between 0 and 1.
        query: The terms that were searched for.
        analyze: How terms are made of text.
    """
    by_id = {chunk.metadata["chunk_id"]: chunk for chunk in chunks}
    parts = [(passage, share) for chunk, share in zip(chunks, shares, strict=True) for passage in split_passages(chunk)]
    corpus = [analyze(text_of(passage, by_id)) for passage, _ in parts]
    by_terms = _relative_scores(corpus, query)
    by_pairs = _relative_scores(map(_pairs, corpus), _pairs(query))
    merits = by_terms + by_pairs + [share for _, share in parts]
    return [parts[index][0] for index in (-merits).argsort(kind="stable")]


def _relative_scores(corpus: Iterable[Sequence[str]], query: Sequence[str]) -> NDArray[np.float64]:
    scores = SparseBM25Okapi(Postings.from_corpus(corpus)).get_scores(query)
    return scores / (scores.max(initial=0.0) or 1.0)


def _pairs(terms: Sequence[str]) -> list[str]:
    return [f"{left} {right}" for left, right in pairwise(terms)]


def join(passages: Iterable[Passage], chunks: Mapping[str, Document]) -> list[Passage]:
    """Put passages of the same chunk together in their order, and make one of those that overlap or adjoin.

    The chunks keep the order of their first passages.
    """
    by_chunk: dict[str, list[Passage]] = {}
    for passage in passages:
        by_chunk.setdefault(passage["chunk_id"], []).append(passage)
    joined: list[Passage] = []
    for identifier, parts in by_chunk.items():
        text = chunks[identifier].page_content
        for part in sorted(parts, key=lambda passage: passage["start"]):
            last = joined[-1] if joined else None
            if last and last["chunk_id"] == identifier and not text[last["end"] : part["start"]].strip():
                joined[-1] = {**last, "end": max(last["end"], part["end"])}
            else:
                joined.append(part)
    return joined


def overlaps(passage: Passage, other: Passage) -> bool:
    """Tell whether two passages have some text in common."""
    is_same_chunk = passage["chunk_id"] == other["chunk_id"]
    return is_same_chunk and passage["start"] < other["end"] and other["start"] < passage["end"]


def text_of(passage: Passage, chunks: Mapping[str, Document]) -> str:
    """Return the text of a passage."""
    return chunks[passage["chunk_id"]].page_content[passage["start"] : passage["end"]]


def to_document(passage: Passage, chunks: Mapping[str, Document]) -> Document:
    """Return a passage as a document with its own offsets in the source."""
    chunk = chunks[passage["chunk_id"]]
    first = chunk.metadata["start"]
    where = {"start": first + passage["start"], "end": first + passage["end"]}
    return Document(page_content=text_of(passage, chunks), metadata=chunk.metadata | where)
