"""HTML to the text that a browser shows: blocks on lines of their own, headings with `#`, tables row by row.

The parser tells of tags as it meets them, and no tree is made: time and memory grow with the length of a page and with
nothing else, whatever is nested in whatever. libxml2's tree ends without a word where tags are 256 deep, as they are in
pages that never close a `<font>`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.sections import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

_HIDDEN: Final = frozenset(
    ("title", "style", "script", "nav", "noscript", "template", "button", "svg", "select", "iframe")
)
_PARAGRAPHS: Final = frozenset(("p", "figure", "h1", "h2", "h3", "h4", "h5", "h6"))
_BLOCKS: Final = _PARAGRAPHS | {
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl"),
    *("dt", "fieldset", "figcaption", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li", "listing"),
    *("main", "ol", "plaintext", "pre", "search", "section", "summary", "table", "tr", "ul", "xmp"),
}
_HEADINGS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_VERBATIM: Final = frozenset(("pre", "listing", "plaintext", "xmp"))
_CELLS: Final = frozenset(("td", "th"))
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_NOT_DISPLAYED: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)

MAX_INDENTED: Final = 8
"""Lists in lists that are indented; what is deeper stands below those."""

MAX_TABLES: Final = 8
"""Tables in tables whose cells are told apart: each takes the whole text of a cell in hand once more."""


def read_html(text: str, source: str) -> list[Section]:  # noqa: ARG001 - as all readers have it
    """Read a page as a browser shows it: headings with Markdown's `#`, table rows as `a | b`, no scripts, no menus."""
    return [Section(html_text(text))]


def html_text(html: str) -> str:
    """Return the text of a page."""
    from lxml.etree import HTMLParser  # noqa: PLC0415 - takes time to load

    parser = HTMLParser(target=_Page(), encoding="utf-8", huge_tree=True)
    parser.feed(html.removeprefix("\ufeff").encode("utf-8", "replace"))
    return str(parser.close())


class _Flow:
    """Lines that run down a page or a table cell, with at most one blank line between two of them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.mark = ""
        self._words: list[str] = []
        self._is_apart = False

    def write(self, text: str) -> None:
        self._words.append(text)

    def end_line(self, *, is_verbatim: bool) -> bool:
        """End the line, and tell whether there was any text in it: a mark alone waits for some."""
        text = "".join(self._words)
        text = text.rstrip() if is_verbatim else " ".join(text.split())
        self._words.clear()
        if text:
            self.add([self.mark + text])
            self.mark = ""
        return bool(text)

    def leave_blank(self) -> None:
        """Leave a blank line before the next one."""
        self._is_apart = True

    def add(self, lines: list[str]) -> None:
        if self._is_apart and self.lines:
            self.lines.append("")
        self._is_apart = False
        self.lines += lines

    def add_row(self, cells: list[_Flow]) -> None:
        """Add a row of a table as one line; if there are paragraphs in it, it is there for the layout alone."""
        filled = [cell.lines for cell in cells if cell.lines]
        if len(filled) > 1 and not any("" in lines for lines in filled):
            self.add([" | ".join(" ".join(cell.lines) for cell in cells).strip()])
            return
        for number, lines in enumerate(filled):
            self._is_apart |= number > 0
            self.add(lines)


class _Page:
    """Takes what the parser meets. Every start has its end: the parser closes what a page leaves open."""

    def __init__(self) -> None:
        self._flows = [_Flow()]
        self._tables: list[list[list[_Flow]] | None] = []
        self._numbers: list[int | None] = []
        self._hidden = self._verbatim = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._hidden or tag in _HIDDEN or _NOT_DISPLAYED.search(attributes.get("style", "")):
            self._hidden += 1
        elif tag in _CELLS:
            self._start_cell()
        elif tag in _BLOCKS:
            self._start_block(tag, attributes)
        elif tag == "br":
            self._break_line()
        elif tag == "q":
            self._flows[-1].write('"')

    def end(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= 1
        elif tag in _CELLS:
            self._end_cell()
        elif tag in _BLOCKS:
            self._end_block(tag)
        elif tag == "q":
            self._flows[-1].write('"')

    def data(self, text: str) -> None:
        if self._hidden:
            return
        for number, part in enumerate(text.split("\n") if self._verbatim else [text]):
            if number:
                self._break_line()
            self._flows[-1].write(part)

    def close(self) -> str:
        self._end_line()
        return "\n".join(self._flows[0].lines)

    def _end_line(self) -> bool:
        return self._flows[-1].end_line(is_verbatim=self._verbatim > 0)

    def _break_line(self) -> None:
        flow = self._flows[-1]
        if flow.mark in _HEADINGS.values():
            flow.write(" ")
        elif not self._end_line():
            flow.leave_blank()

    def _start_block(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._end_line()
        flow = self._flows[-1]
        if tag in _PARAGRAPHS:
            flow.leave_blank()
            flow.mark = _HEADINGS.get(tag, flow.mark)
        elif tag in _VERBATIM:
            self._verbatim += 1
        elif tag == "ul":
            self._numbers.append(None)
        elif tag == "ol":
            self._numbers.append(_number(attributes.get("start"), 1))
        elif tag == "li":
            flow.mark = self._bullet(attributes)
        elif tag == "table":
            self._tables.append([] if len(self._tables) < MAX_TABLES else None)
        elif tag == "tr" and self._tables and self._tables[-1] is not None:
            self._tables[-1].append([])

    def _end_block(self, tag: str) -> None:
        self._end_line()
        flow = self._flows[-1]
        if tag in _PARAGRAPHS:
            flow.leave_blank()
        if tag in _HEADINGS or tag == "li":
            flow.mark = ""
        elif tag in _VERBATIM:
            self._verbatim -= 1
        elif tag in ("ul", "ol"):
            self._numbers.pop()
        elif tag == "table":
            flow.leave_blank()
            for row in self._tables.pop() or ():
                flow.add_row(row)
            flow.leave_blank()

    def _bullet(self, attributes: Mapping[str, str]) -> str:
        indent = "  " * (min(len(self._numbers), MAX_INDENTED) - 1)
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return f"{indent}- "
        number = _number(attributes.get("value"), number)
        self._numbers[-1] = number + 1
        return f"{indent}{number}. "

    def _start_cell(self) -> None:
        self._end_line()
        table = self._tables[-1] if self._tables else None
        if table is not None:
            if not table:
                table.append([])
            self._flows.append(_Flow())
            table[-1].append(self._flows[-1])

    def _end_cell(self) -> None:
        self._end_line()
        if self._tables and self._tables[-1] is not None:
            self._flows.pop()


def _number(written: str | None, otherwise: int) -> int:
    return int(written) if written and _NUMBER.fullmatch(written) else otherwise
