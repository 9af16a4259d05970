"""What a person sees in the shell: results as text on stdout, and on stderr what is going on."""

from __future__ import annotations

import math
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

# ruff: noqa: PLC0415 - rich is loaded when there is something to show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from langchain_qwen_longctx.graphs.forecast import Forecast
    from langchain_qwen_longctx.indexing import IndexReport
    from langchain_qwen_longctx.schemas import Citation, QAOutput

EXIT_ANSWERED: Final = 0
EXIT_NOT_FOUND: Final = 1
EXIT_NO_MODEL: Final = 3
EXIT_OUT_OF_BUDGET: Final = 4

MAX_QUOTE: Final = 400
"""Characters of a citation shown; `--json` has the whole."""

MAX_SOURCES_NAMED: Final = 5
"""Files whose pages without text are told one by one."""

LIMITS: Final = {"budget": "--max-calls or --max-tokens", "deadline": "--max-seconds"}
"""What ended the reading, by what `stopped` says."""

OUT_OF_BUDGET: Final = "The budget ran out before any answer; raise --max-calls, --max-tokens or --max-seconds."

_STEERING: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tabs and line breaks, escapes among them, and what turns the direction of writing."""

MINUTE: Final = 60
HOUR: Final = 3600


def tell_outcome(result: QAOutput) -> int:
    """Say on stderr what an answer took, and return the exit code that it stands for."""
    click.echo(format_cost(result), err=True)
    if result["found"]:
        return EXIT_ANSWERED
    if result["stopped"]:
        click.echo(OUT_OF_BUDGET, err=True)
        return EXIT_OUT_OF_BUDGET
    return EXIT_NOT_FOUND


def format_answer(result: QAOutput) -> str:
    """Return the answer, and below it each citation with its place."""
    lines = [shown(result["answer"])]
    if not result["found"] and not result["citations"] and result["coverage"]["chunks_read"]:
        lines += ["(No passage supports this.)"] if not _is_decline(result) else []
    if result["citations"]:
        lines.append("")
    lines += [
        f"[{number}] {place(citation['source'], citation['page'])}: {_quote(citation)}"
        for number, citation in enumerate(result["citations"], 1)
    ]
    return "\n".join(lines)


def _is_decline(result: QAOutput) -> bool:
    from langchain_qwen_longctx.graphs.retrieval import NOT_IN_DOCUMENTS

    # Where reading ended early, a sentence on that follows.
    return result["answer"].startswith(tuple(NOT_IN_DOCUMENTS.values()))


def place(source: str, page: int | None) -> str:
    """Return where a quote stands."""
    return f"{shown(source)}, page {page}" if page else shown(source)


def shown(text: str) -> str:
    """Return a text with a mark in the place of each character that would steer the terminal."""
    return _STEERING.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return a text on one line, without characters that would steer the terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _quote(citation: Citation) -> str:
    quote = one_line(citation["quote"])
    return quote if len(quote) <= MAX_QUOTE else f"{quote[:MAX_QUOTE]}…"


def format_cost(result: QAOutput) -> str:
    """Return one line on what was read and what it took."""
    coverage, usage = result["coverage"], result["usage"]
    failed = f"{coverage['chunks_failed']:,} could not be read, " if coverage["chunks_failed"] else ""
    stopped = f"; ended early by {LIMITS[result['stopped']]}" if result["stopped"] else ""
    return (
        f"Read {coverage['chunks_read']:,} of {coverage['chunks_total']:,} chunks, {failed}"
        f"{usage['model_calls']} model calls, {usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out, "
        f"{usage['seconds']:.1f} s{stopped}"
    )


def format_index(report: IndexReport) -> str:
    """Return one line on where the chunks came from."""
    files = len(report.read) + len(report.reused)
    parts = [f"{len(report.read)} read"] * bool(report.read) + [f"{len(report.reused)} unchanged"] * bool(report.reused)
    parts += [f"{len(report.failed)} skipped"] * bool(report.failed)
    return f"Documents: {files} ({', '.join(parts)}), {report.chunks:,} chunks"


def format_gaps(gaps: Mapping[str, Sequence[int]]) -> str:
    """Return one line on the pages without text of each source."""
    from langchain_qwen_longctx.page_gaps import in_words

    named = [f"{source} {in_words(pages)}" for source, pages in list(gaps.items())[:MAX_SOURCES_NAMED]]
    more = f"; and of {len(gaps) - len(named):,} more files" if len(gaps) > len(named) else ""
    return f"Pages without text, blank or scanned: {'; '.join(named)}{more}"


def format_forecast(forecast: Forecast) -> str:
    """Return some lines on what a question will cost."""
    lines = {
        "chunks": f"{forecast['chunks_total']:,}",
        "read one by one": span(*forecast["chunks_read"]),
        "model calls": span(*forecast["model_calls"]),
        "tokens read": span(*map(rounded, forecast["input_tokens"])),
        "tokens written": span(*map(rounded, forecast["output_tokens"])),
    }
    if forecast["seconds"]:
        low, high = map(format_duration, forecast["seconds"])
        lines["time"] = low if low == high else f"{low} to {high}"
    head = f"Forecast for a question of usual length, level {forecast['level']}; replies kept from before cost nothing:"
    return "\n".join([head, *(f"  {name:17}{value}" for name, value in lines.items())])


def span(low: int, high: int) -> str:
    """Return a range of numbers in words."""
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def rounded(number: int) -> int:
    """Return a number to two digits, which is more than a forecast knows."""
    return int(float(f"{number:.1e}"))


def format_duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < 2 * MINUTE:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
    return f"{hours} h {minutes} min"


def format_size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6)):
        if count >= bytes_each:
            return f"{count / bytes_each:,.1f} {unit}"
    return f"{math.ceil(count / 1e3):,} kB"


@contextmanager
def status(message: str) -> Iterator[Callable[[str], None]]:
    """Show a message with a spinner and the seconds so far, while stderr is a terminal.

    Yields:
        A function that changes the message.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(message, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def counted(heading: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar over so many things with an estimate of the time left, while stderr is a terminal.

    Yields:
        A function to call before each of them with its name, its number from 0, and how many there are.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(heading, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def on_step(name: str, number: int, total: int) -> None:
            progress.update(task, description=one_line(name), completed=number, total=total)

        yield on_step
