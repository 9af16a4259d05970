"""What a person sees in the shell: results as text on stdout, and on stderr what is going on."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

# ruff: noqa: PLC0415 - rich is loaded when there is something to show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from langchain_qwen_longctx.indexing import IndexReport
    from langchain_qwen_longctx.schemas import Citation, QAOutput

MAX_QUOTE: Final = 400
"""Characters of a citation shown; `--json` has the whole."""

READ_PER_WRITTEN: Final = 4
"""Tokens a model reads in the time it takes to write one; about that on a CPU, far more on a GPU."""

EXPECTED_ANSWER: Final = 60
"""Tokens of a usual answer, for the estimate."""


def format_answer(result: QAOutput) -> str:
    """Return the answer, and below it each citation with its place."""
    lines = [result["answer"]]
    if not result["found"] and not result["citations"] and result["coverage"]["chunks_read"]:
        lines += ["(No passage supports this.)"] if not _is_decline(result) else []
    if result["citations"]:
        lines.append("")
    lines += [
        f"[{number}] {_place(citation)}: {_quote(citation)}" for number, citation in enumerate(result["citations"], 1)
    ]
    return "\n".join(lines)


def _is_decline(result: QAOutput) -> bool:
    from langchain_qwen_longctx.graphs.retrieval import NOT_IN_DOCUMENTS

    return result["answer"] in NOT_IN_DOCUMENTS.values()


def _place(citation: Citation) -> str:
    page = f", page {citation['page']}" if citation["page"] else ""
    return f"{citation['source']}{page}"


def _quote(citation: Citation) -> str:
    quote = " ".join(citation["quote"].split())
    return quote if len(quote) <= MAX_QUOTE else f"{quote[:MAX_QUOTE]}…"


def format_cost(result: QAOutput) -> str:
    """Return one line on what was read and what it took."""
    coverage, usage = result["coverage"], result["usage"]
    return (
        f"Read {coverage['chunks_read']:,} of {coverage['chunks_total']:,} chunks, "
        f"{usage['model_calls']} model calls, {usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out, "
        f"{usage['seconds']:.1f} s"
    )


def format_index(report: IndexReport) -> str:
    """Return one line on where the chunks came from."""
    files = len(report.read) + len(report.reused)
    parts = [f"{len(report.read)} read"] * bool(report.read) + [f"{len(report.reused)} unchanged"] * bool(report.reused)
    parts += [f"{len(report.failed)} skipped"] * bool(report.failed)
    return f"Documents: {files} ({', '.join(parts)}), {report.chunks:,} chunks"


class Narrator:
    """Puts the graph's progress into words, with an estimate once a call has shown how fast the model is."""

    def __init__(self, chunks: int) -> None:
        self.message = "Working out what to search for"
        self._chunks = chunks
        self._started = time.monotonic()
        self._seconds_per_token = 0.0

    def follow(self, update: Mapping[str, Any]) -> str:
        """Return the message after a step of the graph; `update` maps its node to what it wrote."""
        for node, written in update.items():
            if node == "analyze":
                self._measure(written.get("spent", {}))
                self.message = f"Searching {self._chunks:,} chunks"
            elif node == "select":
                self.message = self._reading(len(written["evidence"]), written["evidence_tokens"])
        return self.message

    def _measure(self, spent: Mapping[str, int]) -> None:
        work = spent.get("output_tokens", 0) + spent.get("input_tokens", 0) / READ_PER_WRITTEN
        self._seconds_per_token = (time.monotonic() - self._started) / work if work else 0.0

    def _reading(self, passages: int, tokens: int) -> str:
        seconds = self._seconds_per_token * (EXPECTED_ANSWER + tokens / READ_PER_WRITTEN)
        estimate = f", about {seconds:.0f} s" if seconds >= 1 else ""
        return f"Answering from {passages} passages, {tokens:,} tokens{estimate}"


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

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(message, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def file_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar over files with an estimate of the time left, while stderr is a terminal.

    Yields:
        A function to call before each file with its name, its number from 0, and how many there are.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Indexing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda name, number, total: progress.update(task, description=name, completed=number, total=total)
