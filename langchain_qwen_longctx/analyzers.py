"""Text to BM25 terms, Chinese and English together.

One analyzer serves documents and queries, so that both sides meet on the same terms:

- NFKC, then traditional Chinese to simplified (OpenCC), then case folding;
- Han runs by jieba's dictionary in search mode, which also gives the words inside a long word;
- kana, hangul and other scripts written without spaces by overlapping bigrams;
- words in Latin script by the Snowball English stemmer;
- numbers and identifiers kept whole, and identifiers by their parts as well (`num_ctx` gives `num_ctx`, `num`, `ctx`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from opencc import OpenCC

# Names the terms an index was built with. A saved index with another name is refused, so change it with the terms.
ANALYZER_VERSION: Final = "qwen-longctx-1"

# Function words match everywhere and say nothing. Negations stay: in a contract they are the answer.
_ENGLISH_STOP_WORDS: Final = """
a an and are as at be been being but by can could did do does for from had has have he her him his how i if in into is
it its me my of on or our she so than that the their them then there these they this those to us was we were what when
where which who whom whose why will with would you your
"""
_CHINESE_STOP_WORDS: Final = """
的 了 和 与 及 或 是 在 有 也 都 就 而 被 把 给 对 于 从 到 由 以 为 其 之 这 那 哪 谁 何 吗 呢 吧 啊 呀 个 些 么
什么 哪个 哪些 哪里 哪儿 哪一 怎么 怎样 怎么样 如何 为何 为什么 是否 多少 几 这个 那个 一个 以及 并 并且 请问 被称为
它 他 她 我 你 们 我们 你们 他们 她们 它们
"""
STOP_WORDS: Final = frozenset((_ENGLISH_STOP_WORDS + _CHINESE_STOP_WORDS).split())

_CHINESE_ASKING_WORDS: Final = """
何时 时候 什么时候 何年 哪年 哪一年 一年 何地 何处 何人 何种 哪位 一位 什么样 多大 多高 多长 多久 多远 多少倍
哪部 哪次 哪支 哪种 哪类 哪首 哪本 哪所 哪家 哪座 哪条 哪项 哪国 哪场 哪届 哪款 哪张 哪档 哪篇 哪天 哪月 哪间 哪只
几个 几次 几支 几位 几种 几年 几岁 几部 几本 几座 几条 几家 几人 几天 第几
"""
ASKING_WORDS: Final = frozenset(_CHINESE_ASKING_WORDS.split())
"""Words that say in a question only what is asked for. They are no stop words: a text may mean them."""

QUOTED: Final = (r"《([^《》]+)》", r"“([^“”]+)”", r"「([^「」]+)」", r"\"([^\"]+)\"")
"""Patterns of titles, and of whatever else is put in quotation marks."""

_QUOTED: Final = re.compile("|".join(QUOTED))

_PROPER: Final = ("nr", "ns", "nt", "nz")
"""How jieba's tags of names begin: people, places, organisations, others."""

_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff々〇"
_UNSPACED: Final = r"\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_LETTER: Final = rf"[^\W{_HAN}{_UNSPACED}]"
_NUMBER: Final = r"\d++(?:[.,:/\-]\d++)*+"
_WORD: Final = re.compile(rf"{_LETTER}++(?:['._\-@/+#]{_LETTER}++)*+")
# A run of Chinese, or any other token. A number with the word that follows it at once, if there is one: to look from
# each of its parts for the end takes too long.
_TOKEN: Final = re.compile(rf"([{_HAN}]+)|([{_UNSPACED}]+|{_NUMBER}(?:{_WORD.pattern})?|{_WORD.pattern})")
_WHOLE_NUMBER: Final = re.compile(rf"{_NUMBER}\Z")
_UNSPACED_RUN: Final = re.compile(rf"[{_UNSPACED}]")
_DIGIT: Final = re.compile(r"\d")

_MAX_KEPT: Final = 64
"""Characters of a token whose terms are remembered."""
_PART: Final = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NUMBER_SEPARATOR: Final = re.compile(r"[:/\-]")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@cache
def _jieba() -> ModuleType:
    # Its functions share the one dictionary that the import loads anyway; another one takes 30 MB.
    import rjieba  # noqa: PLC0415 - that takes time

    return rjieba


@cache
def _to_simplified() -> OpenCC:
    from opencc import OpenCC  # noqa: PLC0415 - likewise

    return OpenCC("t2s")


@cache
def _stem() -> Callable[[str], str]:
    from Stemmer import Stemmer  # noqa: PLC0415

    stem: Callable[[str], str] = Stemmer("english").stemWord
    return stem


def normalize(text: str) -> str:
    """Return a text in the one form that terms are cut from: NFKC, simplified Chinese, case-folded.

    A lone surrogate, which UTF-8 cannot carry, becomes U+FFFD.
    """
    if text.isascii():
        return text.casefold()
    text = unicodedata.normalize("NFKC", _LONE_SURROGATE.sub("\ufffd", text))
    return str(_to_simplified().convert(text)).replace("’", "'").casefold()


def analyze(text: str) -> list[str]:
    """Return the BM25 terms of a text, in order, repeats included, without stop words.

    Args:
        text: Text in any mix of languages.

    Returns:
        Terms; an empty list for a text without a word or number.
    """
    terms: list[str] = []
    for han, other in _TOKEN.findall(normalize(text)):
        if han:
            terms += [word for word in _jieba().cut_for_search(han) if word not in STOP_WORDS]
        else:
            # Words repeat, so that most are looked up; runs of Chinese hardly do.
            terms += _terms(other) if len(other) <= _MAX_KEPT else _terms.__wrapped__(other)
    return terms


def quoted(text: str) -> list[str]:
    """Return what a text puts in quotation marks, titles among it, in order."""
    return ["".join(groups) for groups in _QUOTED.findall(text)]


def proper_nouns(text: str) -> list[str]:
    """Return the Chinese names of people, places and other things in a text, as jieba tells them, in order.

    Single characters, mostly surnames cut off from what follows, are left out.
    """
    return [word for word, tag in _jieba().tag(normalize(text)) if tag.startswith(_PROPER) and len(word) > 1]


def verbs(text: str) -> set[str]:
    """Return the Chinese verbs in a text, as jieba tells them."""
    return {word for word, tag in _jieba().tag(normalize(text)) if tag.startswith("v")}


@lru_cache(maxsize=1 << 16)
def _terms(token: str) -> tuple[str, ...]:
    """Return the terms of a token that is not Chinese, without stop words."""
    return tuple(term for term in _iter_terms(token) if term not in STOP_WORDS)


def _iter_terms(token: str) -> Iterator[str]:
    if _UNSPACED_RUN.match(token):
        yield from _bigrams(token)
    elif _WHOLE_NUMBER.match(token):
        yield from _number_terms(_THOUSANDS.sub("", token))
    elif _DIGIT.match(token):
        # A number that a word follows is words.
        for word in _WORD.findall(token):
            yield from _word_terms(word)
    else:
        yield from _word_terms(token)


def _bigrams(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for left, right in pairwise(run):
        yield left + right


def _number_terms(number: str) -> Iterator[str]:
    yield number
    parts = _NUMBER_SEPARATOR.split(number)
    if len(parts) > 1:
        yield from parts


def _word_terms(word: str) -> Iterator[str]:
    word = word.removesuffix("'s")
    if word.isalpha():
        yield word if word in STOP_WORDS else _stem()(word)
        return
    parts = _PART.findall(word)
    if parts:
        yield word
    for part in parts:
        if len(part) > 1 or part.isdigit():
            yield _stem()(part)
