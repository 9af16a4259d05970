from __future__ import annotations

import contextlib
import copy
import datetime as dt
import errno
import io
import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import docx
import openpyxl
import pptx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import given
from hypothesis import strategies as st
from pptx.util import Inches

from langchain_qwen_longctx import archives, document_loaders, pdf_pages, reading_apart, sections
from langchain_qwen_longctx.document_loaders import (
    SkippedDocumentWarning,
    find_files,
    load_bytes,
    load_documents,
    load_file,
    read_bytes,
    source_text,
)
from langchain_qwen_longctx.errors import (
    BrokenDocumentError,
    DocumentError,
    DocumentNotFoundError,
    EmptyDocumentError,
    EncryptedDocumentError,
    InputError,
    ScannedDocumentError,
    UnsupportedDocumentError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_core.documents import Document

ENCRYPT = b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%b> /U <%b> >>" % (b"41" * 32, b"42" * 32)


@pytest.fixture(autouse=True)
def _read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every format in this process: `test_reading_apart` has what that takes in another one."""
    monkeypatch.setattr(reading_apart, "_is_apart", True)


def pdf(*pages: str, encrypt: bytes | None = None) -> bytes:
    """Write a PDF by hand: one page for each text, one line of Helvetica for each of its lines."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        lines = b"".join(b"(%b) Tj T* " % line.encode() for line in page.split("\n") if line)
        content = b"BT /F1 12 Tf 14 TL 50 700 Td %bET" % lines
        objects.append(b"<< /Length %d >> stream\n%b\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    trailer = b""
    if encrypt:
        objects.append(encrypt)
        trailer = b" /Encrypt %d 0 R /ID [<00><00>]" % len(objects)
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R%b >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)
    return bytes(out)


def saved(save: Callable[[io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def archive(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return buffer.getvalue()


def epub(chapters: dict[str, str], spine: list[str], **extra: str) -> bytes:
    items = "".join(f'<item id="{c}" href="{c}.xhtml" media-type="application/xhtml+xml"/>' for c in chapters)
    references = "".join(f'<itemref idref="{chapter}"/>' for chapter in spine)
    package = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{references}</spine>'
    container = '<c xmlns="urn:oasis"><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></c>'
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "OPS/book.opf": f"{package}</package>",
        }
        | {f"OPS/{chapter}.xhtml": f"<html><body>{body}</body></html>" for chapter, body in chapters.items()}
        | {f"META-INF/{name}.xml": text for name, text in extra.items()}
    )


def workbook(*rows: list[object], title: str = "Sheet") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    return book


def text_of(data: bytes, name: str) -> str:
    return source_text(load_bytes(data, name), name)


def pages_of(documents: list[Document]) -> list[int | None]:
    return [document.metadata["page"] for document in documents]


class TestPlainText:
    @given(
        text=st.text(st.characters(exclude_characters="\0", codec="utf-8")).filter(lambda t: t.lstrip("\ufeff").strip())
    )
    def test_any_utf_8_text_comes_back_exactly(self, text: str) -> None:
        assert text_of(text.encode(), "notes.txt") == text

    def test_windows_newlines_and_the_byte_order_mark_are_kept(self) -> None:
        assert text_of(b"\xef\xbb\xbfone\r\ntwo\r", "notes.md") == "\ufeffone\r\ntwo\r"

    def test_metadata_hold_the_source_and_no_page(self) -> None:
        (document,) = load_bytes(b"text", "notes.txt")
        assert document.metadata == {"source": "notes.txt", "page": None}

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("公司名称：华夏科技有限公司。", "gb18030"),
            ("臺灣的首都是臺北，這個國家的人口有兩千三百萬，經濟發展很好。" * 3, "big5"),
            ("中文 and English", "utf-16"),
            ("plain words\n", "utf-16-le"),
            ("Café déjà vu, où est la bibliothèque? Élève naïve.", "cp1252"),
            ("대한민국은 민주공화국이다. 모든 권력은 국민으로부터 나온다. " * 5, "euc-kr"),
            ("Привет, как дела? Это русский текст в старой кодировке.", "cp1251"),
        ],
    )
    def test_other_encodings_are_recognised(self, text: str, encoding: str) -> None:
        assert text_of(text.encode(encoding), "notes.txt") == text

    def test_one_damaged_byte_does_not_turn_utf_8_into_another_encoding(self) -> None:
        text = "第五交响曲创作于一八〇八年。" * 10
        assert text_of(text.encode()[:-1], "notes.txt") == text[:-1] + "\ufffd"

    def test_an_unknown_suffix_is_read_as_text(self) -> None:
        assert text_of(b"[section]\nkey = 1\n", "settings.conf") == "[section]\nkey = 1\n"

    @pytest.mark.parametrize("data", [b"\x00\x01\x02\x03" * 50, b"\x7fELF\x02\x01\x01" + b"\0" * 60 + b"\xff\xfe"])
    def test_binary_junk_is_unsupported(self, data: bytes) -> None:
        with pytest.raises(UnsupportedDocumentError, match=r"x\.bin: neither text"):
            load_bytes(data, "x.bin")

    @pytest.mark.parametrize("data", [b"", b" \r\n\t", b"\xef\xbb\xbf\n"])
    def test_a_file_without_text_is_empty(self, data: bytes) -> None:
        with pytest.raises(EmptyDocumentError):
            load_bytes(data, "notes.txt")


class TestPdf:
    def test_every_page_is_a_document_and_blank_pages_count_but_are_left_out(self) -> None:
        documents = load_bytes(pdf("First page.", "", "Third page."), "a.pdf")
        assert pages_of(documents) == [1, 3]
        assert source_text(documents, "a.pdf") == "First page.\n\nThird page."

    def test_a_sentence_wrapped_over_lines_is_joined(self) -> None:
        lines = "The committee met in the old town hall of Bern and\nelected its chair by show of hands.\nShort.\nEnd."
        assert text_of(pdf(lines), "a.pdf") == lines.replace("and\nelected", "and elected")

    def test_chinese_lines_are_joined_without_a_space(self) -> None:
        wrapped = "寒色孤村幕，悲风四野闻。溪深难受雪，山冻不流云。鸥鹭飞难\n辨，沙汀望莫分。\n短行\n末"
        assert pdf_pages._join_wrapped_lines(wrapped) == wrapped.replace("难\n辨", "难辨")

    def test_a_word_hyphenated_at_the_line_end_is_mended(self) -> None:
        assert pdf_pages._clean_pdf_text("a docu\x02ment", set()) == "a document"

    def test_a_compound_broken_at_its_hyphen_keeps_it(self) -> None:
        assert pdf_pages._clean_pdf_text("self\x02publishing", {"publishing"}) == "self-publishing"

    def test_letters_drawn_as_ligatures_and_radicals_become_searchable(self) -> None:
        assert pdf_pages._clean_pdf_text("ﬁnal ⼀\x07", set()) == "final 一"

    def test_pages_without_text_are_reported_as_scanned(self) -> None:
        with pytest.raises(ScannedDocumentError, match="ocrmypdf"):
            load_bytes(pdf("", ""), "scan.pdf")

    def test_a_password_is_reported(self) -> None:
        with pytest.raises(EncryptedDocumentError, match="password"):
            load_bytes(pdf("secret", encrypt=ENCRYPT), "a.pdf")

    def test_junk_named_pdf_is_broken(self) -> None:
        with pytest.raises(BrokenDocumentError, match="not a PDF"):
            load_bytes(b"just text", "a.pdf")

    def test_threads_can_load_at_the_same_time(self) -> None:
        data = pdf(*(f"Page {number}." for number in range(20)))
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: text_of(data, "a.pdf"), range(12)))
        assert len(set(results)) == 1

    def test_a_run_of_letters_takes_no_longer_than_its_length(self) -> None:
        started = time.process_time()
        pdf_pages._clean_pdf_text("a" * 400_000, set())
        assert time.process_time() - started < 1


class TestDocx:
    def test_headings_lists_and_tables_stand_in_reading_order(self) -> None:
        document = docx.Document()
        document.add_heading("Report", level=2)
        document.add_paragraph("Before.")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip((*table.rows[0].cells, *table.rows[1].cells), ("Name", "Year", "X", "2019"), strict=True):
            cell.text = text
        document.add_paragraph("Point", style="List Bullet")
        expected = "## Report\n\nBefore.\n\nName | Year\nName: X | Year: 2019\n\n- Point"
        assert text_of(saved(document.save), "a.docx") == expected

    def test_a_cell_merged_over_columns_is_written_once(self) -> None:
        document = docx.Document()
        table = document.add_table(rows=3, cols=3)
        for cell, text in zip(table.rows[0].cells, ("Name", "Born", "Died"), strict=True):
            cell.text = text
        table.cell(1, 1).merge(table.cell(1, 2)).text = "unknown"
        table.cell(1, 0).text = "X"
        assert text_of(saved(document.save), "a.docx").splitlines()[1] == "Name: X | Born: unknown"

    def test_a_cell_merged_over_rows_is_known_in_each_of_them(self) -> None:
        document = docx.Document()
        table = document.add_table(rows=3, cols=2)
        for row, text in zip(table.rows, ("Name", "X", "Y"), strict=True):
            row.cells[1].text = text
        table.cell(0, 0).text = "Team"
        table.cell(1, 0).merge(table.cell(2, 0)).text = "Red"
        assert text_of(saved(document.save), "a.docx").splitlines()[1:] == [
            "Team: Red | Name: X",
            "Team: Red | Name: Y",
        ]

    def test_inserted_text_and_content_controls_are_read_and_deleted_text_is_not(self) -> None:
        document = docx.Document()
        deleted = "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        runs = f"<w:r><w:t>kept</w:t></w:r><w:ins><w:r><w:t> new</w:t></w:r></w:ins>{deleted}"
        control = f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p>{runs}</w:p></w:sdtContent></w:sdt>"
        document.element.body.insert(0, parse_xml(control))
        assert text_of(saved(document.save), "a.docx") == "kept new"

    def test_long_first_rows_are_not_taken_for_column_names(self) -> None:
        document = docx.Document()
        table = document.add_table(rows=2, cols=2)
        for cell in (*table.rows[0].cells, *table.rows[1].cells):
            cell.text = "A sentence that is far too long to be the name of a column in any table."
        assert ":" not in text_of(saved(document.save), "a.docx")

    def test_a_style_that_is_based_on_itself_says_nothing(self) -> None:
        document = docx.Document()
        one, other = (document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH) for name in ("One", "Other"))
        one.base_style, other.base_style = other, one
        document.add_paragraph("Text.", style="One")
        assert text_of(saved(document.save), "a.docx") == "Text."

    def test_a_style_is_what_those_are_that_it_is_based_on(self) -> None:
        document = docx.Document()
        style = document.styles.add_style("Mine", WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = document.styles["Heading 3"]
        document.add_paragraph("Head", style="Mine")
        assert text_of(saved(document.save), "a.docx") == "### Head"

    def test_a_cell_merged_over_a_billion_columns_is_one_cell(self) -> None:
        document = docx.Document()
        cell = document.add_table(rows=1, cols=1).cell(0, 0)
        cell.text = "Text"
        cell._tc.grid_span = 2_000_000_000
        assert text_of(saved(document.save), "a.docx") == "Text"

    def test_a_text_repeated_beyond_the_limit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        document = docx.Document()
        table = document.add_table(rows=50, cols=1)
        table.cell(0, 0).merge(table.cell(49, 0)).text = "word " * 20
        monkeypatch.setattr(sections, "MAX_CHARACTERS", 1000)
        with pytest.raises(BrokenDocumentError, match="more than 1,000 characters of text; divide it"):
            load_bytes(saved(document.save), "a.docx")


class TestSpreadsheets:
    def test_a_row_begins_with_its_number_and_names_its_columns(self) -> None:
        book = workbook(["Staff of the museum"], [], ["Name", "Year"], [], ["X", 2019])
        documents = load_bytes(saved(book.save), "a.xlsx")
        assert documents[0].page_content == (
            "# Sheet\n\nrow 1 | Staff of the museum\nrow 3 | Name | Year\nrow 5 | Name: X | Year: 2019"
        )

    def test_every_sheet_is_a_document_that_names_it(self) -> None:
        book = workbook(["a"], title="第一")
        book.create_sheet("blank")
        book.create_sheet("last").append(["b"])
        documents = load_bytes(saved(book.save), "a.xlsx")
        assert [d.metadata for d in documents] == [
            {"source": "a.xlsx", "page": None, "sheet": "第一"},
            {"source": "a.xlsx", "page": None, "sheet": "last"},
        ]
        assert source_text(documents, "a.xlsx") == "# 第一\n\nrow 1 | a\n\n# last\n\nrow 1 | b"

    def test_numbers_and_dates_are_written_as_people_read_them(self) -> None:
        when = dt.datetime(2019, 3, 1, 14, 30)  # noqa: DTZ001 - spreadsheets have no time zones
        book = workbook([3.0, 0.1 + 0.2, dt.date(2019, 3, 1), when, 0.256, True, "two\nlines"])
        book.active["E1"].number_format = "0.0%"
        expected = "row 1 | 3 | 0.3 | 2019-03-01 | 2019-03-01 14:30 | 25.6% | True | two lines"
        assert text_of(saved(book.save), "a.xlsx").splitlines()[-1] == expected

    def test_years_can_be_column_names(self) -> None:
        book = workbook(["Country", 2018, 2019], ["Norway", 1.5, 2.5])
        assert text_of(saved(book.save), "a.xlsx").endswith("row 2 | Country: Norway | 2018: 1.5 | 2019: 2.5")

    def test_a_sheet_of_numbers_has_no_header(self) -> None:
        assert text_of(saved(workbook([1, 2], [3, 4]).save), "a.xlsx").endswith("row 1 | 1 | 2\nrow 2 | 3 | 4")

    def test_what_openpyxl_cannot_keep_is_no_warning_to_the_user(self) -> None:
        book = saved(workbook(["a", "b"]).save)
        with zipfile.ZipFile(io.BytesIO(book)) as old:
            members = {name: old.read(name).decode() for name in old.namelist()}
        members["xl/styles.xml"] = re.sub("<cellStyles.*</cellStyles>", "", members["xl/styles.xml"])
        with pytest.warns(UserWarning, match="no default style"):
            openpyxl.load_workbook(io.BytesIO(archive(members)))
        assert text_of(archive(members), "a.xlsx").endswith("row 1 | a | b")

    def test_a_cell_in_the_last_corner_is_found(self) -> None:
        book = workbook(["a"])
        book.active["XFD1048576"] = "b"
        assert text_of(saved(book.save), "a.xlsx").endswith("row 1 | a\nrow 1048576 | b")

    def test_a_row_where_no_sheet_has_one_is_broken(self) -> None:
        with zipfile.ZipFile(io.BytesIO(saved(workbook(["a"]).save))) as old:
            members = {name: old.read(name).decode() for name in old.namelist()}
        members["xl/worksheets/sheet1.xml"] = members["xl/worksheets/sheet1.xml"].replace('r="1"', 'r="99999999999"')
        with pytest.raises(BrokenDocumentError, match="1,048,576 rows at most"):
            load_bytes(archive(members), "a.xlsx")

    def test_many_short_rows_under_a_wide_header_take_little_time(self) -> None:
        header, started = ",".join(f"name{number}" for number in range(10_000)), time.process_time()
        assert text_of(f"{header}\n{'1' * 1}\n".encode() + b"1\n" * 10_000, "a.csv").endswith("row 10002 | name0: 1")
        assert time.process_time() - started < 3

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_of_a_csv_file_is_found(self, delimiter: str) -> None:
        data = "\r\n".join(delimiter.join(row) for row in (("Name", "Note"), ("X", '"a, b; c"'), (), ("Y", "d")))
        expected = "row 1 | Name | Note\nrow 2 | Name: X | Note: a, b; c\nrow 4 | Name: Y | Note: d"
        assert text_of(b"\xef\xbb\xbf" + data.encode(), "a.csv") == expected

    def test_a_csv_field_beyond_the_limit_is_broken_not_a_crash(self) -> None:
        with pytest.raises(BrokenDocumentError, match="delimited table"):
            load_bytes(b"a,b\n" * 30 + b'"' + b"x" * 200_000, "a.csv")


class TestPptx:
    def test_a_slide_gives_its_title_texts_groups_tables_and_notes(self) -> None:
        show = pptx.Presentation()
        show.slides.add_slide(show.slide_layouts[6])
        slide = show.slides.add_slide(show.slide_layouts[5])
        slide.shapes.title.text = "Results"
        box = (Inches(1), Inches(1), Inches(3), Inches(1))
        slide.shapes.add_group_shape().shapes.add_textbox(*box).text_frame.text = "Grouped"
        table = slide.shapes.add_table(2, 2, *box).table
        for (row, column), text in zip([(0, 0), (0, 1), (1, 0), (1, 1)], ("Name", "Year", "X", "2019"), strict=True):
            table.cell(row, column).text = text
        slide.notes_slide.notes_text_frame.text = "Say thanks."
        documents = load_bytes(saved(show.save), "a.pptx")
        assert pages_of(documents) == [2]
        expected = "# Results\n\nGrouped\n\nName | Year\nName: X | Year: 2019\n\nNotes: Say thanks."
        assert documents[0].page_content == expected

    def test_a_table_of_many_rows_takes_no_longer_than_their_number(self) -> None:
        show = pptx.Presentation()
        slide = show.slides.add_slide(show.slide_layouts[6])
        table = slide.shapes.add_table(1, 1, Inches(1), Inches(1), Inches(3), Inches(1)).table
        table.cell(0, 0).text = "Cell"
        table._tbl.extend([copy.deepcopy(table._tbl.tr_lst[0]) for _ in range(3_000)])
        started = time.process_time()
        assert text_of(saved(show.save), "a.pptx").count("Cell") == 3_001
        assert time.process_time() - started < 3


class TestEpub:
    def test_chapters_follow_the_spine(self) -> None:
        book = epub({"one": "<h1>I</h1><p>First.</p>", "two": "<p>Second.</p>"}, ["two", "one"])
        documents = load_bytes(book, "a.epub")
        assert pages_of(documents) == [None]
        assert documents[0].page_content == "Second.\n\n# I\n\nFirst."

    def test_a_missing_chapter_is_not_passed_over_in_silence(self) -> None:
        with pytest.raises(BrokenDocumentError, match="lost"):
            load_bytes(epub({"one": "text"}, ["one", "lost"]), "a.epub")

    @pytest.mark.parametrize(
        ("algorithm", "is_readable"), [("http://www.idpf.org/2008/embedding", True), ("aes", False)]
    )
    def test_scrambled_fonts_are_no_rights_management(self, algorithm: str, *, is_readable: bool) -> None:
        encryption = f'<e xmlns:n="urn:n"><n:EncryptionMethod Algorithm="{algorithm}"/></e>'
        book = epub({"one": "text"}, ["one"], encryption=encryption)
        if is_readable:
            assert load_bytes(book, "a.epub")
        else:
            with pytest.raises(EncryptedDocumentError, match="rights management"):
                load_bytes(book, "a.epub")

    def test_a_chapter_is_read_once_however_often_the_spine_lists_it(self) -> None:
        book = epub({"one": "<p>First.</p>", "two": "<p>Second.</p>"}, ["one", "two", "one", "one"])
        assert text_of(book, "a.epub") == "First.\n\nSecond."

    def test_a_chapter_outside_of_the_book_is_a_lost_one(self) -> None:
        book = epub({"../../../../etc/passwd": "text"}, ["../../../../etc/passwd"])
        with pytest.raises(BrokenDocumentError, match=r"no item named '\.\./"):
            load_bytes(book, "a.epub")

    def test_entity_bombs_are_refused(self) -> None:
        bomb = '<!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><c>&b;</c>'
        with pytest.raises(BrokenDocumentError, match="EntitiesForbidden"):
            load_bytes(archive({"META-INF/container.xml": bomb}), "a.epub")


class TestArchives:
    def test_sizes_and_checksums_that_lie_are_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = bytearray(archive({"bomb": "0" * 2000}))
        directory = data.index(b"PK\x01\x02")
        for crc in (14, directory + 16):
            data[crc : crc + 4] = zlib.crc32(b"0" * 10).to_bytes(4, "little")
            data[crc + 8 : crc + 12] = (10).to_bytes(4, "little")
        monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
        with pytest.raises(BrokenDocumentError, match="more than the limit"):
            load_bytes(bytes(data), "a.epub")

    def test_a_way_to_pack_that_no_such_file_uses_is_refused(self) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as file:
            file.writestr("word/document.xml", "text")
        with pytest.raises(BrokenDocumentError, match="packed by method 12, which no DOCX document uses"):
            load_bytes(buffer.getvalue(), "a.docx")

    def test_an_archive_of_too_many_files_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
        with pytest.raises(BrokenDocumentError, match="more than 3 files"):
            load_bytes(archive(dict.fromkeys("abcd", "text")), "a.docx")

    def test_a_damaged_picture_does_not_keep_a_book_from_being_read(self) -> None:
        data = epub({"one": "<p>Text.</p>"}, ["one"])
        with zipfile.ZipFile(buffer := io.BytesIO(data), "a", zipfile.ZIP_DEFLATED) as book:
            book.writestr("cover.jpg", "picture" * 99)
        damaged = bytearray(buffer.getvalue())
        start = damaged.index(b"cover.jpg") + len(b"cover.jpg")
        damaged[start : start + 4] = b"\xff" * 4
        assert text_of(bytes(damaged), "a.epub") == "Text."

    def test_what_unpacks_beyond_the_limit_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1000)
        with pytest.raises(BrokenDocumentError, match="more than the limit"):
            load_bytes(archive({"bomb": "0" * 2000}), "a.epub")

    @pytest.mark.parametrize("suffix", ["docx", "xlsx", "pptx", "epub"])
    def test_junk_under_an_archive_suffix_is_broken(self, suffix: str) -> None:
        with pytest.raises(BrokenDocumentError, match=rf"a\.{suffix}: not a"):
            load_bytes(b"just text", f"a.{suffix}")

    @pytest.mark.parametrize("suffix", ["docx", "xlsx", "pptx", "epub"])
    def test_an_archive_of_something_else_is_broken(self, suffix: str) -> None:
        with pytest.raises(BrokenDocumentError):
            load_bytes(archive({"hello.txt": "hello"}), f"a.{suffix}")

    @pytest.mark.parametrize("suffix", ["docx", "xlsx", "pptx", "doc"])
    def test_an_office_file_with_a_password_is_encrypted(self, suffix: str) -> None:
        data = archives.OLE_MAGIC + bytes(500) + "EncryptedPackage".encode("utf-16-le")
        with pytest.raises(EncryptedDocumentError, match="password"):
            load_bytes(data, f"a.{suffix}")

    @pytest.mark.parametrize(
        ("old", "new"), [("a.doc", ".docx"), ("a.xls", ".xlsx"), ("a.ppt", ".pptx"), ("a.odt", ".docx")]
    )
    def test_an_old_office_format_says_what_to_save_it_as(self, old: str, new: str) -> None:
        with pytest.raises(UnsupportedDocumentError, match=f"save it as {new}"):
            load_bytes(archives.OLE_MAGIC + bytes(500), old)


class TestDetection:
    def test_contents_tell_the_format_when_the_name_does_not(self) -> None:
        assert pages_of(load_bytes(pdf("Text."), "stdin")) == [1]
        assert "row 1 | a" in text_of(saved(workbook(["a"]).save), "download")
        assert text_of(b"<!doctype html><p>Text</p>", "download").strip() == "Text"

    def test_importing_the_module_imports_no_parser(self) -> None:
        code = (
            "import sys, langchain_qwen_longctx.document_loaders;"
            "print({'pypdfium2', 'docx', 'openpyxl', 'pptx', 'lxml'} & set(sys.modules))"
        )
        run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert run.stdout.strip() == "set()"


class TestFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("b.md", "a.txt", "sub/c.txt", ".hidden/h.txt", ".h.txt", "node_modules/n.txt", "env/lib/e.txt"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"text of {name}")
        (tmp_path / "env" / "pyvenv.cfg").touch()
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
        return tmp_path

    def test_readable_files_come_in_sorted_order_without_hidden_ones_and_libraries(self, folder: Path) -> None:
        assert find_files(folder) == [folder / "a.txt", folder / "b.md", folder / "sub" / "c.txt"]

    def test_sources_are_paths_under_the_folder_as_given(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        assert [d.metadata["source"] for d in load_documents("sub")] == ["sub/c.txt"]

    @pytest.mark.parametrize(("glob", "expected"), [("*.txt", 1), ("**/*.txt", 2), ("sub/*", 1), ("**", 3)])
    def test_a_glob_chooses_files_by_their_path_in_the_folder(self, folder: Path, glob: str, expected: int) -> None:
        assert len(find_files(folder, glob=glob)) == expected

    @pytest.mark.parametrize("pattern", ["sub", "sub/*", "c.*"])
    def test_excluded_names_and_paths_are_passed_over(self, folder: Path, pattern: str) -> None:
        assert folder / "sub" / "c.txt" not in find_files(folder, exclude=[pattern])

    def test_a_link_to_a_file_outside_is_reported_and_not_followed(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path.parent / "secret.md").write_text("secret")
        (folder / "out.md").symlink_to(tmp_path.parent / "secret.md")
        (folder / "in.md").symlink_to("a.txt")
        errors: list[DocumentError] = []
        documents = load_documents(folder, on_error=errors.append)
        assert len(documents) == 3
        assert [(error.source, "link out of the folder" in str(error)) for error in errors] == [
            (str(folder / "out.md"), True)
        ]

    def test_what_may_not_be_looked_at_is_reported(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbid(path: object) -> Iterator[os.DirEntry[str]]:
            if str(path).endswith("sub"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return scandir(path)  # type: ignore[call-overload,no-any-return]

        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", forbid)
        errors: list[DocumentError] = []
        assert len(find_files(folder, on_error=errors.append)) == 2
        assert [str(error) for error in errors] == [
            f"{folder}/sub: cannot be listed (Permission denied); check its permissions"
        ]

    def test_folders_may_be_deeper_than_python_calls(self, tmp_path: Path) -> None:
        with contextlib.chdir(tmp_path):
            for _ in range(1200):
                Path("d").mkdir()
                os.chdir("d")
            Path("bottom.md").write_text("text")
            assert len(find_files(tmp_path)) == len(find_files(tmp_path, glob="**/*.md")) == 1
            Path("bottom.md").unlink()
            for _ in range(1200):
                os.chdir("..")
                Path("d").rmdir()

    def test_a_link_back_to_the_folder_ends(self, folder: Path) -> None:
        (folder / "sub" / "loop").symlink_to(folder, target_is_directory=True)
        assert len(find_files(folder)) == 3

    def test_a_file_given_twice_is_loaded_once(self, folder: Path) -> None:
        assert len(load_documents([folder / "a.txt", folder, str(folder / "a.txt")])) == 3

    def test_a_broken_file_is_reported_and_the_rest_loaded(self, folder: Path) -> None:
        (folder / "bad.pdf").write_bytes(b"junk")
        errors: list[DocumentError] = []
        assert len(load_documents(folder, on_error=errors.append)) == 3
        assert [(type(error), error.source) for error in errors] == [(BrokenDocumentError, str(folder / "bad.pdf"))]

    def test_a_broken_file_is_a_warning_unless_asked_otherwise(self, folder: Path) -> None:
        (folder / "bad.pdf").write_bytes(b"junk")
        with pytest.warns(SkippedDocumentWarning, match=r"bad\.pdf") as caught:
            load_documents(folder)
        assert caught[0].filename == __file__

    def test_a_file_of_no_bytes_is_passed_over_in_silence(self, folder: Path) -> None:
        (folder / "__init__.py").touch()
        (folder / "empty.md").touch()
        assert len(load_documents(folder)) == len(find_files(folder)) == 3

    def test_a_file_of_blanks_is_reported(self, folder: Path) -> None:
        (folder / "blank.md").write_text("\n")
        errors: list[DocumentError] = []
        load_documents(folder, on_error=errors.append)
        assert [type(error) for error in errors] == [EmptyDocumentError]

    def test_a_file_of_no_bytes_named_itself_is_an_error(self, folder: Path) -> None:
        (folder / "empty.md").touch()
        with pytest.raises(EmptyDocumentError):
            load_documents(folder / "empty.md")

    def test_a_broken_file_named_itself_is_an_error(self, folder: Path) -> None:
        (folder / "bad.pdf").write_bytes(b"junk")
        with pytest.raises(BrokenDocumentError):
            load_documents([folder / "a.txt", folder / "bad.pdf"])

    def test_a_folder_without_a_readable_type_says_what_can_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\0")
        with pytest.raises(DocumentNotFoundError, match=r"nothing readable.*PDF, DOCX"):
            load_documents(tmp_path)

    def test_a_folder_of_broken_files_only_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "bad.pdf").write_bytes(b"junk")
        with pytest.raises(DocumentNotFoundError, match="nothing readable"):
            load_documents(tmp_path, on_error=lambda _: None)


class TestPaths:
    def test_standard_input_is_called_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("文本\r\n".encode())))
        (document,) = load_documents("-")
        assert (document.page_content, document.metadata["source"]) == ("文本\r\n", "stdin")

    @pytest.mark.parametrize("call", [load_documents, find_files, load_file, read_bytes])
    def test_a_missing_path_is_not_found(self, call: Callable[[str], object], tmp_path: Path) -> None:
        with pytest.raises(DocumentNotFoundError, match="no such file"):
            call(str(tmp_path / "missing.txt"))

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
    def test_a_device_is_not_read(self, device: str) -> None:
        with pytest.raises(DocumentError, match="is a device, not a file"):
            read_bytes(device)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
    def test_a_pipe_that_nobody_writes_to_is_empty_and_another_one_is_read(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert read_bytes(tmp_path / "pipe") == b""
        with ThreadPoolExecutor(1) as pool:
            reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
            writing = os.open(tmp_path / "pipe", os.O_WRONLY)
            future = pool.submit(read_bytes, tmp_path / "pipe")
            os.write(writing, b"text")
            os.close(writing)
            assert future.result() == b"text"
            os.close(reading)

    def test_a_file_beyond_the_limit_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(document_loaders, "MAX_FILE_BYTES", 10)
        (tmp_path / "a.txt").write_text("eleven bytes")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"eleven bytes")))
        for path in (tmp_path / "a.txt", "-"):
            with pytest.raises(BrokenDocumentError, match="has more than 10 bytes; divide it"):
                read_bytes(path)

    @pytest.mark.parametrize("limit", [4, 9])
    def test_a_text_beyond_the_limit_is_refused(self, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(document_loaders, "MAX_CHARACTERS", limit)
        with pytest.raises(BrokenDocumentError, match="characters of text; divide it"):
            load_bytes(b"eleven bytes and more", "a.txt")

    @pytest.mark.parametrize("name", ["a" * 5000, "nul\0byte"])
    def test_a_text_given_for_a_path_is_a_typed_error(self, name: str) -> None:
        with pytest.raises(DocumentError):
            load_documents(name)

    def test_a_folder_is_not_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(DocumentError, match="load_documents"):
            load_file(tmp_path)

    @pytest.mark.parametrize("paths", ["", []])
    def test_no_path_is_an_input_error(self, paths: str | list[str]) -> None:
        with pytest.raises(InputError, match="no path"):
            load_documents(paths)

    def test_a_file_is_its_bytes_loaded_under_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pdf"
        path.write_bytes(pdf("One.", "Two."))
        assert load_file(path) == load_bytes(read_bytes(path), str(path)) == load_documents(path)
