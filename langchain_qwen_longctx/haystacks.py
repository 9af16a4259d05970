"""Long documents to hide facts in: made up, or mixed from given paragraphs. The same seed gives the same text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

Lang: TypeAlias = Literal["en", "zh"]

_SENTENCES: Final[dict[Lang, tuple[str, ...]]] = {
    "en": (
        "The {adjective} {thing} near the {place} was {done} again in the {season}.",
        "In the {season}, {count} {people} came to the {place} to look at the {thing}.",
        "Nobody in the {place} remembered a {season} as {adjective} as this one.",
        "The {people} paid {count} coins for the {thing} and carried it past the {place}.",
        "A {adjective} wind blew over the {place}, and the {people} stayed at home.",
        "On the road to the {place} lay a {thing}, {adjective} and half covered with leaves.",
        "For {count} days the {people} spoke of nothing but the {thing} by the {place}.",
        "The {thing} was {done} by {count} {people}, which took them the whole {season}.",
        "Some say that the {place} is more {adjective} in the {season} than at any other time.",
        "Behind the {place} stood {count} empty carts and a {adjective} {thing}.",
        "When the {thing} had been {done}, the {people} went back to the {place}.",
        "The price of a {adjective} {thing} rose to {count} coins before the {season} was over.",
    ),
    "zh": (
        "{place}旁边那{adjective}的{thing}，到了{season}又{done}了一次。",
        "{season}，有{count}个{people}来到{place}看{thing}。",
        "{place}的人都不记得哪一年的{season}有这样{adjective}。",
        "{people}花{count}文钱买下{thing}，从{place}前面抬了过去。",
        "{adjective}的风吹过{place}，{people}都待在家里。",
        "去{place}的路上躺着一个{thing}，{adjective}，一半盖着落叶。",
        "整整{count}天，{people}说来说去都是{place}边上的{thing}。",
        "{thing}由{count}个{people}{done}，用了整个{season}。",
        "有人说，{place}在{season}比别的时候更{adjective}。",
        "{place}后面停着{count}辆空车，还有一个{adjective}的{thing}。",
        "{thing}{done}好以后，{people}就回{place}去了。",
        "{season}还没过完，{adjective}的{thing}已经涨到了{count}文钱。",
    ),
}

_WORDS: Final[dict[Lang, dict[str, str]]] = {
    "en": {
        "adjective": "quiet narrow grey old heavy pale crooked warm dusty bright hollow slow wet rough mild dark plain",
        "thing": "wagon barrel ladder fence bench lantern basket plough kettle rope chest table door cradle wheel net",
        "place": "mill orchard well market chapel quarry meadow ford barn crossroads pond hedge brewery",
        "people": "farmers weavers millers pedlars carters masons children sailors cooks shepherds smiths",
        "season": "spring summer autumn winter",
        "done": "mended painted moved sold weighed cleaned measured turned",
    },
    "zh": {
        "adjective": "安静 狭窄 灰暗 陈旧 沉重 苍白 弯曲 温暖 明亮 潮湿 粗糙 朴素",
        "thing": "马车 木桶 梯子 篱笆 长凳 提篮 铁犁 水壶 绳索 箱子 桌子 摇篮 轮子",
        "place": "磨坊 果园 水井 集市 采石场 草地 渡口 谷仓 路口 池塘 酒坊 晒场",
        "people": "农夫 织工 磨工 货郎 车夫 石匠 孩子 船夫 厨子 牧人 铁匠",
        "season": "春天 夏天 秋天 冬天",
        "done": "修补 粉刷 搬动 称量 清洗 丈量 翻转",
    },
}

_UNITS: Final = {"": 1, "k": 1_000, "m": 1_000_000}


def tokens_in(length: str) -> int:
    """Return how many tokens a length such as `8k`, `1.5m` or `4000` stands for.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", length.strip().lower())
    if not match:
        msg = f"{length!r} is no length; write tokens, as in 8k, 1.5m or 4000"
        raise InputError(msg)
    return round(float(match[1]) * _UNITS[match[2]])


SENTENCES_OF_A_PARAGRAPH: Final = (4, 9)


@dataclass(frozen=True, slots=True)
class Planted:
    """A document with facts in it.

    Attributes:
        text: Its text.
        spans: Where each fact is, in their order.
    """

    text: str
    spans: list[tuple[int, int]]


def make_up(lang: Lang, random: Random) -> Iterator[str]:
    """Yield paragraphs about nothing in particular, without end."""
    words = {name: choice.split() for name, choice in _WORDS[lang].items()}
    while True:
        sentences = [
            random.choice(_SENTENCES[lang]).format(
                count=random.randint(2, 99), **{name: random.choice(choice) for name, choice in words.items()}
            )
            for _ in range(random.randint(*SENTENCES_OF_A_PARAGRAPH))
        ]
        yield (" " if lang == "en" else "").join(sentences)


def mix(text: str, random: Random) -> Iterator[str]:
    """Yield the paragraphs of a text in random order, again and again if need be.

    Raises:
        InputError: It has none.
    """
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n") if paragraph.strip()]
    if not paragraphs:
        msg = "the text for the haystack is empty; give one with paragraphs"
        raise InputError(msg)
    while True:
        yield from random.sample(paragraphs, len(paragraphs))


def plant(facts: Sequence[tuple[float, str]], paragraphs: Iterator[str], tokens: int, lang: Lang) -> Planted:
    """Return a document of about so many tokens that holds each fact as a sentence of one of its paragraphs.

    Args:
        facts: Each with its depth, from 0 for the beginning to 1 for the end.
        paragraphs: The rest of the document.
        tokens: How long it is to be, the facts included.
        lang: Language of the document; Chinese has no blank between sentences.

    Raises:
        InputError: The facts alone are longer.
    """
    room = tokens - count_tokens("\n".join(fact for _, fact in facts))
    if room < 0:
        msg = f"{len(facts)} facts take {tokens - room} tokens, more than the {tokens} of the document; ask for fewer"
        raise InputError(msg)
    hay: list[str] = []
    while room > 0:
        hay.append(next(paragraphs))
        room -= count_tokens(hay[-1]) + 1
    return put_into(facts, hay or [""], " " if lang == "en" else "")


def put_into(facts: Sequence[tuple[float, str]], paragraphs: Sequence[str], blank: str) -> Planted:
    """Append each fact to the paragraph at its depth, and say where it came to stand."""
    by_paragraph: dict[int, list[int]] = {}
    for number, (depth, _) in sorted(enumerate(facts), key=lambda entry: entry[1][0]):
        place = min(int(depth * len(paragraphs)), len(paragraphs) - 1)
        by_paragraph.setdefault(place, []).append(number)
    parts: list[str] = []
    spans = [(0, 0)] * len(facts)
    length = 0
    for place, paragraph in enumerate(paragraphs):
        parts.append(paragraph)
        length += len(paragraph)
        for number in by_paragraph.get(place, ()):
            between = blank if parts[-1] else ""
            fact = facts[number][1]
            spans[number] = length + len(between), length + len(between) + len(fact)
            parts.append(between + fact)
            length += len(between) + len(fact)
        parts.append("\n\n")
        length += 2
    return Planted("".join(parts), spans)
