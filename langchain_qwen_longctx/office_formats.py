"""Word, Excel and PowerPoint files to text in reading order.

A reader knows its format and nothing of paths, folders or Documents; `document_loaders` does the rest. The libraries
are imported inside the readers, because together they take longer to import than most questions take to start.
"""

from __future__ import annotations

import io
import re
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.archives import check_archive
from langchain_qwen_longctx.sections import Section, damage_reported, limited
from langchain_qwen_longctx.table_formats import Row, one_line, sheet_rows, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_STYLE_BASES: Final = 32
"""Styles looked at for what a style is; Word itself ends such chains earlier."""

MAX_SPAN: Final = 63
"""Columns of a table in Word, and so of a cell that is merged over several."""


def read_xlsx(data: bytes, source: str) -> list[Section]:
    """Read a workbook, one section a sheet: its name as a heading, then one line a row.

    Formulas count by the value last calculated; cells of a percent format read as percentages.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        BrokenDocumentError: It is not a workbook, a damaged one, or has too much text.
    """
    check_archive(data, source, "XLSX workbook")
    from openpyxl import load_workbook  # noqa: PLC0415

    with damage_reported(source, "XLSX workbook"), warnings.catch_warnings():
        # openpyxl warns of every feature it does not keep when saving; nothing is saved here.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\.")
        with closing(load_workbook(io.BytesIO(data), read_only=True, data_only=True)) as workbook:
            sheets = [
                (sheet.title, "\n".join(limited(table_lines(sheet_rows(sheet)), source)))
                for sheet in workbook.worksheets
            ]
    return [Section(f"# {title}\n\n{text}", sheet=title) for title, text in sheets if text]


def read_docx(data: bytes, source: str) -> list[Section]:
    """Read a Word document in reading order: headings with Markdown's `#`, lists with `- `, tables row by row.

    Text boxes and content controls are read where they stand; headers, footers, footnotes and deleted text are not.
    A cell merged over several columns is written once; one merged over several rows is written in each of them.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        UnsupportedDocumentError: It is an old .doc under a new name.
        BrokenDocumentError: It is not a Word document, a damaged one, or has too much text.
    """
    check_archive(data, source, "DOCX document")
    import docx  # noqa: PLC0415

    with damage_reported(source, "DOCX document"):
        document = docx.Document(io.BytesIO(data))
        prefixes = _style_prefixes(document.styles.element)
        # `Document.iter_inner_content` passes over what stands in content controls and text boxes.
        blocks = document.element.body.xpath(
            ".//*[self::w:p or self::w:tbl][not(ancestor::w:tbl)][not(ancestor::*[local-name()='Fallback'])]"
        )
        texts = (
            "\n".join(limited(table_lines(_docx_rows(block)), source))
            if block.tag.endswith("}tbl")
            else _docx_line(block, prefixes)
            for block in blocks
        )
        return [Section("\n\n".join(limited(filter(None, texts), source)))]


def _style_prefixes(styles: Any) -> dict[str, str]:  # noqa: ANN401 - an lxml element
    """Return what paragraphs begin with by the ids of their styles."""
    told = {style.styleId: (style.name_val or "", style.basedOn_val) for style in styles.style_lst}
    return {identifier: _style_prefix(identifier, told) for identifier in told}


def _style_prefix(identifier: str | None, told: dict[str | None, tuple[str, str | None]]) -> str:
    """Return what paragraphs of a style begin with, by its name or that of the nearest style it is based on.

    Args:
        identifier: The style's id.
        told: The name of each style, and the id of the style it is based on, which may be itself.
    """
    for _ in range(MAX_STYLE_BASES):
        name, identifier = told.get(identifier, ("", None))
        if heading := re.fullmatch(r"[Hh]eading (\d)", name):
            return "#" * min(int(heading[1]), 6) + " "
        if name == "Title":
            return "# "
        if name.startswith("List "):
            return "- "
    return ""


def _docx_line(paragraph: Any, prefixes: dict[str, str]) -> str:  # noqa: ANN401 - an lxml element
    text = "".join(_run_texts(paragraph)).strip()
    is_listed = paragraph.pPr is not None and paragraph.pPr.numPr is not None
    prefix = prefixes.get(paragraph.style, "") or ("- " if is_listed else "")
    return prefix + (one_line(text) if prefix else text) if text else ""


_RUN_HOLDERS: Final = ("hyperlink", "ins", "moveTo", "smartTag", "fldSimple", "sdt", "sdtContent")


def _run_texts(element: Any) -> Iterator[str]:  # noqa: ANN401 - an lxml element
    for child in element.iterchildren("{*}r", *(f"{{*}}{holder}" for holder in _RUN_HOLDERS)):
        if child.tag.endswith("}r"):
            yield child.text
        else:
            yield from _run_texts(child)


def _docx_rows(table: Any) -> Iterator[Row]:  # noqa: ANN401 - an lxml element
    above = dict[int, str]()
    for row in table.xpath("./w:tr | ./w:sdt/w:sdtContent/w:tr"):
        values = [""] * min(row.grid_before, MAX_SPAN)
        names = values.copy()
        for cell in row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc"):
            column, span = len(values), min(cell.grid_span, MAX_SPAN)
            text = above.get(column, "") if cell.vMerge == "continue" else _docx_cell(cell)
            above[column] = text
            values += [text] + [""] * (span - 1)
            names += [text] * span
        yield Row(values, names)


def _docx_cell(cell: Any) -> str:  # noqa: ANN401 - an lxml element
    paragraphs = cell.xpath(".//w:p[not(ancestor::*[local-name()='Fallback'])]")
    return one_line(" ".join("".join(_run_texts(paragraph)) for paragraph in paragraphs))


def read_pptx(data: bytes, source: str) -> list[Section]:
    """Read a presentation, one section a slide: its title as a heading, texts, tables, and the speaker's notes.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        UnsupportedDocumentError: It is an old .ppt under a new name.
        BrokenDocumentError: It is not a presentation, or a damaged one.
    """
    check_archive(data, source, "PPTX presentation")
    from pptx import Presentation  # noqa: PLC0415

    with damage_reported(source, "PPTX presentation"):
        slides = Presentation(io.BytesIO(data)).slides
        return [Section(_slide_text(slide), page=number) for number, slide in enumerate(slides, start=1)]


def _slide_text(slide: Any) -> str:  # noqa: ANN401 - python-pptx's types end at its shapes
    title = slide.shapes.title
    texts = [f"# {one_line(title.text_frame.text)}" if title is not None and title.text_frame.text.strip() else ""]
    texts += _shape_texts(shape for shape in slide.shapes if title is None or shape.shape_id != title.shape_id)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        texts.append(f"Notes: {frame.text.strip()}")
    # python-pptx gives a line break inside a paragraph as a vertical tab.
    return "\n\n".join(text for text in texts if text).replace("\v", "\n")


def _shape_texts(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shape_texts(shape.shapes)
        elif shape.has_text_frame:
            yield shape.text_frame.text.strip()
        elif getattr(shape, "has_table", False):
            # python-pptx's own way counts all rows anew for each of them.
            elements = shape.table._tbl.tr_lst  # noqa: SLF001
            rows = ([one_line(cell.text) for cell in row.tc_lst] for row in elements)
            yield "\n".join(table_lines(Row(row, row) for row in rows))
