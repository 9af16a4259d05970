"""From one passage to the next: what a passage names that the question does not. Pure.

A question of two steps names what the first is about. The passage that says it names in turn what the second is about:
the author of the book, the year of the symphony. To search for these names, and for what of the question is still
open, finds the second passage without asking the model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import QUOTED
from langchain_qwen_longctx.answerability import terms_named
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.recent_texts import spans_of, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_qwen_longctx.answerability import TermWeights

NAME_OVER_QUESTION: Final = 2
"""How many times a name is searched for, for each time of a term of the question."""

_TITLES: Final = tuple(map(re.compile, QUOTED))
"""Titles and quotations, each kind for itself, for one may stand in the other."""


def closest_sentence(text: str, questions: Sequence[str], weights: TermWeights) -> str:
    """Return the sentence of a text that has most in common with a question, in one of its wordings."""
    sentences = (text[start:end] for start, end in spans_of(text))
    return max(sentences, key=lambda sentence: weights.support(sentence, questions), default="")


def is_bridge(sentence: str, text: str, questions: Sequence[str], weights: TermWeights) -> bool:
    """Tell whether a sentence leads on to a text: by a title or a rare term of both that the question does not have.

    Titles count as a whole: their words may be frequent, or stand in the question each for itself.
    """
    titles = {title for marked in _TITLES for title in marked.findall(sentence) if title in text}
    if any(all(title not in question for question in questions) for title in titles):
        return True
    asked = {term for question in questions for term in terms_of(question)}
    return any(weights.is_rare(term) for term in (set(terms_of(sentence)) & set(terms_of(text))) - asked)


def bridge_terms(sentences: Iterable[str], question: str) -> list[str]:
    """Return the terms that lead on from sentences about a question: their names, and what they leave open of it.

    In Chinese, which marks no names, every term of the sentences counts as one. So it is with sentences without names.
    """
    asked = list(dict.fromkeys(terms_of(question)))
    text = "\n".join(sentences)
    told = dict.fromkeys(terms_of(text))
    new = [term for term in told if term not in asked]
    names = terms_named(text)
    named = new if detect_language(text) == "zh" else [term for term in new if term in names] or new
    return named * NAME_OVER_QUESTION + [term for term in asked if term not in told]
