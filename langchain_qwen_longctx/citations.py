"""From an answer's `[n]` markers to verbatim spans of the sources. Pure: no model is called here."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import count, islice, zip_longest
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import analyze, normalize
from langchain_qwen_longctx.neutralizing import neutralize
from langchain_qwen_longctx.numerals import in_digits
from langchain_qwen_longctx.recent_texts import spans_of, terms_of
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from langchain_core.documents import Document

    from langchain_qwen_longctx.schemas import Citation

MIN_SUPPORT: Final = 0.6
"""Share of an unmarked answer's term weight that what is cited for it must hold."""

MAX_SENTENCES_TOGETHER: Final = 2
"""So many sentences are cited at most for one unmarked sentence of an answer."""

ANSWER_OVER_QUESTION: Final = 3
"""How much more a term of the answer counts than one of the question, when a sentence is chosen."""

NUMBER_OVER_WORD: Final = 2
"""How much more a number of the answer counts than a word then: it cannot be put otherwise, once all are in digits."""

FIGURES_TO_CALCULATE: Final = 2
"""So many figures are needed to work out another one."""

_NUMBER: Final = re.compile(r"\d+")
_NAME: Final = re.compile(r"[A-Z\u00c0-\u00de][\w'’\-]*")
_MARKER: Final = re.compile(r"[\[【](\d{1,4}(?:\s*[,，、;\-–]\s*\d{1,4})*)[\]】]")
_BRACKETS: Final = re.compile(r"[\[【［]([^\[\]【】［］]*)[\]】］]")
_LABEL: Final = re.compile(r"(?<!\d)\d{1,4}(?!\d)")
_DECLINED: Final = re.compile(
    r"^\W*(?:not[\s_]*found\b|(?:there is )?no (?:information|mention)\b)"
    r"|\b(?:passages?|texts?|documents?|evidence|context)\b.{0,20}\b(?:do|does|did)(?: not|n['’]t)\b"
    r".{0,20}\b(?:mention|say|state|contain|provide|specify|give|answer|include|tell)"
    r"|\bnot (?:mentioned|stated|specified|provided|given|answered) (?:in|by) (?:the|any|these)\b"
    r"|(?:文中|文本|段落|资料|文档|材料|上文|文章|以上)[^，。]{0,8}(?:没有|并未|未|无)[^，。]{0,4}(?:提到|提及|说明|给出|提供|找到|相关|回答)"
    r"|^\W*(?:没有|未|无)(?:提到|提及|说明|相关)",
    re.IGNORECASE,
)
"""Ways in which models say that there is no answer. They are not asked to, but the larger ones know when."""

_POINTING: Final = re.compile(
    rf"^(?!\W*(?:yes\b|no\b|是|不是|对|否)).*(?:\b(?:is|was|are|were|the|an?)|[在是为于由])\s*{_MARKER.pattern}\W*$",
    re.IGNORECASE | re.DOTALL,
)
"""A marker in the place of the answer: "the satellite was [1]"."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    start: int
    end: int
    text: str
    terms: frozenset[str]

    def held(self, said: AbstractSet[str]) -> set[str]:
        """Return which terms stand in it. How Chinese is cut into words depends on what stands around them."""
        return {term for term in said if term in self.terms or (_script(term) == "other" and term in self.text)}


def labels(passages: Sequence[Document]) -> list[int]:
    """Return the number that each passage goes by in a prompt: from 1, but for those that a passage has in brackets.

    So a marker that a model has copied out of a passage, where it is a footnote's or a forger's, names none.
    """
    texts = (f"{neutralize(passage.page_content)}\n{passage.metadata['source']}" for passage in passages)
    taken = {int(number) for text in texts for inside in _BRACKETS.findall(text) for number in _LABEL.findall(inside)}
    return list(islice((number for number in count(1) if number not in taken), len(passages)))


def is_declined(answer: str) -> bool:
    """Tell whether the model said that the evidence does not hold the answer, or gave nothing but a marker for one."""
    said = without_markers(answer)
    return not said or _DECLINED.search(answer) is not None or _POINTING.search(answer) is not None


def without_markers(answer: str) -> str:
    """Return an answer without the markers of its citations."""
    return re.sub(rf"\s*{_MARKER.pattern}", "", answer).strip()


def cite(answer: str, evidence: Sequence[Document], question: str = "") -> tuple[str, list[Citation]]:
    """Turn the markers of an answer into citations.

    Each marker `[n]` that names a passage becomes the one sentence of it that best supports the words the marker
    stands for: those before it, and what follows it in their sentence; or those after it where an answer begins with
    one. If the passage holds too little of them and others hold most, the model took the wrong number, and these are
    cited. A marker that names no passage is dropped, and so is one that stands for a name if the evidence has neither
    that nor anything else that the question has not: the model knows it from elsewhere, or has made it up. So is one
    that stands for such a figure, unless the passage has others that it may be worked out from. An answer without a
    single good marker is compared with the evidence sentence by sentence: what one sentence of the evidence, or two
    together, hold most of is cited, the rest is not. Numbers are the same in words and in digits.

    Args:
        answer: The model's text.
        evidence: The passages, which `labels` numbers, with `source`, `page`, `start`, `end` and `chunk_id` in their
            metadata.
        question: The question and its translations, to choose among sentences when the answer's words do not decide.

    Returns:
        The answer with its markers renumbered to `citations[n - 1]`, and the citations, each once.
    """
    support = _Support(_sentences(evidence), question)
    places = {label: place for place, label in enumerate(labels(evidence), 1)}
    chosen: list[_Sentence] = []
    parts: list[str] = []
    end = 0
    names = frozenset(_terms(" ".join(_NAME.findall(answer.partition(" ")[2]))))
    for marker, terms in _statements(answer):
        before = answer[end : marker.start()]
        passages = [places[n] for n in map(int, _NUMBER.findall(marker.group(1))) if n in places]
        said = support.beyond_question(terms)
        if support.has_none(said):
            passages = [] if said & names else [n for n in passages if not support.is_made_up(said, n)]
        spans = dict.fromkeys(span for passage in passages for span in support.within(passage, said))
        parts.append(before if spans else before.rstrip())
        parts += [f"[{_number(span, chosen)}]" for span in spans]
        end = marker.end()
    text = "".join([*parts, answer[end:]]).strip()
    if not chosen:
        text = _mark(text, support, chosen)
    return text, [citation_of(evidence[sentence.passage - 1], sentence.start, sentence.end) for sentence in chosen]


def _statements(answer: str) -> Iterator[tuple[re.Match[str], frozenset[str]]]:
    """Yield each marker of an answer with the terms of what it stands for."""
    sentences = sentence_spans(answer)
    markers = list(_MARKER.finditer(answer))
    begin = 0
    for marker, following in zip_longest(markers, markers[1:]):
        said = _terms(answer[begin : marker.start()])
        sentence_end = next((end for start, end in sentences if start < marker.start() < end), marker.end())
        if said and (following is None or following.start() >= sentence_end):
            said += _terms(answer[marker.end() : sentence_end])
        yield marker, frozenset(said or _terms(answer[: marker.start()]) or _terms(answer[marker.end() :]))
        begin = marker.end()


def _mark(answer: str, support: _Support, chosen: list[_Sentence]) -> str:
    """Put a marker after each sentence of an unmarked answer that the evidence holds."""
    parts, last = [], 0
    for start, end in sentence_spans(answer):
        parts.append(answer[last:end])
        last = end
        said = support.beyond_question(_terms(answer[start:end]))
        parts += [f" [{_number(found, chosen)}]" for found in support.anywhere(said)]
    return "".join([*parts, answer[last:]])


def _sentences(evidence: Sequence[Document]) -> list[_Sentence]:
    return [
        _Sentence(number, start, end, text := _plain(passage.page_content[start:end]), frozenset(terms_of(text)))
        for number, passage in enumerate(evidence, 1)
        for start, end in spans_of(passage.page_content)
    ]


def _plain(text: str) -> str:
    """Return a text in the form that answers and sentences are compared in, whichever way they write numbers."""
    return in_digits(normalize(text))


def _terms(text: str) -> list[str]:
    return analyze(_plain(text))


class _Support:
    """Compares what an answer says with the sentences of the evidence, rare terms weighing more."""

    def __init__(self, sentences: Sequence[_Sentence], question: str) -> None:
        self._sentences = sentences
        self._question = _plain(question)
        self._question_terms = frozenset(analyze(self._question))
        self._weights = {term: 1 / n for term, n in Counter(term for s in sentences for term in s.terms).items()}

    def beyond_question(self, terms: Iterable[str]) -> set[str]:
        """Return the terms that the question does not have, Chinese ones cut as the evidence and the question are."""
        new = set(terms) - self._question_terms
        chinese = {term for term in new if _script(term) == "other"}
        parts = {part for term in chinese for part in self._recut(term) if part not in self._question}
        return new - chinese | parts

    def has_none(self, said: AbstractSet[str]) -> bool:
        """Tell whether nothing of what is said stands anywhere in the evidence."""
        return not any(sentence.held(said) for sentence in self._sentences)

    def is_made_up(self, said: AbstractSet[str], passage: int) -> bool:
        """Tell whether something that stands nowhere is a figure which cannot be worked out from a passage either."""
        others = _figures(term for sentence in self._inside(passage) for term in sentence.terms)
        return bool(_figures(said)) and len(others) < FIGURES_TO_CALCULATE

    def within(self, passage: int, said: AbstractSet[str]) -> list[_Sentence]:
        """Return the sentence of a passage that supports a statement best; others if it holds too little and they most.

        Too little is less than half of the weight that the others hold.
        """
        best = self._best(self._inside(passage), said)
        others = self.anywhere(said)
        held = set[str]().union(*(sentence.held(said) for sentence in others))
        return others if 2 * self._weigh(best.held(said)) < self._weigh(held) else [best]

    def anywhere(self, said: AbstractSet[str]) -> list[_Sentence]:
        """Return the sentences that together hold most of what is said, or none.

        That is one as a rule; two where one alone does not hold enough, as in an answer of two steps.

        Failing that, a figure may tell. A word in a script that the evidence does not use cannot be compared: of
        "31.4米" over English evidence, 31.4 counts. A term that stands nowhere in the evidence weighs as much as one
        that stands in a single sentence.
        """
        scripts = {_script(term) for term in self._weights}
        said = {term for term in said if _script(term) in scripts}
        wanted = MIN_SUPPORT * self._weigh(said)
        found: list[_Sentence] = []
        held: set[str] = set()
        while said - held and len(found) < MAX_SENTENCES_TOGETHER:
            best = max(self._sentences, key=lambda sentence: self._support(sentence, said - held))
            if not best.held(said - held):
                break
            found.append(best)
            held |= best.held(said)
            if self._weigh(held) >= wanted:
                return found
        return self._by_figures(said)

    def _inside(self, passage: int) -> list[_Sentence]:
        return [sentence for sentence in self._sentences if sentence.passage == passage]

    def _recut(self, term: str) -> Iterator[str]:
        """Cut a term where what is known of it ends; what is not known stays whole.

        A name after a verb may have been cut as if the verb were its surname.
        """
        while term:
            known = (end for end in range(len(term), 0, -1) if self._is_known(term[:end]))
            end = next(known, len(term))
            yield term[:end]
            term = term[end:]

    def _is_known(self, part: str) -> bool:
        return part in self._question or any(part in sentence.text for sentence in self._sentences)

    def _by_figures(self, said: AbstractSet[str]) -> list[_Sentence]:
        """Return the sentence that speaks of the question and holds at least half of the figures said, or none.

        A model puts the words in its own way, and adds a conversion into feet; the figure it has from a sentence.
        """
        figures = _figures(said)
        about = [sentence for sentence in self._sentences if sentence.terms & self._question_terms]
        best = max(about, key=lambda s: (len(s.terms & figures), self._support(s, figures)[1]), default=None)
        return [best] if best and figures and 2 * len(best.terms & figures) >= len(figures) else []

    def _best(self, sentences: Iterable[_Sentence], said: AbstractSet[str]) -> _Sentence:
        def support(sentence: _Sentence) -> float:
            of_answer, of_question = self._support(sentence, said)
            return ANSWER_OVER_QUESTION * of_answer + of_question

        return max(sentences, key=support)

    def _support(self, sentence: _Sentence, said: AbstractSet[str]) -> tuple[float, float]:
        """Return the weight of what is said that a sentence holds, numbers above words, and that of the question."""
        held = sentence.held(said)
        numbers = (term for term in held if _script(term) == "number")
        of_answer = self._weigh(held) + (NUMBER_OVER_WORD - 1) * self._weigh(numbers)
        return of_answer, self._weigh(sentence.terms & self._question_terms)

    def _weigh(self, terms: Iterable[str]) -> float:
        return sum(self._weights.get(term, 1.0) for term in terms)


def _script(term: str) -> str:
    if any(character.isdigit() for character in term):
        return "number"
    return "latin" if term < "\u0250" else "other"


def _figures(terms: Iterable[str]) -> set[str]:
    """Return the numbers among terms that have more than one digit."""
    return {term for term in terms if _script(term) == "number" and len(term) > 1}


def _number(sentence: _Sentence, chosen: list[_Sentence]) -> int:
    if sentence not in chosen:
        chosen.append(sentence)
    return chosen.index(sentence) + 1


def citation_of(passage: Document, start: int, end: int) -> Citation:
    """Return a span of a chunk or passage as a citation of its source."""
    first = passage.metadata["start"]
    return {
        "quote": passage.page_content[start:end],
        "source": passage.metadata["source"],
        "page": passage.metadata.get("page"),
        "start": first + start,
        "end": first + end,
        "chunk_id": passage.metadata["chunk_id"],
    }
