"""`qwen-longctx bench`: what everything but the model costs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from langchain_qwen_longctx.bm25_engines import ENGINES, OWN, RIVALS
from langchain_qwen_longctx.console import counted
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.haystacks import tokens_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_qwen_longctx.benchmark_report import Report
    from langchain_qwen_longctx.haystacks import Lang

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

NOTHING: Final = "nothing"

LEAST: Final = "10k"
MOST: Final = "10m"

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx bench
  qwen-longctx bench --tokens 10k --tokens 100k --against nothing
  qwen-longctx bench novels/ --tokens 1m --json > bench.json
  qwen-longctx bench --lang zh --against rank-bm25 --figure costs.svg
"""


@click.command("bench", epilog=EXAMPLES, short_help="Measure what everything but the model costs")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())
@click.option(
    "--tokens",
    multiple=True,
    metavar="LENGTH",
    default=("10k", "100k", "1m"),
    show_default=True,
    help=f"Size of the text, from {LEAST} to {MOST}; repeatable.",
)
@click.option(
    "--lang",
    multiple=True,
    type=click.Choice(("en", "zh")),
    help="Language of the text that is made up; repeatable. [default: both]",
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Medians are over so many.")
@click.option(
    "--against",
    multiple=True,
    type=click.Choice((*RIVALS, NOTHING)),
    help="What else is measured on the same text; repeatable. [default: all that is installed]",
)
@click.option(
    "--json", "as_json", is_flag=True, envvar="QWEN_LONGCTX_BENCH_JSON", help="Print one JSON object instead of tables."
)
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="Draw seconds and memory over size: .png or .svg."
)
def bench_command(
    *,
    paths: tuple[str, ...],
    tokens: tuple[str, ...],
    lang: tuple[Lang, ...],
    runs: int,
    against: tuple[str, ...],
    as_json: bool,
    figure: Path | None,
) -> None:
    """Measure what everything but the model costs on this machine: time and memory.

    The text is that of PATH..., files or folders, cut or repeated to each size; a repeated text has no more different
    words, which flatters what is kept by word. Without PATH it is made up, the same each time, and its vocabulary grows
    as in real text.

    Measured are: from a file to an index that can be searched, step by step, saving and opening it, queries of 20 and
    800 terms, and a full reading by a model that answers at once; then how long it takes to start. Each run of each
    size is a process of its own. Nothing else should be running meanwhile.

    Exit codes: 0 done, 2 bad input, 130 interrupted; what is measured by then is printed.
    """
    from langchain_qwen_longctx.benchmark_report import Report, blank_figure, draw

    lengths = in_order(tokens)
    if paths and lang:
        msg = "--lang is for text that is made up; leave it out, or the paths"
        raise InputError(msg)
    canvas = blank_figure(figure) if figure else None
    given = text_of(paths)
    rivals = [name for name in against or RIVALS if name != NOTHING]
    report = Report(missing=[name for name in rivals if not ENGINES[name].is_installed])
    engines = [OWN, *(name for name in rivals if name not in report.missing)]
    try:
        fill(report, engines, lengths, lang, given, runs)
    except KeyboardInterrupt as error:
        click.echo(err=True)  # the terminal has put ^C on this line
        msg = "Interrupted. What is measured is printed." if report.figures else "Interrupted. Nothing is measured yet."
        raise click.Abort(msg) from error
    finally:
        show(report, as_json=as_json)
    if canvas and figure:
        draw(canvas, report.to_json()["results"], figure)
        click.echo(f"Drawn: {figure}", err=True)


def in_order(lengths: Sequence[str]) -> list[str]:
    """Return lengths, the shortest first and each once.

    Raises:
        InputError: One of them is none, or too short or too long.
    """
    for length in lengths:
        if not tokens_in(LEAST) <= tokens_in(length) <= tokens_in(MOST):
            msg = f"--tokens is {length}; it must be between {LEAST} and {MOST}"
            raise InputError(msg)
    return list({tokens_in(length): length.strip().lower() for length in sorted(lengths, key=tokens_in)}.values())


def text_of(paths: Sequence[str]) -> str:
    """Return the text of all documents; an empty one without any."""
    from langchain_qwen_longctx.document_loaders import load_documents

    return "\n\n".join(document.page_content for document in load_documents(paths)) if paths else ""


def fill(
    report: Report, engines: Sequence[str], lengths: Sequence[str], langs: Sequence[Lang], given: str, runs: int
) -> None:
    """Measure everything, behind a bar."""
    from langchain_qwen_longctx.benchmark_texts import LANGS, write_texts
    from langchain_qwen_longctx.benchmarking import outcome, plan, time_starts

    langs = langs or LANGS
    total = sum(map(thousands, lengths)) * (1 if given else len(langs)) * len(engines) * runs
    done = 0
    with TemporaryDirectory() as folder, counted("Thousands of tokens") as on_step:
        on_step("making up text" * (not given), 0, total)
        for job in plan(write_texts(Path(folder), lengths, langs=langs, given=given), engines, runs):
            on_step(str(job), done, total)
            report.add(job, outcome(job))
            done += thousands(job.text.length)
        for number in range(1, runs + 1):
            on_step(f"starting, run {number}", total, total)
            report.starts.append(time_starts())
    report.is_complete = True


def thousands(length: str) -> int:
    """Return a length in thousands of tokens."""
    return tokens_in(length) // 1000


def show(report: Report, *, as_json: bool) -> None:
    """Print what has been measured, if anything."""
    from langchain_qwen_longctx.benchmark_report import to_markdown

    if report.figures:
        made = report.to_json()
        click.echo(json.dumps(made) + "\n" if as_json else to_markdown(made), nl=False)
