"""What a benchmark came to: medians, how much others take for each of ours, tables in Markdown, and a picture."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx import __version__
from langchain_qwen_longctx.benchmark_texts import GIVEN
from langchain_qwen_longctx.benchmarking import LANGGRAPH
from langchain_qwen_longctx.bm25_engines import ENGINES, OWN, own_analyzer
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_qwen_longctx.benchmark_texts import Text
    from langchain_qwen_longctx.benchmarking import Figures, Job

OF_OURS: Final = {
    "tokens": ("tokens", 1),
    "bytes": ("text, MB", 1e-6),
    "chunks": ("chunks", 1),
    "vocabulary": ("different terms", 1),
    "start": ("imports and dictionaries, s", 1),
    "load": ("load, s", 1),
    "split": ("split, s", 1),
    "analyze": ("analyze, s", 1),
    "build": ("build the index, s", 1),
    "searchable": ("**text to searchable, s**", 1),
    "save": ("save the index, s", 1),
    "open": ("open it again, s", 1),
    "query_20": ("query of 20 terms, ms", 1e3),
    "query_800": ("query of 800 terms, ms", 1e3),
    "reading": ("a reading beside the model, ms", 1e3),
    "peak_bytes": ("peak memory, MB", 1e-6),
    "bytes_per_byte": ("beyond the imports, bytes a byte of text", 1),
}
"""Figures with what they are called and what they are multiplied by, in the order of the table's rows."""

COMPARED: Final = ("analyze", "build", "query_20", "query_800", "peak_bytes")
"""Figures of others that are set against ours."""

MAX_DIFFERENCE: Final = 1e-9
"""Scores that differ by no more are equal."""

DRAWN: Final = {
    "searchable": ("text to searchable, s", 1),
    "query_800": ("query of 800 terms, s", 1),
    "peak_bytes": ("peak memory, MB", 1e-6),
}

PICTURES: Final = (".png", ".svg")


@dataclass(slots=True)
class Report:
    """What has been measured so far.

    Attributes:
        figures: Of each run, by engine and text.
        starts: Of each run, seconds by what was started.
        failed: One line on each measurement that failed.
        is_complete: Whether that is all.
        missing: Names of the engines that are not installed.
    """

    figures: dict[tuple[str, Text], list[Figures]] = field(default_factory=dict)
    starts: list[Figures] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    is_complete: bool = False
    missing: Sequence[str] = ()

    def add(self, job: Job, outcome: Figures | str) -> None:
        """Keep the figures of a run, or why there are none."""
        if isinstance(outcome, str):
            self.failed.append(f"{job}: {outcome}")
        else:
            self.figures.setdefault((job.engine, job.text), []).append(outcome)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a JSON object."""
        rows = {key: medians(runs) for key, runs in self.figures.items()}
        results = []
        for (engine, text), row in rows.items():
            about = {"engine": engine, "text": text.name, "length": text.length, "tokens": text.tokens}
            about |= {"bytes": text.bytes, "times": text.times, "runs": len(self.figures[engine, text])}
            results.append({**about, **row, "ratios": ratios(engine, row, rows.get((OWN, text), {}))})
        return {
            "version": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processors": os.cpu_count(),
            "results": results,
            "starts": medians(self.starts),
            "missing": {name: f"pip install {ENGINES[name].package}" for name in self.missing},
            "failed": self.failed,
            "complete": self.is_complete,
        }


def medians(runs: Sequence[Mapping[str, float]]) -> Figures:
    """Return the median of each figure over the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: median(run[name] for run in runs if name in run) for name in names}


def ratios(engine: str, row: Figures, own: Figures) -> Figures:
    """Return how much another engine takes for each of ours, where both are known and not the same work."""
    if engine == OWN:
        return {}
    shared = {"analyze"} if ENGINES[engine].analyzer is own_analyzer else set()
    return {name: row[name] / own[name] for name in COMPARED if name not in shared and name in row and own.get(name)}


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return what `Report.to_json` returned as tables, with a line on each thing that one has to know to read them."""
    results = report["results"]
    own = [row for row in results if row["engine"] == OWN]
    parts = [own_table(own)] if own else []
    if len(own) < len(results):
        parts.append(comparison(results))
    if report["starts"]:
        parts.append(starts_table(report["starts"]))
    return "\n".join([*parts, "".join(f"- {note}\n" for note in notes(report))])


def own_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a column for each text."""
    head = [OWN, *(f"{row['text']} {row['length']}" for row in rows)]
    lines = [[label, *(shown(row.get(name), factor) for row in rows)] for name, (label, factor) in OF_OURS.items()]
    return table(head, lines)


def comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with a line for each engine and text, ours first."""
    head = ["text", "engine", "terms", *(OF_OURS[name][0] for name in COMPARED)]
    texts = dict.fromkeys((row["text"], row["length"]) for row in rows)
    in_order = [row for text in texts for row in rows if (row["text"], row["length"]) == text]
    return table(head, [[" ".join((row["text"], row["length"])), *compared(row)] for row in in_order])


def compared(row: Mapping[str, Any]) -> list[str]:
    """Return what is compared of an engine, each with how much it takes for each of ours."""
    cells = []
    for name in COMPARED:
        cell, ratio = shown(row.get(name), OF_OURS[name][1]), row["ratios"].get(name)
        cells.append(f"{cell} ({shown(ratio, digits=2)}×)" if ratio else cell)
    return [row["engine"], ENGINES[row["engine"]].terms, *cells]


def starts_table(starts: Figures) -> str:
    """Return a table of what is started, beside LangGraph."""
    beside = starts[LANGGRAPH]
    lines = [[f"`{name}`", shown(seconds), f"{shown(seconds / beside, digits=2)}×"] for name, seconds in starts.items()]
    return table(["start", "s", f"of `{LANGGRAPH}`"], lines)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *lines))


def shown(value: float | None, factor: float = 1, digits: int = 3) -> str:
    """Return a figure in so many digits, a count in all it has, and a dash for what is not known."""
    if value is None:
        return "–"
    value *= factor
    if isinstance(value, int) or not value:
        return f"{value:,}"
    return f"{value:,.{min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 4)}f}"


def notes(report: Mapping[str, Any]) -> list[str]:
    """Return what one has to know to read the tables."""
    results = report["results"]
    counts = sorted({row["runs"] for row in results})
    runs = "–".join(map(str, counts)) + (" run" if counts == [1] else " runs")
    machine = f"Python {report['python']}, {report['system']}, {report['processors']} processors"
    lines = [f"Medians of {runs}, each in a process of its own; {OWN} {report['version']}, {machine}."]
    if any(row["text"] != GIVEN for row in results):
        lines.append("The text is made up. Its vocabulary grows with it about as that of real text does.")
    repeated = dict.fromkeys(f"{shown(row['times'])} times for {row['length']}" for row in results if row["times"] > 1)
    if repeated:
        lines.append(
            f"The given text is repeated {', '.join(repeated)}, so that its vocabulary does not grow: that flatters "
            "whatever is kept by term."
        )
    if any(row["engine"] == "langchain-community" for row in results):
        lines.append("langchain-community is its BM25Retriever with jieba.lcut as preprocess_func.")
    if any(row["ratios"] for row in results):
        lines.append(f"{OWN} is 1×; what takes 2× takes twice as much.")
    differences = [row["score_difference"] for row in results if "score_difference" in row]
    if differences:
        verdict = "equal ours" if max(differences) <= MAX_DIFFERENCE else "DO NOT equal ours"
        lines.append(f"Scores of rank-bm25 {verdict}: the largest difference is {max(differences):.1g}.")
    lines += [
        f"{name} is left out, because {line.split()[-1]} is not installed: {line}"
        for name, line in report["missing"].items()
    ]
    return lines + [f"Failed: {line}" for line in report["failed"]]


def blank_figure(path: Path) -> Any:  # noqa: ANN401 - matplotlib has no types
    """Return a figure to draw on, or complain before anything is measured.

    Raises:
        InputError: matplotlib is not installed, or the file is of another kind.
    """
    if path.suffix.lower() not in PICTURES:
        msg = f"{path} is no picture that can be drawn; give a name that ends with {' or '.join(PICTURES)}"
        raise InputError(msg)
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - of an extra
    except ImportError as error:
        msg = 'pictures need matplotlib; run: pip install "langchain-qwen-longctx[eval]"'
        raise InputError(msg) from error
    return Figure(figsize=(12, 4), layout="constrained")


def draw(figure: Any, results: Sequence[Mapping[str, Any]], path: Path) -> None:  # noqa: ANN401
    """Draw seconds and memory over the size of the text, on logarithmic axes, a line for each engine and text.

    Raises:
        InputError: The file cannot be written.
    """
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in results:
        lines.setdefault((row["engine"], row["text"]), []).append(row)
    for axes, (name, (title, factor)) in zip(figure.subplots(1, len(DRAWN)), DRAWN.items(), strict=True):
        for (engine, text), rows in lines.items():
            known = [(row["tokens"], row[name] * factor) for row in rows if name in row]
            style = {"color": f"C{list(ENGINES).index(engine)}", "linestyle": "--" if text == "zh" else "-"}
            if known:
                axes.loglog(*zip(*known, strict=True), marker="o", label=f"{engine}, {text}", **style)
        axes.set(title=title, xlabel="tokens")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    try:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        msg = f"the picture cannot be written to {path} ({error}); give another file"
        raise InputError(msg) from error
