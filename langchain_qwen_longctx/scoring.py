"""How right an answer is: the measures of question answering, for English and Chinese alike. Pure.

Both sides are brought to one form first: NFKC, case, simplified Chinese, numbers in digits (`twenty-three`, `二十三`
and `23` are one), no punctuation, no English articles, no markers of citations. What is left is compared token by
token: a word or a number in Latin script, a single character in Chinese. An English date with its year may have the day
or the month first.

The measures are those of SQuAD (https://arxiv.org/abs/1606.05250), with the tokens of CMRC 2018
(https://arxiv.org/abs/1810.07366) for Chinese, and containment, which long-context benchmarks such as RULER
(https://arxiv.org/abs/2404.06654) use.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import normalize
from langchain_qwen_longctx.citations import without_markers
from langchain_qwen_longctx.numerals import in_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

NORMAL_QUANTILE: Final = 1.959964
"""For 95% of a normal distribution, both sides."""

_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_UNSPACED: Final = r"\u2e80-\u9fff\uac00-\ud7af\uf900-\uf9ff\U00020000-\U0003ffff"
_TOKEN: Final = re.compile(rf"\d+(?:\.\d+)?|[^\W\d_{_UNSPACED}]+|[^\W_]")
_MONTH: Final = r"((?:jan|febr)uary|march|april|may|june|july|august|(?:sept|nov|dec)ember|october)"
_DAY: Final = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATES: Final = tuple(
    re.compile(rf"\b{first}(?: of)? {second}(?=,? \d{{4}}\b)", re.IGNORECASE)
    for first, second in ((_MONTH, _DAY), (_DAY, _MONTH))
)
_ARTICLES: Final = frozenset(("a", "an", "the"))


@lru_cache(maxsize=1 << 14)
def tokens_of(text: str) -> tuple[str, ...]:
    """Return what is compared of a text."""
    plain = in_digits(_THOUSANDS.sub("", normalize(without_markers(text))))
    return tuple(token for token in _TOKEN.findall(plain) if token not in _ARTICLES)


def contains(answer: str, golds: Sequence[str], *, needs_all: bool = False) -> bool:
    """Tell whether an answer holds one of the right ones, or all of them, word for word; never so without any."""
    forms = _forms(answer)
    there = [any(_is_part(tokens_of(gold), said) for said in forms) for gold in golds]
    return bool(there) and (all(there) if needs_all else any(there))


def _is_part(part: Sequence[str], whole: Sequence[str]) -> bool:
    size = len(part)
    return size > 0 and any(whole[start : start + size] == part for start in range(len(whole) - size + 1))


def is_exact(answer: str, golds: Sequence[str], *, needs_all: bool = False) -> bool:
    """Tell whether an answer is one of the right ones, or all of them in any order, and nothing else."""
    if needs_all:
        wanted = sum(len(tokens_of(gold)) for gold in golds)
        return contains(answer, golds, needs_all=True) and len(tokens_of(answer)) == wanted
    return not _forms(answer).isdisjoint(map(tokens_of, golds))


def _forms(answer: str) -> set[tuple[str, ...]]:
    """Return what is compared of an answer as it is, and with its dates the other way round."""
    return {tokens_of(answer), *(tokens_of(order.sub(r"\2 \1", answer)) for order in _DATES)}


def f1(answer: str, golds: Sequence[str], *, needs_all: bool = False) -> float:
    """Return the F1 of an answer's tokens against the right answer that it is closest to, or against all together."""
    if needs_all:
        golds = [" ".join(golds)]
    return max((_f1(Counter(tokens_of(answer)), Counter(tokens_of(gold))) for gold in golds), default=0.0)


def _f1(said: Counter[str], wanted: Counter[str]) -> float:
    shared = (said & wanted).total()
    return 2 * shared / (said.total() + wanted.total()) if shared else 0.0


def confidence_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95% interval of a share by Wilson's formula, which holds for few trials and for shares near 0 and 1.

    Source: https://doi.org/10.1080/01621459.1927.10502953
    """
    if not trials:
        return 0.0, 1.0
    share, z = successes / trials, NORMAL_QUANTILE
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
