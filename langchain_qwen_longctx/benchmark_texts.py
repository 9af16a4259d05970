"""Texts to measure on: given ones, cut or repeated to a size, or made-up ones whose vocabulary grows as a real one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.haystacks import make_up, plant, tokens_in
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from langchain_qwen_longctx.haystacks import Lang

LANGS: Final[tuple[Lang, ...]] = ("en", "zh")
GIVEN: Final = "given"

_SENTENCES, _WORDS = 8, 12
"""So many sentences of so many invented words follow each made-up paragraph, and are more than half of it."""

_FEWER_NEW: Final[dict[Lang, float]] = {"en": 0.15, "zh": 0.3}
"""How fast new words become rare: the n-th word is a new one with the probability n to the power of minus this."""

_SYLLABLES: Final = [
    f"{consonant}{vowel}" for consonant in "bcdfghklmnprstvw" for vowel in ("a", "ar", "en", "i", "o", "u")
]
_CHARACTERS: Final = [bytes((row, cell)).decode("gb2312") for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFF)]
"""The first level of GB 2312, the most frequent characters, but for its last row."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that is measured on.

    Attributes:
        name: Its language if it is made up, else `given`.
        length: How many tokens were asked for, as in `8k`.
        path: The file with it.
        tokens: How many it has.
        bytes: Size of the file.
        times: How often it holds what was given; below 1 if that is cut, 1 if it is made up.
    """

    name: str
    length: str
    path: Path
    tokens: int
    bytes: int
    times: float = 1.0


def write_texts(
    folder: Path, lengths: Sequence[str], *, langs: Sequence[Lang] = LANGS, given: str = ""
) -> Iterator[Text]:
    """Write a file for each length and language, each when it is asked for.

    Args:
        folder: Where they go.
        lengths: Tokens, as in `8k`, about.
        langs: Languages of what is made up.
        given: The text to take instead.
    """
    for length in lengths:
        tokens = tokens_in(length)
        if given:
            text, times = fit(given, tokens)
            yield write(folder, GIVEN, length, text, times)
        else:
            for lang in langs:
                yield write(folder, lang, length, make_up_text(lang, tokens))


def write(folder: Path, name: str, length: str, text: str, times: float = 1.0) -> Text:
    """Write a text to a file."""
    path, data = folder / f"{name}-{length}.txt", text.encode("utf-8", "replace")
    path.write_bytes(data)
    return Text(name, length, path, count_tokens(text), len(data), times)


def fit(text: str, tokens: int) -> tuple[str, float]:
    """Return the beginning of a text, or the text again and again, in about so many tokens.

    Returns:
        That, and how often it holds the text.
    """
    unit = f"{text}\n\n"
    times = tokens / count_tokens(unit)
    whole = int(times)
    return unit * whole + unit[: round(len(unit) * (times - whole))], times


def make_up_text(lang: Lang, tokens: int, seed: int = 0) -> str:
    """Return about so many tokens of made-up text.

    A million tokens have some 26,000 different terms in English and 63,000 in Chinese, about as real text has. The
    sentences of `haystacks` alone have 200, and would flatter whatever is kept by term.
    """
    return plant([], paragraphs(lang, Random(seed)), tokens, lang).text  # noqa: S311 - nothing secret


def paragraphs(lang: Lang, random: Random) -> Iterator[str]:
    """Yield paragraphs of plain sentences, and of sentences made of invented words, without end."""
    words = invent_words(lang, random)
    blank, stop = (" ", ".") if lang == "en" else ("", "。")
    for paragraph in make_up(lang, random):
        invented = (blank.join(islice(words, _WORDS)).capitalize() + stop for _ in range(_SENTENCES))
        yield blank.join([paragraph, *invented])


def invent_words(lang: Lang, random: Random) -> Iterator[str]:
    """Yield words without end: ever more rarely a new one, or else one of all before, so that frequent ones stay so.

    Their frequencies follow Zipf's law, and how many there are follows Heaps' law.

    Source: Zanette & Montemurro, "Dynamics of Text Generation with Realistic Zipf's Distribution" (2005).
    """
    parts, sizes = (_SYLLABLES, (1, 2, 3)) if lang == "en" else (_CHARACTERS, (2,))
    said: list[str] = []
    while True:
        is_new = random.random() < (1 + len(said)) ** -_FEWER_NEW[lang]
        said.append("".join(random.choices(parts, k=random.choice(sizes))) if is_new else random.choice(said))
        yield said[-1]
