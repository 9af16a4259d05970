"""Tables to text: each row becomes one line that can be understood without the others.

`row 5 | Name: X | Year: 2019` is found and cited on its own, wherever a chunk begins. The readers of `file_formats` get
the rows of their tables, delimited texts and sheets from here.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# A header row is looked for in the first rows only, and names as long as sentences are not column names: every row
# repeats them.
HEADER_SEARCH_ROWS = 20
MAX_COLUMN_NAME = 60


def one_line(text: str) -> str:
    """Return a text with every run of whitespace, line breaks too, as one space."""
    return " ".join(text.split())


class Row(NamedTuple):
    """One table row: what it says, and what it would call its columns if it were the header."""

    values: list[str]
    names: list[str]
    number: int | None = None  # where rows have numbers, as in a spreadsheet, counted from 1


def table_lines(rows: list[Row]) -> list[str]:
    """Write each row that holds anything as one line; the rows after a header name their columns."""
    header = _find_header([row.values for row in rows])
    lines = []
    for index, row in enumerate(rows):
        names = rows[header].names if header is not None and index > header else []
        cells = [
            f"{name}: {value}" if name else value
            for value, name in zip_longest(row.values, names, fillvalue="")
            if value
        ]
        if cells:
            lines.append(" | ".join(cells if row.number is None else [f"row {row.number}", *cells]))
    return lines


def _find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the first row that reads like column names, or None."""
    candidates = [[value for value in row if value] for row in rows[:HEADER_SEARCH_ROWS]]
    widest = max(map(len, candidates), default=0)
    for index, cells in enumerate(candidates):
        if len(cells) >= max(2, widest / 2) and _are_column_names(cells):
            return index
    return None


_NUMBER = re.compile(r"[-+(]?[$€£¥]?[\d.,:/ -]+[%)]?")
_YEAR = re.compile(r"(19|20)\d\d")


def _are_column_names(cells: Sequence[str]) -> bool:
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    mostly_text = len(numbers) * 2 < len(cells)
    text_and_years = len(numbers) < len(cells) and all(_YEAR.fullmatch(number) for number in numbers)
    return (mostly_text or text_and_years) and max(map(len, cells)) <= MAX_COLUMN_NAME


def csv_rows(text: str) -> list[Row]:
    """Cut delimited text into rows, numbered as a spreadsheet numbers them; the delimiter is found out.

    Raises:
        csv.Error: A field is too large, or quoting goes wrong.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_find_delimiter(text))
    lines = [[one_line(value) for value in line] for line in reader]
    return [Row(line, line, number) for number, line in enumerate(lines, start=1)]


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


def sheet_rows(sheet: Any) -> list[Row]:  # noqa: ANN401 - openpyxl is untyped
    """Return the rows of an openpyxl worksheet that hold anything, dates and numbers as people read them."""
    # Some programs store a wrong size, which would cut the sheet off.
    sheet.reset_dimensions()
    rows = []
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        values = [_cell_text(cell.value, cell.number_format) if cell.value is not None else "" for cell in cells]
        if any(values):
            rows.append(Row(values, values, number))
    return rows


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
