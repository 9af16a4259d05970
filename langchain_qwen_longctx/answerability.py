"""Whether a text speaks of what a question asks for, judged by the question's own words. Pure.

A small model that may decline does so in a third of the cases whose answer lies before it, and answers a third of those
whose answer does not. The words tell the two apart far better: of what a question speaks of, the place that answers it
speaks too, as a rule, and any other place does not.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import extractOne

from langchain_qwen_longctx.analyzers import (
    ASKING_WORDS,
    QUOTED,
    STOP_WORDS,
    analyze,
    normalize,
    proper_nouns,
    quoted,
    verbs,
)
from langchain_qwen_longctx.bilingual_dictionary import known_terms
from langchain_qwen_longctx.bm25 import Postings
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.recent_texts import terms_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet

SURE_SUPPORT: Final = 0.5
"""From this share of a question's terms on, by weight, a text speaks of what it asks, if it has its names as well."""

_NAME: Final = re.compile(r"[^\W\d_a-z][\w'’\-]*|\d[\d.,:/\-]*")
"""A word with a capital letter, or a number; in Chinese, which has no capitals, any word."""

_NAMES: Final = re.compile(r"[A-Z\u00c0-\u00de][\w'’\-]*(?: [A-Z\u00c0-\u00de][\w'’\-]*)*")
"""Words with capital letters, those side by side together."""

_LONG_NAME: Final = re.compile(r"(?=\w*[^\W\d_A-Z])[A-Z\u00c0-\u00de][\w'’\-]{3,}")
"""A word with a capital letter that is no abbreviation."""

_OPENING_WORDS: Final = """
让 由于 即使 根据 关于 据 截至 当 如果 为了 请 第一 第一个
"""
_OPENERS: Final = ASKING_WORDS | frozenset(_OPENING_WORDS.split())
"""Words that a Chinese question opens with, before what it is about."""

_MARKED: Final = re.compile("|".join([*QUOTED, r"(?<=[·•‧・])([\u4e00-\u9fff]+)"]))
"""What Chinese marks as a name: a title or quotation, and what follows the dot in one taken from another language."""

_WHO_FIRST: Final = re.compile(r"\s*(?:请问)?(?:谁|哪|什么|何)")

SAME_SPELLING: Final = 0.8
"""From this likeness on, one of two words is a misspelling of the other."""

TOPIC_SHARE: Final = 0.15
"""A name in a larger share of the chunks is what the documents are about: an answer need not repeat it."""

RARE_SHARE: Final = 0.02
"""Share of the chunks up to which a term is rare."""

RARE_AT_LEAST: Final = 3
"""So many chunks may have a rare term however few there are."""

MOST_RARE_SHARE: Final = 0.2
"""Where that is a larger share of the chunks, too many terms are rare for the first of them to be a name."""


def terms_named(text: str) -> set[str]:
    """Return the terms of a text that may be names: Silent Island is not named where someone is silent."""
    return set(terms_of(" ".join(_NAME.findall(text))))


@dataclass(frozen=True, slots=True, eq=False)
class TermWeights:
    """How much each term tells: the inverse document frequency, never negative.

    Attributes:
        chunks: How many chunks there are.
        frequencies: In how many of them a term stands; absent is in none.

    Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the 1 that
    Lucene adds to keep frequent terms above zero.
    """

    chunks: int
    frequencies: Mapping[str, int]

    @classmethod
    def from_postings(cls, postings: Postings) -> Self:
        """Take the frequencies from an index."""
        counts = (postings.offsets[1:] - postings.offsets[:-1]).tolist()
        return cls(len(postings.lengths), dict(zip(postings.vocabulary, counts, strict=True)))

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Self:
        """Count the frequencies in texts, one a chunk."""
        return cls.from_postings(Postings.from_corpus(map(analyze, texts)))

    def of(self, term: str) -> float:
        """Return the weight of a term."""
        count = self.frequencies.get(term, 0)
        return math.log(1 + (self.chunks - count + 0.5) / (count + 0.5))

    def is_rare(self, term: str) -> bool:
        """Tell whether a term stands in so few chunks that two places that have it speak of the same thing."""
        return self.frequencies.get(term, 0) <= max(RARE_AT_LEAST, RARE_SHARE * self.chunks)

    def is_sure(self, text: str, questions: Iterable[str], *, by_name: bool = True) -> bool:
        """Tell whether a text surely speaks of what a question asks: it has enough of its terms, all names among them.

        Without the names, "who rules Orion" would be answered by who rules Andromeda.

        Args:
            text: The text.
            questions: The question in several wordings or languages; one is enough.
            by_name: Whether it must have the names as well.
        """
        there, named = set(terms_of(text)), terms_named(text)
        return any(
            self._held(question, there) >= SURE_SUPPORT and not (by_name and self.names_in(question) - named)
            for question in questions
        )

    def names_in(self, question: str) -> set[str]:
        """Return the terms of what a question names: its capitalised words, but for the first, and its numbers.

        What the documents are about as a whole is left out. Chinese marks few names, titles and those with a dot among
        them, but a question says first what it is about: there it is the first rare term, of what is marked if there is
        one, or else all of the first title; nothing, where there are so few chunks that most terms are rare. If a
        question begins with who, what was done comes first, and is no name.
        """
        if detect_language(question) == "zh":
            if MOST_RARE_SHARE * self.chunks < RARE_AT_LEAST:
                return set()
            passed_over = _OPENERS | (verbs(question) if _WHO_FIRST.match(question) else set())
            marked = " ".join("".join(groups) for groups in _MARKED.findall(question))
            title = set(terms_of(" ".join(quoted(question)[:1]))) - passed_over
            return self._first_rare(marked, passed_over) or title or self._first_rare(question, passed_over)
        named = terms_named(question.partition(" ")[2])
        return {term for term in named if self.frequencies.get(term, 0) <= TOPIC_SHARE * self.chunks}

    def _first_rare(self, text: str, passed_over: AbstractSet[str]) -> set[str]:
        rare = (term for term in terms_of(text) if term not in passed_over and self.is_rare(term))
        return set(islice(rare, 1))

    def absent_names(self, question: str) -> list[str]:
        """Return the names in a question that stand nowhere in the documents, or have a word that does not."""
        if detect_language(question) == "zh":
            names = proper_nouns(question)
        else:
            names = [name.removesuffix("'s") for name in _NAMES.findall(question.partition(" ")[2])]
        return [name for name in names if not all(map(self.frequencies.get, terms_of(name)))]

    def unheard_names(self, question: str, spellings: Collection[str]) -> list[str]:
        """Return the names in an English or Chinese question that nobody has heard of.

        Neither the documents nor the dictionary have any term of them. What the dictionary has may go by another name
        in the documents, as New York does by its landmarks; and in Chinese, they may have any name cut into other
        words. Without the dictionary, nobody can tell. Where another name of the question stands, such a name may be
        there by the way, as in "was it Brook or Kowalski?", and so there is none.

        Args:
            question: The question.
            spellings: Terms of a text that may answer it, of which a name may be a misspelling.
        """
        names: dict[str, list[str]] = {}
        match detect_language(question):
            case "zh":
                whole = (self._whole(name, question) for name in self.names_in(question))
                names = {name: [name] for name in whole if len(name) > 1 and STOP_WORDS.isdisjoint(name)}
            case "en" if not any(term in spellings for term in self.names_in(question) if term.isalpha()):
                words = (word.removesuffix("'s") for word in _LONG_NAME.findall(question.partition(" ")[2]))
                names = {word: list(terms_of(word)) for word in words}
        unheard = {name: terms for name, terms in names.items() if not any(map(self._is_heard_of, terms))}
        alike = partial(extractOne, choices=spellings, scorer=Levenshtein.normalized_similarity)
        return [name for name in unheard if not any(alike(term, score_cutoff=SAME_SPELLING) for term in unheard[name])]

    def _whole(self, name: str, question: str) -> str:
        """Return a Chinese name with the next term if it is a single character, as which a surname is cut off."""
        text = normalize(question)
        following = (term for term in terms_of(question) if f"{name}{term}" in text and term not in known_terms())
        return name if len(name) > 1 else name + next(following, "")

    def _is_heard_of(self, term: str) -> bool:
        return term in self.frequencies or term in known_terms() or not known_terms()

    def support(self, text: str, questions: Iterable[str]) -> float:
        """Return the share of a question's terms, by weight, that stand in a text, between 0 and 1.

        Args:
            text: The text.
            questions: The question in several wordings or languages; the one that has most in common counts.
        """
        there = set(terms_of(text))
        return max((self._held(question, there) for question in questions), default=0.0)

    def _held(self, question: str, there: set[str]) -> float:
        wanted = set(terms_of(question)) - ASKING_WORDS
        total = sum(map(self.of, wanted))
        return sum(map(self.of, wanted & there)) / total if total else 0.0
