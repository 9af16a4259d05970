"""What the fuzzer begins with: a small file of every format, and real ones where they are at hand."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import docx
import openpyxl
import pptx
from document_pdfs import hello
from pptx.util import Inches

if TYPE_CHECKING:
    from collections.abc import Callable

REAL_DOCUMENTS: Final = Path(__file__).parents[3] / "shared" / "loader_docs"
LARGEST: Final = 700_000
"""Bytes of a real document; larger ones take too long to be tried often."""

NOTE: Final = """---
title: The Lamp 灯
aliases: [Old Lamp, &a 老灯]
tags:
  - area/topic
date: 2024-02-30
---
# A note

Text with [[Note#Heading|a link]], #a/tag and `code`. 中文。

| a | b |
|---|---|
| 1 | 2 |
"""
PAGE: Final = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>t</title><style>p {}</style></head><body>
<nav>n</nav><h1>Head <b>line</b></h1><p style="display: block">Text &amp; &nbsp;more<br>line</p>
<ul><li>a<ol start=3><li>b</ol></ul>
<table><caption>c</caption><tr><th>Name<th>Year<tr><td>X<td>2019<tr><td colspan=2><p>a<p>b</table><pre>  x
  y</pre><q>said</q><script>x()</script></body></html>"""
CHAPTER: Final = '<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>I</h1><p>{}</p></body></html>'
BOOK: Final = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/b.opf"/></rootfiles></container>',
    "META-INF/encryption.xml": '<e xmlns:n="urn:n"><n:EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/></e>',
    "OPS/b.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml" media-type='
    '"application/xhtml+xml"/><item id="b" href="b%20b.xhtml" media-type="application/xhtml+xml" properties="svg"/>'
    '</manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
    "OPS/a.xhtml": CHAPTER.format("First."),
    "OPS/b b.xhtml": CHAPTER.format("第二。"),
}


def archive(members: dict[str, str] | dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            # A book is known by its first bytes.
            file.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """Return what a library saves."""
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def word_document() -> bytes:
    """Return a document with a heading, a list, and a table whose cells are merged in both directions."""
    document = docx.Document()
    document.add_heading("Report", level=2)
    document.add_paragraph("Point", style="List Bullet")
    table = document.add_table(rows=3, cols=3)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"cell {number}"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 2).merge(table.cell(2, 2))
    return saved(document.save)


def workbook() -> bytes:
    """Return a workbook with two sheets."""
    book = openpyxl.Workbook()
    book.active.append(["Name", "Year", "Share"])
    book.active.append(["X", 2019, 0.25])
    book.active["C2"].number_format = "0.0%"
    book.create_sheet("第二").append(["=1+1", True, "text\nlines"])
    return saved(book.save)


def presentation() -> bytes:
    """Return a presentation with a title, a group, a table and notes."""
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Results"
    box = (Inches(1), Inches(1), Inches(3), Inches(1))
    slide.shapes.add_group_shape().shapes.add_textbox(*box).text_frame.text = "Grouped"
    slide.shapes.add_table(2, 2, *box).table.cell(0, 0).text = "Name"
    slide.notes_slide.notes_text_frame.text = "Say thanks."
    return saved(show.save)


def small_files() -> dict[str, bytes]:
    """Return a file of every format, by name."""
    return {
        "note.md": NOTE.encode(),
        "windows.txt": ("\ufeff" + NOTE.replace("\n", "\r\n")).encode("utf-16-le"),
        "chinese.txt": ("公司名称：华夏科技有限公司。" * 9).encode("gb18030"),
        "table.csv": 'Name;Note\r\nX;"a, b\nc"\r\n;\r\n第;2019\r\n'.encode(),
        "page.html": PAGE.encode(),
        "letter.docx": word_document(),
        "book.xlsx": workbook(),
        "show.pptx": presentation(),
        "novel.epub": archive(BOOK),
        "paper.pdf": hello("A page of text.", "Another, with a docu-\nment.", ""),
    }


def real_files() -> dict[str, bytes]:
    """Return real documents, by name, PDFs with their streams unpacked as well; none where they are not at hand."""
    paths = sorted(REAL_DOCUMENTS.iterdir()) if REAL_DOCUMENTS.is_dir() else []
    files = {path.name: path.read_bytes() for path in paths if path.stat().st_size <= LARGEST}
    plain = {f"plain-{name}": _STREAM.sub(_unpacked, data) for name, data in files.items() if name.endswith(".pdf")}
    return files | plain


_STREAM: Final = re.compile(
    rb"/FlateDecode(?P<entries>[^/]{0,40}/?[^>]{0,200}>>\s*stream\r?\n)(?P<data>.*?)endstream", re.DOTALL
)


def _unpacked(stream: re.Match[bytes]) -> bytes:
    """Return a stream without its packing, which no change by chance would survive. Readers find out its length."""
    try:
        return b"/None" + stream["entries"] + zlib.decompress(stream["data"]) + b"\nendstream"
    except zlib.error:
        return stream[0]
