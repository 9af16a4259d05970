"""One reader per file format: bytes or decoded text in, sections of plain text out.

A reader knows its format and nothing of paths, folders or Documents; `document_loaders` does the rest. Every failure of
a parsing library leaves here as one of the `DocumentError`s. The libraries are imported inside the readers, because
together they take longer to import than most questions take to start.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
import threading
import unicodedata
import warnings
import zipfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from langchain_qwen_longctx.errors import (
    BrokenDocumentError,
    DocumentError,
    EncryptedDocumentError,
    ScannedDocumentError,
    UnsupportedDocumentError,
)
from langchain_qwen_longctx.table_formats import Row, csv_rows, one_line, sheet_rows, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OLE_MAGIC = bytes.fromhex("D0CF11E0A1B11AE1")
MAX_UNPACKED_BYTES = 1024**3

# PDFium is not thread safe, not even across documents.
_PDFIUM_LOCK = threading.Lock()

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


class Section(NamedTuple):
    """A page, a slide, a sheet, or a whole file, as plain text."""

    text: str
    page: int | None = None
    sheet: str | None = None


@contextmanager
def _damage_reported(source: str, kind: str) -> Iterator[None]:
    """Turn whatever a parser raises on a malformed file into a `BrokenDocumentError`.

    python-docx, python-pptx, openpyxl and lxml have no error tree: a damaged part surfaces as KeyError, TypeError,
    AttributeError, zlib.error, SyntaxError and more, so this is the one place that catches them all.
    """
    try:
        yield
    except DocumentError:
        raise
    except Exception as error:
        problem = f"this {kind} is damaged ({type(error).__name__}: {error}); open it in its program and save it again"
        raise BrokenDocumentError(source, problem) from error


def read_pdf(data: bytes, source: str) -> list[Section]:
    """Read the text layer of a PDF, one section a page, with wrapped lines joined again.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        BrokenDocumentError: PDFium cannot open it or one of its pages.
        ScannedDocumentError: No page has a text layer.
    """
    pages = [text.replace("\r\n", "\n") for text in _pdf_page_texts(data, source)]
    if not any(page.strip() for page in pages):
        problem = "no page has a text layer (scanned?); recognise its text first, e.g. `ocrmypdf in.pdf out.pdf`"
        raise ScannedDocumentError(source, problem)
    words = {word for page in pages for word in _WORD.findall(_BROKEN_WORD.sub(" ", page))}
    return [Section(_clean_pdf_text(page, words), page=number) for number, page in enumerate(pages, start=1)]


def _pdf_page_texts(data: bytes, source: str) -> list[str]:
    import pypdfium2  # noqa: PLC0415
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY, FPDF_GetLastError  # noqa: PLC0415

    with _PDFIUM_LOCK:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if FPDF_GetLastError() in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY):
                problem = "a password protects this PDF; save a copy without one, e.g. `qpdf --decrypt in.pdf out.pdf`"
                raise EncryptedDocumentError(source, problem) from error
            problem = f"not a PDF, or a damaged one ({error}); check that it opens in a viewer"
            raise BrokenDocumentError(source, problem) from error
        try:
            with closing(pdf):
                return [_pdf_page_text(pdf, index) for index in range(len(pdf))]
        except pypdfium2.PdfiumError as error:
            problem = f"a page of this PDF is damaged ({error}); repair it, e.g. `qpdf in.pdf out.pdf`"
            raise BrokenDocumentError(source, problem) from error


def _pdf_page_text(pdf: Any, index: int) -> str:  # noqa: ANN401 - pypdfium2 is untyped
    with closing(pdf[index]) as page, closing(page.get_textpage()) as textpage:
        return str(textpage.get_text_bounded())


# PDFium writes U+0002 or U+FFFE for a hyphen at the end of a line and leaves out the line break.
_BROKEN_WORD = re.compile(r"(\w+)[\x02\ufffe\xad]\s*(\w+)")
_WORD = re.compile(r"\w+")
# Control characters come from fonts without a Unicode map; ligatures, Kangxi radicals and compatibility ideographs are
# drawn like the letters they stand for, but no search would find them.
_PDF_CHARACTERS: dict[int, str | None] = {
    **{code: None for code in (*range(0x20), *range(0x7F, 0xA0), 0xAD, 0xFFFE, 0xFFFF) if chr(code) not in "\t\n"},
    **{
        code: unicodedata.normalize("NFKC", chr(code))
        for code in (*range(0x2E80, 0x2FE0), *range(0xF900, 0xFB00), *range(0xFB00, 0xFB07))
    },
}


def _clean_pdf_text(text: str, words: set[str]) -> str:
    def mend(match: re.Match[str]) -> str:
        left, right = match.groups()
        is_compound = right in words and left + right not in words
        return f"{left}-{right}" if is_compound or not (left + right).isalpha() else left + right

    text = _join_wrapped_lines(_BROKEN_WORD.sub(mend, text).translate(_PDF_CHARACTERS))
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


_CJK = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60"
_CJK_WRAP = re.compile(rf"[{_CJK}](?<![。！？：；])\n[{_CJK}]")
# A word of prose in small letters; neither `an_identifier`, nor a lone letter that a symbol font draws as a bullet.
_PROSE_START = re.compile(r"(?:a|[^\W\d_A-Z]{2,})(?:['’-]\w+)*[,.;:!?)\"”’]*(?:\s|$)")
_MIN_WRAPPED_COLUMNS = 40


def _join_wrapped_lines(text: str) -> str:
    """Join a line that fills its column with the next where that one clearly goes on with the sentence.

    Clearly means: Chinese or Japanese on both sides, or a Latin line that begins with a small letter. Other line breaks
    stay, so that lists, verses, code and tables keep their shape.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    widths = [len(line) + sum(character >= "\u2e80" for character in line) for line in lines]
    typical = sorted(widths)[len(widths) * 9 // 10]
    joined = lines[0]
    for width, before, line in zip(widths, lines, lines[1:], strict=False):
        if typical >= _MIN_WRAPPED_COLUMNS and before and line:
            if width >= 0.9 * typical and _CJK_WRAP.fullmatch(f"{before[-1]}\n{line[0]}"):
                joined += line
                continue
            if width >= 0.7 * typical and line[0].islower() and _PROSE_START.match(line) and before[-1] not in ".!?:;":
                joined += f" {line}"
                continue
        joined += f"\n{line}"
    return joined


def is_encrypted_office(data: bytes) -> bool:
    """Tell whether this is an Office file with a password: it is then wrapped in the old binary container."""
    return data.startswith(OLE_MAGIC) and "EncryptedPackage".encode("utf-16-le") in data


def _check_archive(data: bytes, source: str, kind: str) -> None:
    """Refuse, before any parser sees it, what is not an intact, plain, reasonably sized zip archive."""
    if data.startswith(OLE_MAGIC):
        if is_encrypted_office(data):
            raise EncryptedDocumentError(source, "a password protects this file; save a copy without one")
        problem = f"the contents are of the old binary Office format, not a {kind}; save it in the new format"
        raise UnsupportedDocumentError(source, problem)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        problem = f"not a {kind}, or a damaged one ({error}); check that it opens in its program"
        raise BrokenDocumentError(source, problem) from error
    if any(member.flag_bits & 1 for member in members):
        raise EncryptedDocumentError(source, "a password protects this file; save a copy without one")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED_BYTES:
        problem = f"unpacks to {unpacked:,} bytes, more than the limit of {MAX_UNPACKED_BYTES:,}; split the file"
        raise BrokenDocumentError(source, problem)


def read_csv(text: str, source: str) -> list[Section]:
    """Read delimited text as rows, numbered as a spreadsheet numbers them; the delimiter is found out.

    Raises:
        BrokenDocumentError: A field is too large, or quoting goes wrong.
    """
    try:
        rows = csv_rows(text.removeprefix("\ufeff"))
    except csv.Error as error:
        problem = f"not a delimited table ({error}); rename it to .txt to read it as plain text"
        raise BrokenDocumentError(source, problem) from error
    return [Section("\n".join(table_lines(rows)))]


def read_xlsx(data: bytes, source: str) -> list[Section]:
    """Read a workbook, one section a sheet: its name as a heading, then one line a row.

    Formulas count by the value last calculated; cells of a percent format read as percentages.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        BrokenDocumentError: It is not a workbook, or a damaged one.
    """
    _check_archive(data, source, "XLSX workbook")
    from openpyxl import load_workbook  # noqa: PLC0415

    with _damage_reported(source, "XLSX workbook"), warnings.catch_warnings():
        # openpyxl warns of every feature it does not keep when saving; nothing is saved here.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"openpyxl\.")
        with closing(load_workbook(io.BytesIO(data), read_only=True, data_only=True)) as workbook:
            sheets = [(sheet.title, sheet_rows(sheet)) for sheet in workbook.worksheets]
    return [
        Section("\n".join([f"# {title}", "", *lines]), sheet=title)
        for title, rows in sheets
        if (lines := table_lines(rows))
    ]


def read_docx(data: bytes, source: str) -> list[Section]:
    """Read a Word document in reading order: headings with Markdown's `#`, lists with `- `, tables row by row.

    Text boxes and content controls are read where they stand; headers, footers, footnotes and deleted text are not.
    A cell merged over several columns is written once; one merged over several rows is written in each of them.

    Raises:
        EncryptedDocumentError: A password is needed to open it.
        UnsupportedDocumentError: It is an old .doc under a new name.
        BrokenDocumentError: It is not a Word document, or a damaged one.
    """
    _check_archive(data, source, "DOCX document")
    import docx  # noqa: PLC0415

    with _damage_reported(source, "DOCX document"):
        document = docx.Document(io.BytesIO(data))
        prefixes = {style.style_id: _style_prefix(style) for style in document.styles}
        # `Document.iter_inner_content` passes over what stands in content controls and text boxes.
        blocks = document.element.body.xpath(
            ".//*[self::w:p or self::w:tbl][not(ancestor::w:tbl)][not(ancestor::*[local-name()='Fallback'])]"
        )
        texts = [_docx_table(block) if block.tag.endswith("}tbl") else _docx_line(block, prefixes) for block in blocks]
    return [Section("\n\n".join(text for text in texts if text))]


def _style_prefix(style: Any) -> str:  # noqa: ANN401 - python-docx hands out styles of four unrelated types
    while style is not None:
        name = style.name or ""
        if heading := re.fullmatch(r"Heading (\d)", name):
            return "#" * min(int(heading[1]), 6) + " "
        if name == "Title":
            return "# "
        if name.startswith("List "):
            return "- "
        style = getattr(style, "base_style", None)
    return ""


def _docx_line(paragraph: Any, prefixes: dict[str, str]) -> str:  # noqa: ANN401 - an lxml element
    text = "".join(_run_texts(paragraph)).strip()
    is_listed = paragraph.pPr is not None and paragraph.pPr.numPr is not None
    prefix = prefixes.get(paragraph.style, "") or ("- " if is_listed else "")
    return prefix + (one_line(text) if prefix else text) if text else ""


_RUN_HOLDERS = ("hyperlink", "ins", "moveTo", "smartTag", "fldSimple", "sdt", "sdtContent")


def _run_texts(element: Any) -> Iterator[str]:  # noqa: ANN401 - an lxml element
    for child in element.iterchildren("{*}r", *(f"{{*}}{holder}" for holder in _RUN_HOLDERS)):
        if child.tag.endswith("}r"):
            yield child.text
        else:
            yield from _run_texts(child)


def _docx_table(table: Any) -> str:  # noqa: ANN401 - an lxml element
    rows, above = [], dict[int, str]()
    for row in table.xpath("./w:tr | ./w:sdt/w:sdtContent/w:tr"):
        values, names = [""] * row.grid_before, [""] * row.grid_before
        for cell in row.xpath("./w:tc | ./w:sdt/w:sdtContent/w:tc"):
            column, span = len(values), cell.grid_span
            text = above.get(column, "") if cell.vMerge == "continue" else _docx_cell(cell)
            above[column] = text
            values += [text] + [""] * (span - 1)
            names += [text] * span
        rows.append(Row(values, names))
    return "\n".join(table_lines(rows))


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
    _check_archive(data, source, "PPTX presentation")
    from pptx import Presentation  # noqa: PLC0415

    with _damage_reported(source, "PPTX presentation"):
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
            rows = [[one_line(cell.text) for cell in row.cells] for row in shape.table.rows]
            yield "\n".join(table_lines([Row(row, row) for row in rows]))


def read_html(text: str, source: str) -> list[Section]:
    """Read a page as a browser shows it: headings with Markdown's `#`, table rows as `a | b`, no scripts, no menus.

    Raises:
        BrokenDocumentError: lxml cannot parse it.
    """
    with _damage_reported(source, "HTML page"):
        return [Section(_html_text(text))]


_HIDDEN_TAGS = ("nav", "noscript", "template", "button", "svg", "select", "iframe")
_HEADING_TAG = re.compile(r"<h([1-6])(?:\s[^>]*)?>", re.IGNORECASE)
_PADDING = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_TRAILING_SPACE = re.compile(r"[ \t]+$", re.MULTILINE)
_LINES_WITHOUT_TEXT = re.compile(r"^(?:#{1,6}|[ \t|]*\|[ \t|]*|[ \t]+\*)\n", re.MULTILINE)


def _html_text(html: str) -> str:
    from inscriptis import get_text  # noqa: PLC0415
    from inscriptis.css_profiles import STRICT_CSS_PROFILE  # noqa: PLC0415
    from inscriptis.html_properties import Display  # noqa: PLC0415
    from inscriptis.model.config import ParserConfig  # noqa: PLC0415
    from inscriptis.model.html_element import HtmlElement  # noqa: PLC0415

    hidden = {tag: HtmlElement(display=Display.none) for tag in _HIDDEN_TAGS}
    config = ParserConfig(css={**STRICT_CSS_PROFILE, **hidden}, table_cell_separator=" | ")
    # Written into the text, because inscriptis repeats a prefix after every inline tag within the heading.
    marked = _HEADING_TAG.sub(lambda tag: f"{tag[0]}{'#' * int(tag[1])} ", html.removeprefix("\ufeff"))
    text = _TRAILING_SPACE.sub("", get_text(marked, config))
    return _BLANK_LINES.sub("\n\n", _LINES_WITHOUT_TEXT.sub("", _PADDING.sub(" ", text)))


def read_epub(data: bytes, source: str) -> list[Section]:
    """Read the chapters of a book in the order of its spine, without the table of contents, as one section.

    Raises:
        EncryptedDocumentError: Digital rights management protects it.
        BrokenDocumentError: It is not an EPUB, or it lacks a chapter that it lists.
    """
    _check_archive(data, source, "EPUB book")
    with _damage_reported(source, "EPUB book"), zipfile.ZipFile(io.BytesIO(data)) as book:
        if _is_protected(book):
            raise EncryptedDocumentError(source, "digital rights management protects this book; use a free copy")
        chapters = [_html_text(_decode_xhtml(book.read(path))).strip("\n") for path in _spine(book)]
    return [Section("\n\n".join(chapter for chapter in chapters if chapter.strip()))]


def _is_protected(book: zipfile.ZipFile) -> bool:
    """Tell whether more than fonts is encrypted; scrambled fonts are usual in free books."""
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415

    if "META-INF/encryption.xml" not in book.namelist():
        return False
    encryption = fromstring(book.read("META-INF/encryption.xml"))
    algorithms = [method.get("Algorithm", "") for method in encryption.iterfind(".//{*}EncryptionMethod")]
    return not all(algorithm.endswith(("ns.adobe.com/pdf/enc#RC", "2008/embedding")) for algorithm in algorithms)


def _spine(book: zipfile.ZipFile) -> list[str]:
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415

    container = fromstring(book.read("META-INF/container.xml"))
    package_path = container.find(".//{*}rootfile").get("full-path")
    package = fromstring(book.read(package_path))
    manifest = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    items = [manifest[reference.get("idref")] for reference in package.iterfind("{*}spine/{*}itemref")]
    return [
        posixpath.normpath(posixpath.join(posixpath.dirname(package_path), unquote(item.get("href"))))
        for item in items
        if "html" in item.get("media-type", "") and "nav" not in item.get("properties", "").split()
    ]


def _decode_xhtml(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    return data.decode(encoding, errors="replace")
