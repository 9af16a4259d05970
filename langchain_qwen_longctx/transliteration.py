"""Names by their sound: which words of the documents may be a name in the other script. Pure.

A small model knows few names in both scripts and makes up the others, and a dictionary has only the best known. But
most are written as they sound, so that of all words of the documents the one that sounds like a name is mostly that
name.

Source: Lin and Chen, "Backward machine transliteration by learning phonetic similarity" (2002), for the idea. How
Chinese characters sound in names, and which of them stand in any, is taken from the names in CC-CEDICT.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache, partial
from heapq import nlargest
from itertools import islice, product, starmap
from statistics import fmean
from typing import TYPE_CHECKING, Final, NamedTuple

from rapidfuzz.distance import Levenshtein

from langchain_qwen_longctx.analyzers import analyze, normalize
from langchain_qwen_longctx.bilingual_dictionary import is_word, names
from langchain_qwen_longctx.languages import detect_language

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MIN_LIKENESS: Final = 0.75
"""From this likeness on, two words may be the same name."""

MAX_ALIKE: Final = 2
"""So many words of the documents are taken for a name, the likest."""

MAX_LESS: Final = 0.05
"""The others at most so much less than the likest."""

MAX_NAMES_SOUGHT: Final = 8
"""So many names of a text are looked for, the first ones; each is compared with all words of the documents."""

MIN_CONSONANTS: Final = 3
"""Names with fewer consonants sound like too many others."""

MIN_NAMES: Final = 3
"""In so many names of the dictionary a character has to stand that names are written with."""

MIN_DICTIONARY_LIKENESS: Final = 0.55
"""From this likeness on, a name of the dictionary is written as it sounds; others are put into words."""

_ENGLISH_NAME: Final = re.compile(r"\b[A-Z][a-z]{3,}")
_ENGLISH_TERM: Final = re.compile(r"[a-z]{3,}")
_REPEATED: Final = re.compile(r"(.)\1+")
_VOWELS: Final = re.compile(r"[aeiou]")

# Sounds that one of the two has not, or that names are not told apart by, are the same. In this order.
_OF_ENGLISH: Final = (
    *(("tch", "s"), ("sch", "s"), ("ph", "f"), ("ck", "k"), ("th", "t"), ("ce", "se"), ("ci", "si"), ("cy", "si")),
    *(("ch", "s"), ("sh", "s"), ("c", "k"), ("q", "k"), ("x", "ks"), ("v", "w"), ("r", "l"), ("y", "i")),
    *(("z", "s"), ("j", "s"), ("ee", "i"), ("oo", "u"), ("ou", "u")),
)
_OF_PINYIN: Final = (
    *(("er", "l"), ("zh", "s"), ("ch", "s"), ("sh", "s"), ("z", "s"), ("c", "s"), ("j", "s"), ("x", "s"), ("q", "s")),
    *(("r", "l"), ("y", "i"), ("ng", "n"), ("u:", "u")),
)
_UNVOICED: Final = str.maketrans("ptkhfm", "bdggwn")


class Sound(NamedTuple):
    """How a name sounds.

    Attributes:
        letters: Its sounds, a letter each.
        consonants: Those that are no vowels, voiced and unvoiced ones alike.
    """

    letters: str
    consonants: str


def sound_alikes(text: str, language: str, frequencies: Mapping[str, int]) -> dict[str, list[str]]:
    """Return which terms of the documents sound like the names in a text.

    Args:
        text: A text in Chinese or English.
        language: The other one of the two. Of any other language, and for a text in one, nothing is known.
        frequencies: In how many chunks of the documents a term stands.

    Returns:
        For each name that has some, in their order, the terms that sound most like it, the likest first.
    """
    if (detect_language(text), language) == ("en", "zh"):
        return _likest(english_names(text), filter(_may_be_chinese_name, frequencies))
    if (detect_language(text), language) == ("zh", "en"):
        return _likest(chinese_names(text), filter(_may_be_english_name, frequencies))
    return {}


def english_names(text: str) -> list[str]:
    """Return the names in an English text that are no words, in their order."""
    return [name for name in _ENGLISH_NAME.findall(text) if not all(map(is_word, analyze(name)))]


def chinese_names(text: str) -> list[str]:
    """Return the words in a Chinese text that are written as names are, in their order; of those in others, none."""
    found = [term for term in analyze(text) if _may_be_chinese_name(term)]
    return [name for name in found if not any(name in other and name != other for other in found)]


def _may_be_chinese_name(term: str) -> bool:
    return len(term) > 1 and not is_word(term) and (term in _known() or all(map(_syllables().__contains__, term)))


def _may_be_english_name(term: str) -> bool:
    return _ENGLISH_TERM.fullmatch(term) is not None and not is_word(term)


def _likest(sought: Iterable[str], terms: Iterable[str]) -> dict[str, list[str]]:
    telling = {name: sounds for name in sought if is_telling(sounds := sounds_of(name))}
    wanted = dict(islice(telling.items(), MAX_NAMES_SOUGHT))
    others = {term: sounds for term in terms if is_telling(sounds := sounds_of(term))} if wanted else {}
    found = {}
    for name, sounds in wanted.items():
        scores = {term: fmean(starmap(likeness, product(sounds, other))) for term, other in others.items()}
        least = max(MIN_LIKENESS, max(scores.values(), default=0) - MAX_LESS)
        found[name] = [term for term in nlargest(MAX_ALIKE, scores, key=scores.__getitem__) if scores[term] >= least]
    return {name: alike for name, alike in found.items() if alike}


def likeness(left: Sound, right: Sound) -> float:
    """Return how much two names sound alike, from 0 to 1."""
    consonants = Levenshtein.normalized_similarity(left.consonants, right.consonants)
    return (consonants + Levenshtein.normalized_similarity(left.letters, right.letters)) / 2


def is_telling(sounds: Iterable[Sound]) -> bool:
    """Tell whether a name has sounds enough to tell it from others."""
    return all(len(sound.consonants) >= MIN_CONSONANTS for sound in sounds)


def sounds_of(name: str) -> list[Sound]:
    """Return how a name sounds, and if it is a Chinese one that the dictionary has, how it does in English.

    Args:
        name: A name in Latin letters, or in characters that names are written with.
    """
    if name[:1].isascii():
        return [_sound([name.lower()], _OF_ENGLISH)]
    if name in _known():
        return _known()[name]
    return [_sound([_syllables()[character] for character in name], _OF_PINYIN)]


def _sound(parts: Iterable[str], rules: Iterable[tuple[str, str]]) -> Sound:
    text = " ".join(parts)
    for written, sounds in rules:
        text = text.replace(written, sounds)
    letters = _REPEATED.sub(r"\1", text.replace(" ", ""))
    consonants = _REPEATED.sub(r"\1", _VOWELS.sub("", letters).translate(_UNVOICED))
    return Sound(letters, consonants)


@cache
def _known() -> dict[str, list[Sound]]:
    """Return how the dictionary's Chinese names sound, and how that word does of their English ones that is likest."""
    found = {}
    for name in names():
        spoken = _sound(name.syllables, _OF_PINYIN)
        english = (_sound([word.lower()], _OF_ENGLISH) for word in name.english.split())
        found[normalize(name.word)] = [spoken, max(english, key=partial(likeness, spoken))]
    return found


@cache
def _syllables() -> dict[str, str]:
    """Return the characters that foreign names are written with, and how they sound there."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names():
        sounds = _sound(name.syllables, _OF_PINYIN), _sound([name.english.lower()], _OF_ENGLISH)
        if _ENGLISH_NAME.fullmatch(name.english) and likeness(*sounds) >= MIN_DICTIONARY_LIKENESS:
            for character, syllable in zip(name.word, name.syllables, strict=True):
                found[character][syllable] += 1
    return {
        character: counts.most_common(1)[0][0] for character, counts in found.items() if counts.total() >= MIN_NAMES
    }
