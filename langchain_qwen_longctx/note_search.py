"""Notes that fit a query, best first, each with its best sentence and where that stands. No model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.note_properties import body_start
from langchain_qwen_longctx.note_reading import line_of
from langchain_qwen_longctx.schemas import Citation
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.documents import Document

    from langchain_qwen_longctx.note_reading import Note
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

LEAST_WEIGHT: Final = 0.01
"""What a term counts that stands nearly everywhere: in a few notes, its idf may be negative."""


class NoteCitation(Citation):
    """A verbatim span of a note.

    Attributes:
        line: Line of the file, from 1, in which it begins; None where the text is not the file's own.
    """

    line: int | None


class Hit(NoteCitation):
    """A note that was found, and the sentence in it that has most of what was searched for.

    Attributes:
        title: What its front matter calls it; empty if it does not say.
        tags: Its tags.
        score: The BM25 score of its best chunk.
    """

    title: str
    tags: list[str]
    score: float


def search(retriever: BilingualBM25Retriever, notes: Mapping[str, Note], query: str, limit: int) -> list[Hit]:
    """Return the notes that fit a query, best first.

    Args:
        retriever: The chunks to search.
        notes: What is known of the notes, by their sources.
        query: What to search for.
        limit: How many notes at most.
    """
    terms = analyze(query)
    best: dict[str, tuple[Document, float]] = {}
    for number, score in retriever.rank(terms):
        chunk = retriever.docs[number]
        best.setdefault(chunk.metadata["source"], (chunk, score))
        if len(best) == limit:
            break
    idf = retriever.vectorizer.idf
    weights = {term: max(idf.get(term, 0.0), LEAST_WEIGHT) for term in terms}
    return [_hit(chunk, notes[source], weights, score) for source, (chunk, score) in best.items()]


def _hit(chunk: Document, note: Note, weights: Mapping[str, float], score: float) -> Hit:
    first, last = best_sentence(chunk, weights)
    start = chunk.metadata["start"] + first
    return {
        "quote": chunk.page_content[first:last],
        "source": chunk.metadata["source"],
        "page": chunk.metadata["page"],
        "line": line_of(chunk, start),
        "start": start,
        "end": chunk.metadata["start"] + last,
        "chunk_id": chunk.metadata["chunk_id"],
        "title": note.title,
        "tags": note.tags,
        "score": round(score, 3),
    }


def best_sentence(chunk: Document, weights: Mapping[str, float]) -> tuple[int, int]:
    """Return where in a chunk the sentence with most of the terms stands, by weight; the first of several.

    A heading goes with what stands below it. Front matter comes last: what it says of the note, the title says as well.
    """

    def weight(number: int) -> float:
        start, end = spans[number]
        return sum(weights.get(term, 0.0) for term in set(analyze(text[start:end])))

    text = chunk.page_content
    below = body_start(text) if chunk.metadata["line"] == 1 else 0
    spans = [span for span in sentence_spans(text) if span[0] >= below] or sentence_spans(text)
    best = max(range(len(spans)), key=weight)
    is_heading = text.startswith("#", spans[best][0])
    return spans[best][0], spans[min(best + is_heading, len(spans) - 1)][1]
