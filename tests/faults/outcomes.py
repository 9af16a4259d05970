"""What came of one try, and a row of the table made of many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Outcome:
    """What came of a try.

    Attributes:
        verdict: In a few words, the same for all that come to the same.
        is_right: Whether that is as it should be.
    """

    verdict: str
    is_right: bool = True


def wrong(verdict: str) -> Outcome:
    """Return an outcome that must not be."""
    return Outcome(" ".join(verdict.split())[:300], is_right=False)


def trial(case: str, outcomes: Iterable[Outcome]) -> Trial:
    """Return a row of the table."""
    tried = list(outcomes)
    counts = Counter(outcome.verdict for outcome in tried)
    summary = ", ".join(f"{verdict} {count:,}×" for verdict, count in counts.most_common())
    return Trial(case, len(tried), sum(outcome.is_right for outcome in tried), summary)
