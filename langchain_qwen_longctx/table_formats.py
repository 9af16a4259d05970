"""Tables to text: each row becomes one line that can be understood without the others.

`row 5 | Name: X | Year: 2019` is found and cited on its own, wherever a chunk begins. Rows come one by one, and are not
kept: a small file can have a million of them.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_qwen_longctx.errors import BrokenDocumentError
from langchain_qwen_longctx.sections import Section, limited

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# A header row is looked for in the first rows only, and names as long as sentences are not column names: every row
# repeats them.
HEADER_SEARCH_ROWS = 20
MAX_COLUMN_NAME = 60
# Those of the largest sheet that a spreadsheet program makes.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384


def one_line(text: str) -> str:
    """Return a text with every run of whitespace, line breaks too, as one space."""
    return " ".join(text.split())


class Row(NamedTuple):
    """One table row: what it says, and what it would call its columns if it were the header."""

    values: list[str]
    names: list[str]
    number: int | None = None  # where rows have numbers, as in a spreadsheet, counted from 1


def table_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Write each row that holds anything as one line; the rows after a header name their columns."""
    rows = iter(rows)
    first = list(islice(rows, HEADER_SEARCH_ROWS))
    header = _find_header([row.values for row in first])
    for index, row in enumerate(chain(first, rows)):
        names = first[header].names[: len(row.values)] if header is not None and index > header else []
        cells = [
            f"{name}: {value}" if name else value
            for value, name in zip_longest(row.values, names, fillvalue="")
            if value
        ]
        if cells:
            yield " | ".join(cells if row.number is None else [f"row {row.number}", *cells])


def _find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the first row that reads like column names, or None."""
    candidates = [[value for value in row if value] for row in rows]
    widest = max(map(len, candidates), default=0)
    for index, cells in enumerate(candidates):
        if max(2, widest / 2) <= len(cells) <= MAX_COLUMNS and _are_column_names(cells):
            return index
    return None


_NUMBER = re.compile(r"[-+(]?[$€£¥]?[\d.,:/ -]+[%)]?")
_YEAR = re.compile(r"(19|20)\d\d")


def _are_column_names(cells: Sequence[str]) -> bool:
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    mostly_text = len(numbers) * 2 < len(cells)
    text_and_years = len(numbers) < len(cells) and all(_YEAR.fullmatch(number) for number in numbers)
    return (mostly_text or text_and_years) and max(map(len, cells)) <= MAX_COLUMN_NAME


def read_csv(text: str, source: str) -> list[Section]:
    """Read delimited text as rows, numbered as a spreadsheet numbers them; the delimiter is found out.

    Raises:
        BrokenDocumentError: A field is too large, quoting goes wrong, or there is too much text.
    """
    try:
        return [Section("\n".join(limited(table_lines(_csv_rows(text.removeprefix("\ufeff"))), source)))]
    except csv.Error as error:
        problem = f"not a delimited table ({error}); rename it to .txt to read it as plain text"
        raise BrokenDocumentError(source, problem) from error


def _csv_rows(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_find_delimiter(text))
    for number, line in enumerate(reader, start=1):
        values = [one_line(value) for value in line]
        yield Row(values, values, number)


def _find_delimiter(text: str) -> str:
    """Return the delimiter that cuts the first lines into the same number of fields most often.

    `csv.Sniffer` is not used: it takes letters for delimiters and is slow on long quoted fields.
    """
    sample = text[:20_000].splitlines(keepends=True)[:HEADER_SEARCH_ROWS]

    def regularity(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(sample, delimiter=delimiter) if len(row) > 1]
        usual = max(set(widths), key=widths.count, default=0)
        return widths.count(usual), usual

    return max(",\t;|", key=regularity)


def sheet_rows(sheet: Any) -> Iterator[Row]:  # noqa: ANN401 - openpyxl is untyped
    """Yield the rows of an openpyxl worksheet that hold anything, dates and numbers as people read them.

    Raises:
        ValueError: There is a row where no spreadsheet has one: openpyxl gives all that are missing before it.
    """
    # Some programs store a wrong size, which would cut the sheet off.
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        if number > MAX_ROWS:
            msg = f"a sheet has {MAX_ROWS:,} rows at most"
            raise ValueError(msg)
        values = [_cell_text(cell.value, cell.number_format) if cell.value is not None else "" for cell in cells]
        if any(values):
            yield Row(values, values, number)


def _cell_text(value: object, number_format: str) -> str:
    match value:
        case dt.datetime() if not (value.hour or value.minute or value.second or value.microsecond):
            return value.date().isoformat()
        case dt.datetime():
            return value.isoformat(sep=" ", timespec="seconds" if value.second else "minutes")
        case float() | int() if not isinstance(value, bool) and number_format.endswith("%"):
            return f"{value * 100:.10g}%"
        case float():
            return f"{value:.15g}"
        case _:
            return one_line(str(value))
