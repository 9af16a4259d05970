"""`qwen-longctx purge`: delete what is kept on this machine."""

from __future__ import annotations

import math
import re
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from langchain_qwen_longctx.cli_options import cache_option
from langchain_qwen_longctx.cli_parts import base_folder
from langchain_qwen_longctx.console import format_size
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from langchain_qwen_longctx.kept_files import Inventory, Kind

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

WHAT: Final = ("replies", "index", "threads", "notes", "models", "all")
"""The kinds of `kept_files`, which would load LangChain, and all of them."""

OF_DOCUMENTS: Final = WHAT[:4]
"""What holds anything of the documents or the questions, unlike the embedded model."""

SECONDS: Final = {"h": 3600, "d": 86_400, "w": 604_800}

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx purge                        # all but the embedded model
  qwen-longctx purge replies threads
  qwen-longctx purge index --older-than 30d --yes
  qwen-longctx purge all --cache-dir ~/project/kept
"""


def read_age(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Return an age such as `30d` in seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)([hdw])", value.strip())
    if not match:
        msg = f"{value!r} is no age; write a number of hours, days or weeks, such as 12h, 30d or 8w"
        raise click.BadParameter(msg)
    return float(int(match[1]) * SECONDS[match[2]])


@click.command("purge", epilog=EXAMPLES, short_help="Delete what is kept on this machine")
@click.argument("what", nargs=-1, type=click.Choice(WHAT), metavar="[replies|index|threads|notes|models|all]...")
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    callback=read_age,
    help="Only what was last written to so long ago, such as 12h, 30d or 8w. Replies are one file, and so are threads.",
)
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@cache_option
def purge_command(*, what: tuple[str, ...], age: float | None, yes: bool, cache_dir: Path | None) -> None:
    """Delete what is kept on this machine, after showing what that is.

    These are kept: replies of the model, the text of documents with its index, threads of conversations, the text of
    notes with its index, and the file of the embedded model. Without a name, all but the last goes, which holds nothing
    of yours.

    Only files that look like ours are deleted, and no link is followed. Other processes may be running: a database that
    one of them has open is emptied.

    Exit codes: 0 done, or nothing to do, 2 bad input, or something could not be deleted.
    """
    base = base_folder(cache_dir)
    stocks = take_stocks(base, what or OF_DOCUMENTS, math.inf if age is None else time.time() - age)
    if not any(stock.kept for stock in stocks.values()):
        click.echo(f"Nothing of that is kept in {base}.")
        return
    for kind, stock in stocks.items():
        if stock.kept:
            click.echo(describe(kind, stock))
    if yes or is_wanted():
        delete_all(stocks)
    else:
        click.echo("Nothing was deleted.")


def take_stocks(base: Path, what: tuple[str, ...], before: float) -> dict[Kind, Inventory]:
    """Return what is kept of some kinds and was last written to before some time."""
    from langchain_qwen_longctx.kept_files import KINDS, take_stock

    stocks = {kind: take_stock(base, kind) for kind in KINDS if kind in what or "all" in what}
    return {
        kind: replace(stock, kept=[unit for unit in stock.kept if unit.changed < before])
        for kind, stock in stocks.items()
    }


def describe(kind: str, stock: Inventory) -> str:
    """Return one line on what is to go of a kind."""
    count, size = sum(len(unit.files) for unit in stock.kept), sum(unit.bytes for unit in stock.kept)
    foreign = f" (not ours, stays: {stock.foreign:,})" if stock.foreign else ""
    return f"{kind:8}{count:7,} file{' ' if count == 1 else 's'} {format_size(size):>9}  {stock.folder}{foreign}"


def is_wanted() -> bool:
    """Ask whether to go on.

    Raises:
        InputError: There is nobody to ask.
    """
    if not sys.stdin.isatty():
        msg = "nothing was deleted, for there is no terminal to ask at; say --yes to delete this without a question"
        raise InputError(msg)
    return click.confirm("Delete this for good?", err=True)


def delete_all(stocks: Mapping[Kind, Inventory]) -> None:
    """Delete what was found, and say what has become of it.

    Raises:
        InputError: Something could not be deleted.
    """
    from langchain_qwen_longctx.kept_files import delete

    count, freed, failed = 0, 0, []
    for kind, stock in stocks.items():
        for unit in stock.kept:
            error = None
            try:
                delete(kind, unit, stock.folder)
            except OSError as raised:
                error = raised
                failed.append(f"{error.filename} ({error.strerror})")
            left = [file for file in unit.files if file.exists()]
            if left and not error:
                click.echo(f"{min(left)} is open in another process, and was emptied.")
            count += len(unit.files) - len(left)
            freed += unit.bytes - sum(file.stat().st_size for file in left)
    click.echo(f"Deleted {count:,} file{'s' * (count != 1)}; {format_size(freed)} are free again.")
    if failed:
        msg = f"could not be deleted: {', '.join(failed)}; close what uses it, or check its permissions, and try again"
        raise InputError(msg)
