"""From an answer's `[n]` markers to verbatim spans of the sources. Pure: no model is called here."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.prompts import NOT_FOUND
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document

    from langchain_qwen_longctx.schemas import Citation

MIN_SUPPORT: Final = 0.6
"""Share of an unmarked answer's term weight that one sentence must hold to be cited for it."""

_MARKER: Final = re.compile(r"[\[【](\d{1,4}(?:\s*[,，、;\-–]\s*\d{1,4})*)[\]】]")
_DECLINED: Final = re.compile(r"\W*" + r"[\s_]*".join(NOT_FOUND.split()), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    start: int
    end: int
    terms: frozenset[str]


def is_declined(answer: str) -> bool:
    """Tell whether the model said that the evidence does not hold the answer, or said nothing."""
    return not answer.strip() or _DECLINED.match(answer) is not None


def cite(answer: str, evidence: Sequence[Document], question: str = "") -> tuple[str, list[Citation]]:
    """Turn the markers of an answer into citations.

    Each marker `[n]` that names a passage becomes the one sentence of it that best supports the words before the
    marker. A marker that names no passage is dropped. An answer without a single good marker is compared with every
    sentence; if one holds most of what the answer says, it is cited, otherwise there is no citation.

    Args:
        answer: The model's text.
        evidence: The numbered passages, from 1, with `source`, `page`, `start`, `end` and `chunk_id` in their metadata.
        question: The question and its translations, to choose among sentences when the answer's words do not decide.

    Returns:
        The answer with its markers renumbered to `citations[n - 1]`, and the citations, each once.
    """
    sentences = _sentences(evidence)
    weights = _term_weights(sentences)
    question_terms = frozenset(analyze(question))
    chosen: list[_Sentence] = []
    parts: list[str] = []
    end = 0
    for marker in _MARKER.finditer(answer):
        statement = answer[end : marker.start()] or answer[: marker.start()]
        numbers = [int(n) for n in re.findall(r"\d+", marker.group(1)) if 1 <= int(n) <= len(evidence)]
        terms = frozenset(analyze(statement))
        spans = [_best((s for s in sentences if s.passage == n), terms, question_terms, weights) for n in numbers]
        parts += [answer[end : marker.start()].rstrip() if not spans else answer[end : marker.start()]]
        parts += [f"[{_number(span, chosen)}]" for span in dict.fromkeys(spans)]
        end = marker.end()
    text = "".join([*parts, answer[end:]]).strip()
    if not chosen and (found := _supporting(frozenset(analyze(text)) - question_terms, sentences, weights)):
        text = f"{text} [{_number(found, chosen)}]"
    return text, [_citation(evidence[sentence.passage - 1], sentence) for sentence in chosen]


def _sentences(evidence: Sequence[Document]) -> list[_Sentence]:
    return [
        _Sentence(number, start, end, frozenset(analyze(passage.page_content[start:end])))
        for number, passage in enumerate(evidence, 1)
        for start, end in sentence_spans(passage.page_content)
    ]


def _term_weights(sentences: Iterable[_Sentence]) -> dict[str, float]:
    """Weigh a term by how few sentences have it."""
    return {term: 1 / count for term, count in Counter(term for s in sentences for term in s.terms).items()}


def _best(
    sentences: Iterable[_Sentence], terms: frozenset[str], question_terms: frozenset[str], weights: dict[str, float]
) -> _Sentence:
    def support(sentence: _Sentence) -> tuple[float, float]:
        held = sum(weights[term] for term in sentence.terms & (terms - question_terms))
        asked = sum(weights[term] for term in sentence.terms & (terms | question_terms))
        return 2 * held + asked, held

    return max(sentences, key=support)


def _supporting(terms: frozenset[str], sentences: Iterable[_Sentence], weights: dict[str, float]) -> _Sentence | None:
    """Return the sentence that holds most of the answer's terms, or None if none holds enough of them."""
    best = max(sentences, key=lambda s: sum(weights[t] for t in s.terms & terms), default=None)
    if best is None or not terms:
        return None
    # A term that stands nowhere in the evidence counts as much as one that stands in a single sentence.
    total = sum(weights.get(term, 1.0) for term in terms)
    return best if sum(weights[t] for t in best.terms & terms) >= MIN_SUPPORT * total else None


def _number(sentence: _Sentence, chosen: list[_Sentence]) -> int:
    if sentence not in chosen:
        chosen.append(sentence)
    return chosen.index(sentence) + 1


def _citation(passage: Document, sentence: _Sentence) -> Citation:
    first = passage.metadata["start"]
    return {
        "quote": passage.page_content[sentence.start : sentence.end],
        "source": passage.metadata["source"],
        "page": passage.metadata.get("page"),
        "start": first + sentence.start,
        "end": first + sentence.end,
        "chunk_id": passage.metadata["chunk_id"],
    }
