"""Questions over many places at once: how often, what most often, all of them. Counted here, not by a model. Pure.

A small model cannot count, and it overlooks the seventh of nine places. But such places speak alike: each says all that
the question speaks of. So they can be found by its words, and what differs among them is what is asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from langchain_qwen_longctx.analyzers import analyze, normalize

if TYPE_CHECKING:
    from collections.abc import Sequence

Aggregate: TypeAlias = Literal["count", "most", "all"]

MIN_SHARE: Final = 0.7
"""Share of what a question speaks of that places must hold, all of them equally, to be counted."""

MIN_PLACES: Final[dict[Aggregate, int]] = {"count": 2, "most": 3, "all": 2}
"""With fewer places there is nothing to add up."""

MIN_COMMON: Final = 0.5
"""Share of their terms that places must have in common to be counted as one thing happening again."""

MAX_SLOT: Final = 40
"""Characters of a name at most; what differs in more is no list of names."""

_ASKED: Final[dict[Aggregate, re.Pattern[str]]] = {
    "count": re.compile(r"\bhow (?:often|many times)\b|多少次|几次|多少回|几回", re.IGNORECASE),
    "most": re.compile(
        r"\bthe most\b|\bmost (?:often|frequent(?:ly)?|common(?:ly)?)\b|最多|最常|最频繁", re.IGNORECASE
    ),
    "all": re.compile(
        r"\b(?:list|name|give|enumerate|tell)\b[^.?!]{0,200}\ball\b|\b(?:list|name)\b[^.?!]{0,200}\bevery\b"
        r"|全部|所有|一一列|逐一|都(?:有|叫|是)(?:哪些|什么)|分别(?:叫|是|有)",
        re.IGNORECASE,
    ),
}

_ASKING: Final = re.compile(
    r"\bhow (?:often|many times)\b|\b(?:in (?:all|total)|altogether)\b"
    r"|\b(?:who|what|which)\b(?: \w+){0,2} (?:most(?: often| frequently| commonly)?)\b"
    r"|\b(?:list|name|give|enumerate|tell)\b[^.?!]{0,200}\b(?:all|every)\b[^.?!]*"
    r"|(?:一共|总共|共)?(?:多少|几)[次回]|一共|总共|请?(?:把[^，。？]{0,100})?(?:全部|所有|一一|逐一)(?:都)?(?:列出|列举|说出|写出)(?:来)?"
    r"|请列[出举]|都?叫(?:做)?什么(?:名字)?|(?:都|分别)?(?:是|有)(?:哪些|什么|谁)|哪些|谁[^，。？]{0,4}最(?:多|常|频繁)"
    r"|[^，。？的]{0,4}最(?:多|常|频繁)的?(?:是|人)?(?:谁|什么|哪[个位])?",
    re.IGNORECASE,
)
"""What only asks, and is not said by the places."""

_SAID: Final = re.compile(r"\b(?:once|twice|thrice|times)\b|[一二三四五六七八九十百千两\d][次回]", re.IGNORECASE)
"""How a text says itself how often something happened."""

_HAN: Final = re.compile(r"[\u3400-\u9fff]+")
_HAN_FUNCTION: Final = re.compile(r"[的了和与及或是在有也都就被把给对于从到由以为之其中个请]+")
_UNIT: Final = re.compile(r"[^\W\u3400-\u9fff]+|.")
"""A word, or a character of any other kind, each Chinese one for itself."""


def aggregate_of(question: str) -> Aggregate | None:
    """Return what a question wants added up, or None if it asks for one thing."""
    return next((aggregate for aggregate, asked in _ASKED.items() if asked.search(question)), None)


def spoken_of(question: str) -> list[str]:
    """Return what a question speaks of: terms of words, and stretches of Chinese as they stand.

    Stretches, because how a name is cut into words depends on what stands around it.
    """
    text = normalize(_ASKING.sub(" ", question))
    han = [part for run in _HAN.findall(text) for part in _HAN_FUNCTION.split(run) if part]
    return list(dict.fromkeys([*analyze(_HAN.sub(" ", text)), *han]))


def alike(sentences: Sequence[str], question: str) -> list[int]:
    """Return which sentences hold most of what a question speaks of, all of these equally much.

    Args:
        sentences: Sentences of the documents.
        question: The question, in their language.

    Returns:
        Their places in the sequence; none if no sentence holds enough.
    """
    wanted = spoken_of(question)
    shares = [_share(wanted, sentence) for sentence in sentences]
    best = max(shares, default=0.0)
    return [place for place, share in enumerate(shares) if share == best] if best >= MIN_SHARE else []


def _share(wanted: Sequence[str], sentence: str) -> float:
    text, terms = normalize(sentence), set(analyze(sentence))
    held = [part in text if _HAN.match(part) else part in terms for part in wanted]
    return sum(held) / len(held) if held else 0.0


def have_much_in_common(sentences: Sequence[str]) -> bool:
    """Tell whether sentences say the same of different times or things, by the terms that all of them have."""
    terms = [set(analyze(sentence)) for sentence in sentences]
    return len(set.intersection(*terms)) >= MIN_COMMON * max(map(len, terms))


def slots(sentences: Sequence[str]) -> list[str]:
    """Return in what sentences that are otherwise the same differ, one a sentence.

    Returns:
        The parts between what all of them begin and end with, in whole words; none if that is not a name in each.
    """
    parts = [_UNIT.findall(" ".join(sentence.split())) for sentence in sentences]
    front = _in_common(parts)
    rests = [part[front:] for part in parts]
    back = _in_common([rest[::-1] for rest in rests])
    found = ["".join(rest[: len(rest) - back]).strip() for rest in rests]
    is_told = front + back > 1 and len(set(found)) > 1
    return found if is_told and all(0 < len(name) <= MAX_SLOT for name in found) else []


def _in_common(parts: Sequence[Sequence[str]]) -> int:
    """Return how many units sequences have in common from the first on."""
    return sum(1 for _ in takewhile(lambda units: len(set(units)) == 1, zip(*parts, strict=False)))


def tally(sentences: Sequence[str], aggregate: Aggregate) -> list[tuple[str, int]] | None:
    """Add up places that speak alike.

    Args:
        sentences: The places, in the order of the documents.
        aggregate: What is wanted.

    Returns:
        What was found, each with how often, as it is asked for: for a count, one entry without a name; for the most,
        the names that come most often; for all, every name in the order in which they first come. None if the places
        do not tell: there are too few, they say themselves how often, they have too little in common, or what differs
        among them is no name.
    """
    if len(sentences) < MIN_PLACES[aggregate]:
        return None
    if aggregate == "count":
        is_plain = have_much_in_common(sentences) and not any(map(_SAID.search, sentences))
        return [("", len(sentences))] if is_plain else None
    counts = Counter(slots(sentences))
    if not counts:
        return None
    most = max(counts.values())
    return [(name, often) for name, often in counts.items() if aggregate == "all" or often == most]
