"""Outcomes of an evaluation, summed up by kind of question, length of document and arm."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING, Final

from typing_extensions import TypedDict

from langchain_qwen_longctx.scoring import confidence_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_qwen_longctx.arms import Arm
    from langchain_qwen_longctx.evaluation import Outcome

ALL_KINDS: Final = "all"


class Row(TypedDict):
    """What a number of cases came to. Means are over the cases; shares are between 0 and 1.

    Attributes:
        kind: Kind of the cases; `all` for those of every kind.
        length: Length of their documents.
        arm: Level or baseline.
        cases: How many they are.
        accuracy: Share of right answers.
        low: Lower end of its 95% interval.
        high: Upper end.
        of_oracle: Its share of the accuracy of the arm `oracle`; None if that did not run on all of the same cases.
        exact: Share of answers that are a right one and nothing else.
        f1: Mean F1.
        found: Share of the answers that were passed off as found.
        retrieved: Share of the gold paragraphs that were retrieved; None if none are known. Likewise the next three.
        read: That the model read.
        packed: That were in the answer's prompt.
        cited: That were cited.
        cited_if_right: Share of the right answers that cite a gold paragraph; None if there are none.
        verbatim: Share of the citations that are verbatim; None if there are none.
        model_calls: Mean calls, those answered from a cache included.
        input_tokens: Mean tokens read.
        output_tokens: Mean tokens written.
        seconds: Mean seconds.
        errors: How many ended with an error.
    """

    kind: str
    length: str
    arm: Arm
    cases: int
    accuracy: float
    low: float
    high: float
    of_oracle: float | None
    exact: float
    f1: float
    found: float
    retrieved: float | None
    read: float | None
    packed: float | None
    cited: float | None
    cited_if_right: float | None
    verbatim: float | None
    model_calls: float
    input_tokens: float
    output_tokens: float
    seconds: float
    errors: int


def summarise(outcomes: Iterable[Outcome]) -> list[Row]:
    """Return a row for each length, kind and arm, in the order in which they come; those for all kinds come last."""
    groups: dict[tuple[str, str], dict[Arm, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        for kind in (outcome["kind"], ALL_KINDS):
            groups[outcome["length"], kind][outcome["arm"]].append(outcome)
    kinds = {kind for _, kind in groups} - {ALL_KINDS}
    in_order = sorted(groups.items(), key=lambda group: group[0][1] == ALL_KINDS)
    return [
        row_of(kind, length, arm, rows, by_arm.get("oracle", []))
        for (length, kind), by_arm in in_order
        if kind != ALL_KINDS or len(kinds) > 1
        for arm, rows in by_arm.items()
    ]


def row_of(kind: str, length: str, arm: Arm, outcomes: Sequence[Outcome], oracle: Sequence[Outcome]) -> Row:
    """Return what the outcomes of an arm came to, beside those of the oracle."""
    right = [outcome for outcome in outcomes if outcome["right"]]
    low, high = confidence_interval(len(right), len(outcomes))
    citations = sum(outcome["citations"] for outcome in outcomes)
    sure = [outcome["cited"] for outcome in right if outcome["cited"] is not None]
    return {
        "kind": kind,
        "length": length,
        "arm": arm,
        "cases": len(outcomes),
        "accuracy": len(right) / len(outcomes),
        "low": low,
        "high": high,
        "of_oracle": share_of_oracle(outcomes, oracle),
        "exact": fmean(outcome["exact"] for outcome in outcomes),
        "f1": fmean(outcome["f1"] for outcome in outcomes),
        "found": fmean(outcome["found"] for outcome in outcomes),
        "retrieved": mean_of(outcome["retrieved"] for outcome in outcomes),
        "read": mean_of(outcome["read"] for outcome in outcomes),
        "packed": mean_of(outcome["packed"] for outcome in outcomes),
        "cited": mean_of(outcome["cited"] for outcome in outcomes),
        "cited_if_right": fmean(share > 0 for share in sure) if sure else None,
        "verbatim": sum(outcome["verbatim"] for outcome in outcomes) / citations if citations else None,
        "model_calls": fmean(outcome["model_calls"] + outcome["cached_calls"] for outcome in outcomes),
        "input_tokens": fmean(outcome["input_tokens"] for outcome in outcomes),
        "output_tokens": fmean(outcome["output_tokens"] for outcome in outcomes),
        "seconds": fmean(outcome["seconds"] for outcome in outcomes),
        "errors": sum(outcome["error"] is not None for outcome in outcomes),
    }


def share_of_oracle(outcomes: Sequence[Outcome], oracle: Sequence[Outcome]) -> float | None:
    """Return how much of the oracle's accuracy is left; None if it has none, or did not run on all of the cases."""
    asked = {outcome["id"] for outcome in outcomes}
    best = [outcome["right"] for outcome in oracle if outcome["id"] in asked]
    if len(best) < len(asked) or not any(best):
        return None
    return sum(outcome["right"] for outcome in outcomes) / sum(best)


def mean_of(shares: Iterable[float | None]) -> float | None:
    """Return the mean of what is known."""
    known = [share for share in shares if share is not None]
    return fmean(known) if known else None


HEADINGS: Final = (
    "kind", "length", "arm", "cases", "accuracy", "95% interval", "of oracle", "exact", "F1", "found", "retrieved",
    "read", "packed", "cited", "right ones cite gold", "verbatim", "calls", "tokens in", "tokens out", "seconds",
    "errors",
)  # fmt: skip


def to_markdown(rows: Iterable[Row]) -> str:
    """Return rows as a Markdown table, shares in percent."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cells(row: Row) -> list[str]:
    """Return a row as it is printed."""
    shares = [row["exact"], row["f1"], row["found"], row["retrieved"], row["read"], row["packed"], row["cited"]]
    return [
        row["kind"] or "–",
        row["length"] or "–",
        row["arm"],
        str(row["cases"]),
        percent(row["accuracy"]),
        f"{percent(row['low'])}–{percent(row['high'])}",
        percent(row["of_oracle"]),
        *map(percent, [*shares, row["cited_if_right"], row["verbatim"]]),
        f"{row['model_calls']:.1f}",
        f"{row['input_tokens']:,.0f}",
        f"{row['output_tokens']:,.0f}",
        f"{row['seconds']:.1f}",
        str(row["errors"]),
    ]


def percent(share: float | None) -> str:
    """Return a share as it is printed."""
    return "–" if share is None else f"{100 * share:.0f}%"
