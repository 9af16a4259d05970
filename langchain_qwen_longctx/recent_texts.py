"""The terms and sentences of the texts that were looked at last.

A question and the passages that may answer it are analysed a dozen times on the way to an answer, and again by the next
question about the same documents. What is looked at only once, such as all chunks for an index, goes to `analyze` and
`iter_sentences` themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.sentences import Sentence, iter_sentences

TEXTS_KEPT: Final = 2048
"""Several questions' worth; at some ten terms a sentence, a few megabytes."""

MAX_CHARACTERS: Final = 4096
"""A longer text, more than a chunk has as a rule, is analysed each time."""


def terms_of(text: str) -> tuple[str, ...]:
    """Return what `analyze` returns."""
    return _terms_of(text) if len(text) <= MAX_CHARACTERS else _terms_of.__wrapped__(text)


def sentences_of(text: str) -> tuple[Sentence, ...]:
    """Return what `iter_sentences` yields."""
    return _sentences_of(text) if len(text) <= MAX_CHARACTERS else _sentences_of.__wrapped__(text)


def spans_of(text: str) -> list[tuple[int, int]]:
    """Return what `sentence_spans` returns."""
    return [(sentence.start, sentence.end) for sentence in sentences_of(text)]


@lru_cache(TEXTS_KEPT)
def _terms_of(text: str) -> tuple[str, ...]:
    return tuple(analyze(text))


@lru_cache(TEXTS_KEPT)
def _sentences_of(text: str) -> tuple[Sentence, ...]:
    return tuple(iter_sentences(text))
