"""The text layer of a PDF, page by page, with the lines and words that its layout broke put together again."""

from __future__ import annotations

import re
import threading
import unicodedata
from contextlib import closing
from typing import Any, Final

from langchain_qwen_longctx.errors import BrokenDocumentError, EncryptedDocumentError, ScannedDocumentError
from langchain_qwen_longctx.sections import Section

# PDFium is not thread safe, not even across documents.
_PDFIUM_LOCK: Final = threading.Lock()

_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*\n){2,}")


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
_BROKEN_WORD: Final = re.compile(r"\b(\w++)[\x02\ufffe\xad]\s*(\w++)")
_WORD: Final = re.compile(r"\w+")
# Control characters come from fonts without a Unicode map; ligatures, Kangxi radicals and compatibility ideographs are
# drawn like the letters they stand for, but no search would find them.
_PDF_CHARACTERS: Final[dict[int, str | None]] = {
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


_CJK: Final = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff60"
_CJK_WRAP: Final = re.compile(rf"[{_CJK}](?<![。！？：；])\n[{_CJK}]")
# A word of prose in small letters; neither `an_identifier`, nor a lone letter that a symbol font draws as a bullet.
_PROSE_START: Final = re.compile(r"(?:a|[^\W\d_A-Z]{2,})(?:['’-]\w+)*[,.;:!?)\"”’]*(?:\s|$)")
_MIN_WRAPPED_COLUMNS: Final = 40


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
