"""Which lines of a text belong together, and what lies between those that do not.

Lists, tables, headings and hard-wrapped prose differ only in their lines, so text is taken line by line first. One line
is looked at after the other, with the one before and the one after: a text may have millions.
"""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Wider lines are whole paragraphs, not the work of a line wrapper; narrower ones are labels, verses or titles.
MAX_WRAPPED_WIDTH = 200
MIN_WRAPPED_WIDTH = 24
MIN_WRAPPED_WIDTH_BEFORE_LOWERCASE = 12
MAX_HEADING_WIDTH = 80


class Border(IntEnum):
    """What lies between two neighbouring pieces of text; the higher, the better a place to cut."""

    CHARACTER = 0
    WORD = 1
    AFTER_HEADING = 2
    CLAUSE = 3
    SENTENCE = 4
    LINE = 5
    PARAGRAPH = 6
    BEFORE_HEADING = 7


class _Line(NamedTuple):
    start: int
    end: int
    after_blank: bool
    indent: int
    kind: Literal["heading", "item", "row", "text"]
    width: int


class Block(NamedTuple):
    """Lines that belong together; `is_whole` if no sentence ends inside, as in a heading or a table row."""

    start: int
    end: int
    border: Border
    is_whole: bool


_LINE = re.compile(r"[^\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_LINE_BREAK = re.compile(r"\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_ORDINAL = "[0-9〇零一二三四五六七八九十百千两]{1,8}"
_MARKED_HEADING = re.compile(r"#{1,6}\s")
_HEADING = re.compile(
    rf"第{_ORDINAL}[章节回卷编篇部集](?:[\s：:]|$)"
    r"|(?:CHAPTER|PART|BOOK|SECTION)\s+(?:\d+|[IVXLC]+)\b"
    r"|(?:Chapter|Part|Book|Section)\s+(?:\d+|[IVXLC]+)\s*(?:[.:—–-]|$)"
)
_ITEM = re.compile(
    r"[-*+•·‣▪◦●○■□–—]\s+\S"
    r"|\d{1,3}[.)]\s|\d{1,3}[、）．]|\d{1,3}(?:\.\d{1,3})+\.?\s+[A-Z\u4e00-\u9fff]"
    r"|[（(](?:\d{1,3}|[a-zA-Z]|[ivx]{1,5}|[一二三四五六七八九十]{1,4})[)）]|(?:[a-zA-Z]|[ivx]{2,5})\)\s"
    r"|[一二三四五六七八九十]{1,4}、|[①-⒇㈠-㈩]|\[\d{1,4}\]\s"
    rf"|第{_ORDINAL}条\s"
    r"|\[?\d{4}-\d\d-\d\d[T ]\d\d:"
)
_KEY_VALUE = re.compile(r"[^\s:：][^:：]{0,30}[:：]\s*\S")
_NEVER_FIRST = "，。、；：？！”’」』）》,;)"
_NEVER_LAST_IN_HEADING = ".!?。！？…;；,，、\"'”’」』)）"
_CELL_BORDERS = ("\t", " | ", "   ", ".....", ". . . .", "………")
_CSV_COMMAS = 3


def _kind(line: str, width: int) -> Literal["heading", "item", "row", "text"]:
    """Return what a line, stripped, looks like."""
    if _MARKED_HEADING.match(line):
        return "heading"
    if _is_row(line, width):
        return "row"
    if width <= MAX_HEADING_WIDTH and _HEADING.match(line) and line[-1] not in "。；，,;":
        return "heading"
    return "item" if _ITEM.match(line) else "text"


def _is_row(line: str, width: int) -> bool:
    """Tell whether a line is a row of a table, of comma-separated values, or of a table of contents."""
    if line[0] == "|":
        return True
    if width > MAX_WRAPPED_WIDTH:
        return False
    is_csv = line.count(",") >= _CSV_COMMAS and ", " not in line and "，" not in line
    return is_csv or any(border in line for border in _CELL_BORDERS)


def _width(line: str) -> int:
    """Return about how many columns a line takes, full-width characters counted twice."""
    return (len(line) + len(line.encode("utf-8", "surrogatepass"))) // 2


def _lines(text: str) -> Iterator[_Line]:
    previous_end = 0
    for match in _LINE.finditer(text):
        raw = match[0]
        line = raw.strip()
        if not line:
            continue
        indent = len(raw) - len(raw.lstrip())
        start = match.start() + indent
        breaks = text[previous_end:start]
        is_adjacent = previous_end > 0 and (breaks in ("\n", "\r\n") or len(_LINE_BREAK.split(breaks, 2)) == 2)  # noqa: PLR2004
        previous_end = start + len(line)
        width = _width(line)
        yield _Line(start, previous_end, not is_adjacent, indent, _kind(line, width), width)


def blocks(text: str) -> Iterator[Block]:
    """Yield the stretches of text that no line border cuts."""
    border = Border.PARAGRAPH
    first: _Line | None = None
    before: _Line | None = None
    for line, following in pairwise(chain(_lines(text), [None])):
        if line is None:
            break
        first = first or line
        if not (following and _is_wrapped(text, before, line, following)):
            yield Block(first.start, line.end, border, line.kind in ("heading", "row"))
            if following:
                border = _border_between(text, line, following, is_alone=first is line)
            first = None
        before = line


def _is_wrapped(text: str, before: _Line | None, line: _Line, following: _Line) -> bool:
    """Tell whether the prose of a line goes on in the following one.

    It does if a line wrapper may have broken it: it is about as wide as the lines around it, or the following one
    begins as no sentence does.
    """
    if following.after_blank or following.kind != "text" or line.kind not in ("text", "item"):
        return False
    first = text[following.start]
    if first in _NEVER_FIRST:
        return True
    if not MIN_WRAPPED_WIDTH_BEFORE_LOWERCASE <= line.width <= MAX_WRAPPED_WIDTH:
        return False
    if first.islower():
        return True
    if _KEY_VALUE.match(text, line.start, line.end) and _KEY_VALUE.match(text, following.start, following.end):
        return False
    width_before = before.width if before and not line.after_blank else 0
    return line.width >= max(MIN_WRAPPED_WIDTH, 0.7 * width_before, 0.7 * following.width)


def _border_between(text: str, line: _Line, following: _Line, *, is_alone: bool) -> Border:
    is_nested = line.kind == following.kind == "item" and following.indent > line.indent
    if is_nested or (is_alone and _leads_on(text, line)):
        return Border.AFTER_HEADING
    if following.kind == "heading" or (following.after_blank and _leads_on(text, following)):
        return Border.BEFORE_HEADING
    return Border.PARAGRAPH if following.after_blank or following.indent < line.indent else Border.LINE


def _leads_on(text: str, line: _Line) -> bool:
    """Tell whether a line is a heading, or introduces what follows it as one does."""
    last = text[line.end - 1]
    if line.kind == "heading" or last in ":：":
        return True
    is_title = line.after_blank and line.kind == "text" and line.width <= MAX_HEADING_WIDTH
    return is_title and last not in _NEVER_LAST_IN_HEADING
