"""From ranked chunks to the passages put before the model: a few sentences each, the best first. Pure.

A small model answers better, and several times faster, from the passages that matter than from the chunks around them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from langchain_core.documents import Document
from typing_extensions import TypedDict

from langchain_qwen_longctx.bm25 import Postings, SparseBM25Okapi
from langchain_qwen_longctx.recent_texts import sentences_of
from langchain_qwen_longctx.text_blocks import Border
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from langchain_qwen_longctx.sentences import Sentence

PASSAGE_TOKENS: Final = 128
"""Most tokens in a passage, unless a single sentence has more."""

MIN_PARAGRAPH_TOKENS: Final = 32
"""A shorter paragraph, such as a line of a dialogue, is taken together with the next one."""


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


def paragraphs(text: str) -> list[list[Sentence]]:
    """Return the sentences of each paragraph, with the heading above it; short ones are taken together."""
    divided: list[list[Sentence]] = []
    for sentence in sentences_of(text):
        if divided and not _is_apart(text, divided[-1], sentence):
            divided[-1].append(sentence)
        else:
            divided.append([sentence])
    return divided


def _is_apart(text: str, before: Sequence[Sentence], sentence: Sentence) -> bool:
    """Tell whether a sentence begins something else than what stands before it."""
    if sentence.border is not Border.PARAGRAPH:
        return sentence.border is Border.BEFORE_HEADING
    return count_tokens(text[before[0].start : before[-1].end]) >= MIN_PARAGRAPH_TOKENS


def split_passages(chunk: Document, max_tokens: int = PASSAGE_TOKENS, *, by_paragraph: bool = True) -> list[Passage]:
    """Divide a chunk into passages of whole sentences.

    Args:
        chunk: The chunk.
        max_tokens: Most tokens in a passage, unless a single sentence has more.
        by_paragraph: Whether none goes from one paragraph on into the next. What stands there may be about something
            else, and a small model takes it for the same.
    """
    text, identifier = chunk.page_content, chunk.metadata["chunk_id"]
    passages: list[Passage] = []
    for paragraph in paragraphs(text) if by_paragraph else [sentences_of(text)]:
        for place, (start, end, _) in enumerate(paragraph):
            if place and count_tokens(text[passages[-1]["start"] : end]) <= max_tokens:
                passages[-1]["end"] = end
            else:
                passages.append({"chunk_id": identifier, "start": start, "end": end})
    return passages


def divide(passage: Passage, chunks: Mapping[str, Document]) -> list[Passage]:
    """Divide a passage between its paragraphs."""
    within = paragraphs(chunks[passage["chunk_id"]].page_content)
    spans = ((max(part[0].start, passage["start"]), min(part[-1].end, passage["end"])) for part in within)
    return [{**passage, "start": start, "end": end} for start, end in spans if start < end]


def around_sentences(chunk: Document, numbers: Iterable[int]) -> list[Passage]:
    """Return the passages of a chunk around sentences, each with those before and after it in its paragraph.

    Args:
        chunk: The chunk.
        numbers: Numbers of sentences, from 1; those that do not exist are passed over.
    """
    spans = sentences_of(chunk.page_content)
    wanted = [spans[n - 1] for n in sorted(set(numbers)) if 1 <= n <= len(spans)]
    around = [around_span(chunk, sentence.start, sentence.end) for sentence in wanted]
    return join(around, {chunk.metadata["chunk_id"]: chunk})


def around_span(chunk: Document, start: int, end: int) -> Passage:
    """Return the passage of a chunk around a span, with the sentence before and after it in its paragraphs."""
    touched = [
        sentence
        for paragraph in paragraphs(chunk.page_content)
        if paragraph[0].start < end and paragraph[-1].end > start
        for sentence in paragraph
    ]
    inside = [n for n, sentence in enumerate(touched) if sentence.start < end and sentence.end > start]
    first, last = max(min(inside) - 1, 0), min(max(inside) + 1, len(touched) - 1)
    return {"chunk_id": chunk.metadata["chunk_id"], "start": touched[first].start, "end": touched[last].end}


def rank_passages(
    chunks: Sequence[Document],
    shares: Sequence[float],
    query: Sequence[str],
    analyze: Callable[[str], Sequence[str]],
    *,
    by_paragraph: bool = True,
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
        by_paragraph: As for `split_passages`.
    """
    by_id = {chunk.metadata["chunk_id"]: chunk for chunk in chunks}
    parts = [
        (passage, share)
        for chunk, share in zip(chunks, shares, strict=True)
        for passage in split_passages(chunk, by_paragraph=by_paragraph)
    ]
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


def texts_of(passages: Iterable[Passage], chunks: Mapping[str, Document], *, between: str = "\n") -> str:
    """Return the texts of passages as one."""
    return between.join(text_of(passage, chunks) for passage in passages)


def to_document(passage: Passage, chunks: Mapping[str, Document]) -> Document:
    """Return a passage as a document with its own offsets in the source."""
    chunk = chunks[passage["chunk_id"]]
    first = chunk.metadata["start"]
    where = {"start": first + passage["start"], "end": first + passage["end"]}
    return Document(page_content=text_of(passage, chunks), metadata=chunk.metadata | where)
