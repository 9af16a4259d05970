"""Pictures of an evaluation, as PNG and SVG: matplotlib, of the extra `eval`."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.haystacks import tokens_in
from langchain_qwen_longctx.scoring import confidence_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from langchain_qwen_longctx.evaluation import Outcome

FORMATS: Final = ("png", "svg")
REFERENCE: Final = "oracle"
DEPTHS: Final = 10
"""Rows of a heatmap, from the beginning of the documents to their end."""

COLOURS: Final = {
    "retrieve": "#4c78a8",
    "read": "#59a14f",
    "reason": "#b279a2",
    "auto": "#d1495b",
    "oracle": "#333333",
    "closed-book": "#bab0ac",
    "truncate": "#edae49",
    "bm25": "#8d6e63",
}
COSTS: Final = {
    "model_calls": "model calls per question",
    "input_tokens": "tokens read per question",
    "seconds": "seconds per question",
}


def draw(outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
    """Draw what there is data for: accuracy and cost over the documents' length, and accuracy over length and depth.

    Args:
        outcomes: Outcomes of any cases.
        folder: Where the pictures go; it is made if need be.

    Returns:
        The files.

    Raises:
        InputError: matplotlib is not installed, or the folder cannot be written to.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - of an extra
    except ImportError as error:
        msg = 'pictures need matplotlib; run: pip install "langchain-qwen-longctx[eval]"'
        raise InputError(msg) from error
    pictures: dict[str, Callable[[Any], None]] = {
        "accuracy": lambda figure: draw_accuracy(figure, outcomes),
        "cost": lambda figure: draw_cost(figure, outcomes),
    }
    for arm in dict.fromkeys(outcome["arm"] for outcome in outcomes):
        placed = [outcome for outcome in outcomes if outcome["arm"] == arm and outcome["depth"] is not None]
        if placed:
            pictures[f"depth-{arm}"] = lambda figure, placed=placed: draw_depth(figure, placed)  # type: ignore[misc]
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, paint in pictures.items():
            figure = Figure(figsize=(12, 4) if name == "cost" else (7, 4.5), layout="constrained")
            paint(figure)
            for kind in FORMATS:
                files.append(folder / f"{name}.{kind}")
                figure.savefig(files[-1], dpi=150, metadata={"Date": None} if kind == "svg" else None)
    except OSError as error:
        msg = f"the pictures cannot be written to {folder} ({error}); give another folder"
        raise InputError(msg) from error
    return files


def draw_accuracy(figure: Any, outcomes: Iterable[Outcome]) -> None:  # noqa: ANN401 - matplotlib has no types
    """Draw the share of right answers over length, a line for each arm, with its 95% interval."""
    axes = figure.add_subplot()
    by_arm = grouped(outcomes)
    lengths = lengths_of(by_arm)
    for number, (arm, by_length) in enumerate(by_arm.items()):
        places, shares, below, above = [], [], [], []
        for length, rows in by_length.items():
            right = sum(row["right"] for row in rows)
            share, (low, high) = right / len(rows), confidence_interval(right, len(rows))
            # Side by side, so that intervals do not hide each other.
            places.append(lengths.index(length) + 0.04 * (number - (len(by_arm) - 1) / 2))
            shares.append(100 * share)
            below.append(100 * (share - low))
            above.append(100 * (high - share))
        style = {"linestyle": "--", "marker": "D"} if arm == REFERENCE else {"marker": "o"}
        axes.errorbar(places, shares, (below, above), label=arm, color=COLOURS[arm], capsize=3, **style)
    axes.set(ylabel="right answers, %, with 95% interval", xlabel="tokens in the document", ylim=(-3, 103))
    _finish(axes, lengths)
    figure.legend(loc="outside right upper", frameon=False)


def draw_cost(figure: Any, outcomes: Iterable[Outcome]) -> None:  # noqa: ANN401
    """Draw calls, tokens and seconds over length, on logarithmic axes."""
    by_arm = grouped(outcomes)
    lengths = lengths_of(by_arm)
    for number, (name, label) in enumerate(COSTS.items(), 1):
        axes = figure.add_subplot(1, len(COSTS), number)
        for arm, by_length in by_arm.items():
            means = [fmean(cost_of(row, name) for row in rows) for rows in by_length.values()]
            axes.plot([lengths.index(length) for length in by_length], means, "o-", label=arm, color=COLOURS[arm])
        axes.set(title=label, xlabel="tokens in the document", yscale="log")
        _finish(axes, lengths)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)


def cost_of(outcome: Outcome, name: str) -> float:
    """Return a cost of an outcome; calls include those answered from a cache."""
    if name == "model_calls":
        return outcome["model_calls"] + outcome["cached_calls"]
    return outcome["input_tokens"] if name == "input_tokens" else outcome["seconds"]


def draw_depth(figure: Any, outcomes: Sequence[Outcome]) -> None:  # noqa: ANN401
    """Draw the share of right answers by where in the document the answer is and by length, for each language."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import LinearSegmentedColormap, Normalize  # noqa: PLC0415

    colours = LinearSegmentedColormap.from_list("right", ["#d1495b", "#f4e3b2", "#2f8f6b"]).with_extremes(bad="#eeeeee")
    lengths = sorted({outcome["length"] for outcome in outcomes}, key=size_of)
    langs = sorted({outcome["lang"] for outcome in outcomes})
    panels = figure.subplots(1, len(langs), sharey=True, squeeze=False)[0]
    for axes, lang in zip(panels, langs, strict=True):
        cells: dict[tuple[int, int], list[bool]] = defaultdict(list)
        for outcome in outcomes:
            if outcome["lang"] == lang:
                row = min(int((outcome["depth"] or 0.0) * DEPTHS), DEPTHS - 1)
                cells[row, lengths.index(outcome["length"])].append(outcome["right"])
        grid = [[fmean(cells[row, column]) if (row, column) in cells else math.nan for column in range(len(lengths))]
                for row in range(DEPTHS)]  # fmt: skip
        axes.imshow(grid, vmin=0, vmax=1, cmap=colours, aspect="auto")
        for (row, column), right in cells.items():
            axes.text(column, row, f"{sum(right)} of {len(right)}", ha="center", va="center", fontsize=8)
        axes.set(xlabel="tokens in the document", title=f"{outcomes[0]['arm']}, {lang}" if lang else outcomes[0]["arm"])
        axes.set_xticks(range(len(lengths)), lengths)
    steps = range(0, DEPTHS, 2)
    panels[0].set_yticks([row - 0.5 for row in steps], [f"{100 * row // DEPTHS}%" for row in steps])
    panels[0].set(ylabel="depth of the answer")
    scale = ScalarMappable(Normalize(0, 1), colours)
    figure.colorbar(scale, ax=list(panels), label="right answers", format=lambda share, _: f"{100 * share:.0f}%")


def _finish(axes: Any, lengths: Sequence[str]) -> None:  # noqa: ANN401
    axes.set_xticks(range(len(lengths)), lengths)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def grouped(outcomes: Iterable[Outcome]) -> dict[str, dict[str, list[Outcome]]]:
    """Return outcomes by arm and length, the shortest documents first."""
    by_arm: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        by_arm[outcome["arm"]][outcome["length"]].append(outcome)
    return {
        arm: dict(sorted(by_length.items(), key=lambda item: size_of(item[0]))) for arm, by_length in by_arm.items()
    }


def lengths_of(by_arm: dict[str, dict[str, list[Outcome]]]) -> list[str]:
    """Return all lengths, the shortest first."""
    return sorted({length for by_length in by_arm.values() for length in by_length}, key=size_of)


def size_of(length: str) -> tuple[float, str]:
    """Return what lengths are sorted by: `8k` comes before `128k`, and what is no size comes last, by its name."""
    try:
        return tokens_in(length), length
    except InputError:
        return math.inf, length
