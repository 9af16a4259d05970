"""Archives that unpack to more than they say, and Office files and books that ask for more than there is."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from document_cases import Case
from fuzz_seeds import BOOK, archive, presentation, word_document, workbook

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN_PARTS: Final = {
    ".docx": ("word/document.xml", word_document),
    ".xlsx": ("xl/worksheets/sheet1.xml", workbook),
    ".pptx": ("ppt/slides/slide1.xml", presentation),
    ".epub": ("OPS/a.xhtml", lambda: archive(BOOK)),
}
GIGABYTE: Final = 1 << 30
TOO_MUCH: Final = "unpacks to more than the limit"
WORD: Final = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SHEET: Final = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def members_of(data: bytes) -> dict[str, bytes]:
    """Return what an archive holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def with_parts(suffix: str, parts: dict[str, str]) -> bytes:
    """Return a file of a format with some of its parts replaced; its main part is called `main`."""
    main, make = MAIN_PARTS[suffix]
    replaced = {main if name == "main" else name: text.encode() for name, text in parts.items()}
    return archive(members_of(make()) | replaced)


def main_part(suffix: str) -> str:
    """Return the main part of a file of a format."""
    main, make = MAIN_PARTS[suffix]
    return members_of(make())[main].decode()


def deflated(unit: bytes, times: int) -> bytes:
    """Return a unit so many times, deflated, at the price of once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    piece = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * times + packer.flush()


class Forger:
    """Writes an archive of members that need not be what is said of them."""

    def __init__(self) -> None:
        self._body, self._directory, self._count = bytearray(), bytearray(), 0

    def add(self, name: bytes, packed: bytes, size: int, crc: int = 0) -> None:
        """Add a member."""
        about = _about(name, len(packed), size, crc)
        self.list(name, about, len(self._body))
        self._body += b"PK\x03\x04" + about + name + packed

    def list(self, name: bytes, about: bytes, offset: int) -> None:
        """Add a member to the directory alone."""
        self._directory += b"PK\x01\x02\x14\0" + about + struct.pack("<HHHLL", 0, 0, 0, 0, offset) + name
        self._count += 1

    def append(self, data: bytes) -> None:
        """Add bytes that are no member's own."""
        self._body += data

    def archive(self) -> bytes:
        """Return the archive. Of more than 65,535 members it says that there are none."""
        count = self._count % 65_536
        end = struct.pack("<HHHHLLH", 0, 0, count, count, len(self._directory), len(self._body), 0)
        return bytes(self._body + self._directory + b"PK\x05\x06" + end)


def _about(name: bytes, packed: int, size: int, crc: int) -> bytes:
    """Return what a member's own header and the directory have in common."""
    return struct.pack("<HHHHHLLLHH", 20, 0, zipfile.ZIP_DEFLATED, 0, 0, crc, packed, size, len(name), 0)


def overlapping(count: int, kernel: bytes, size: int) -> bytes:
    """Return an archive whose members are inside of each other, so that each has all of the kernel.

    The data of each but the last begins with a block that quotes the next one's header.
    """
    headers: list[tuple[bytes, bytes]] = []
    data, unpacked = kernel, size
    for number in reversed(range(count)):
        name = b"%05d.xml" % number
        about = _about(name, len(data), unpacked, 0)
        header = b"PK\x03\x04" + about + name
        headers.append((name, about))
        block = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF)
        data, unpacked = block + header + data, unpacked + len(header)
    forger = Forger()
    quoted = len(data) - len(kernel)
    step = quoted // count
    for number, (name, about) in enumerate(reversed(headers)):
        forger.list(name, about, number * step)
    forger.append(data[5:])
    return forger.archive()


def bombs() -> Iterator[Case]:
    """Yield zip bombs under the name of every format."""
    zeros = deflated(bytes(1 << 24), 128)
    for suffix, (main, _) in MAIN_PARTS.items():
        honest, liar, crowd = Forger(), Forger(), Forger()
        honest.add(main.encode(), zeros, 2 * GIGABYTE)
        liar.add(main.encode(), zeros, 1000, zlib.crc32(bytes(1000)))
        crowd.add(main.encode(), zeros, 2 * GIGABYTE // 100)
        for _ in range(100):
            crowd.list(main.encode(), _about(main.encode(), len(zeros), 1000, 0), 0)
        yield Case(f"flat{suffix}", honest.archive(), TOO_MUCH)
        yield Case(f"lying{suffix}", liar.archive(), TOO_MUCH)
        yield Case(f"crowded{suffix}", crowd.archive(), TOO_MUCH)
        yield Case(f"overlapping{suffix}", overlapping(300, deflated(bytes(1 << 20), 8), 8 << 20), TOO_MUCH)
        yield Case(f"nested{suffix}", archive({main: honest.archive()}), "damaged|not a")
        yield Case(f"members{suffix}", _many_members(), "holds more than 100,000 files")
        yield Case(f"method{suffix}", _foreign(main), "packed by method 12")


def _many_members() -> bytes:
    forger = Forger()
    about = _about(b"a", 2, 0, 0)
    forger.append(b"PK\x03\x04" + about + b"a" + b"\x03\0")
    for _ in range(100_001):
        forger.list(b"a", about, 0)
    return forger.archive()


def _foreign(main: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr(main, bytes(1 << 20))
    return buffer.getvalue()


def greedy(*, is_short: bool) -> Iterator[Case]:
    """Yield files of every format that are within the limits of an archive, and ask for much."""
    yield from _greedy_workbooks(is_short=is_short)
    yield from _greedy_letters(is_short=is_short)
    yield from _greedy_others(is_short=is_short)


def _greedy_workbooks(*, is_short: bool) -> Iterator[Case]:
    rows = 2_000 if is_short else 50_000
    wide = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, rows // 20))
    names = "".join(f'<c t="inlineStr"><is><t>name{n}</t></is></c>' for n in range(16_384))
    far = '<row r="1"><c r="A1"><v>7</v></c></row><row r="1048576"><c r="XFD1048576"><v>8</v></c></row>'
    sheets = {
        "corner": (far, "", "row 1048576 | 8"),
        "dimension": ('<row r="1"><c r="A1"><v>7</v></c></row>', "", "row 1 | 7"),
        "beyond": ('<row r="99999999999"><c><v>7</v></c></row>', "1,048,576 rows at most", ""),
        "wide": (wide, "", "row 1 | 1"),
        "names": (f"<row>{names}</row>" + "<row><c><v>1</v></c></row>" * rows, "", "name0: 1"),
        "digits": (f'<row r="1"><c><v>{"9" * 100_000}</v></c></row>', "damaged", ""),
        "letters": ('<row r="1"><c r="AAAAAAAA1"><v>1</v></c></row>', "damaged", ""),
    }
    for name, (body, says, holds) in sheets.items():
        sheet = f'<worksheet {SHEET}><dimension ref="A1:XFD1048576"/><sheetData>{body}</sheetData></worksheet>'
        yield Case(f"{name}.xlsx", with_parts(".xlsx", {"main": sheet}), says, holds)
    styles = members_of(workbook())["xl/styles.xml"].decode()
    formats = f'<numFmts><numFmt numFmtId="170" formatCode="{"[" * (2_000 if is_short else 20_000)}"/></numFmts>'
    yield Case(
        "brackets.xlsx", with_parts(".xlsx", {"xl/styles.xml": _after_tag(styles, "styleSheet", formats)}), "", "X"
    )
    many = '<xf numFmtId="0" fontId="0"/>' * (5_000 if is_short else 200_000)
    yield Case("styles.xlsx", with_parts(".xlsx", {"xl/styles.xml": _after_tag(styles, "cellXfs", many)}), "", "X")


def _greedy_letters(*, is_short: bool) -> Iterator[Case]:
    cell = "<w:tc>{}</w:tc>"
    paragraph = "<w:p><w:r><w:t>deep text</w:t></w:r></w:p>"
    for depth, says in ((20, ""), (100_000, "damaged")):
        tables = "<w:tbl><w:tr><w:tc>" * depth + paragraph + "</w:tc></w:tr></w:tbl>" * depth
        yield Case(f"tables{depth}.docx", _letter(tables), says, "deep text" * (not says))
    merged = "<w:tr><w:tc><w:tcPr><w:vMerge{}/></w:tcPr><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc></w:tr>"
    long = merged.format(' w:val="restart"', "long " * 20_000) + merged.format("", "") * (2_000 if is_short else 20_000)
    yield Case("merged.docx", _letter(f"<w:tbl>{long}</w:tbl>"), "more than 100,000,000 characters|bytes of memory")
    span = '<w:tcPr><w:gridSpan w:val="2000000000"/></w:tcPr>'
    yield Case("span.docx", _letter(f"<w:tbl><w:tr>{cell.format(span + paragraph)}</w:tr></w:tbl>"), "", "deep text")
    count = 2_000 if is_short else 50_000
    style = '<w:style w:type="paragraph" w:styleId="s{}"><w:name w:val="s"/><w:basedOn w:val="s{}"/></w:style>'
    chain = "".join(style.format(n, (n + 1) % count) for n in range(count))
    styled = _letter(paragraph.replace("<w:r>", '<w:pPr><w:pStyle w:val="s1"/></w:pPr><w:r>', 1))
    members = members_of(styled) | {"word/styles.xml": f"<w:styles {WORD}>{chain}</w:styles>".encode()}
    yield Case("styles.docx", archive(members), "", "deep text")
    yield Case("paragraphs.docx", _letter(paragraph * (10_000 if is_short else 100_000)), "", "deep text")
    yield Case(
        "tags.docx",
        _letter(paragraph + "<w:a/>" * (10**6 if is_short else 2 * 10**7)),
        "" if is_short else "bytes of memory|damaged",
    )


def _greedy_others(*, is_short: bool) -> Iterator[Case]:
    slide = main_part(".pptx")
    row = slide[slide.index("<a:tr ") : slide.index("</a:tr>") + len("</a:tr>")]
    rows = slide.replace(row, row * (500 if is_short else 10_000), 1)
    yield Case("rows.pptx", with_parts(".pptx", {"main": rows}), "", "Name")
    group = slide[slide.index("<p:grpSp>") : slide.index("</p:grpSp>") + len("</p:grpSp>")]
    opened = group[: group.index("<p:sp>")]
    deep = slide.replace(group, opened * 200 + group + "</p:grpSp>" * 200)
    yield Case("groups.pptx", with_parts(".pptx", {"main": deep}), "damaged|", "")
    package = BOOK["OPS/b.opf"]
    spine = package.replace('<itemref idref="a"/>', '<itemref idref="a"/>' * (10_000 if is_short else 1_000_000))
    yield Case("spine.epub", archive(BOOK | {"OPS/b.opf": spine}), "", "First.")
    outside = package.replace('href="a.xhtml"', 'href="../../../../../../etc/passwd"')
    yield Case("outside.epub", archive(BOOK | {"OPS/b.opf": outside}), "damaged.*passwd")
    absolute = package.replace('href="a.xhtml"', 'href="file:///etc/passwd"')
    yield Case("absolute.epub", archive(BOOK | {"OPS/b.opf": absolute}), "damaged.*passwd")
    itself = BOOK["META-INF/container.xml"].replace("OPS/b.opf", "META-INF/container.xml")
    yield Case("itself.epub", archive(BOOK | {"META-INF/container.xml": itself}), "no text")
    chapter = "<html><body>" + "<p>word</p>" * (10_000 if is_short else 500_000)
    yield Case("chapter.epub", archive(BOOK | {"OPS/a.xhtml": chapter}), "", "word")


def _letter(body: str) -> bytes:
    return with_parts(".docx", {"main": f"<w:document {WORD}><w:body>{body}</w:body></w:document>"})


def _after_tag(xml: str, tag: str, more: str) -> str:
    end = xml.index(">", xml.index(f"<{tag}")) + 1
    return xml[:end] + more + xml[end:]
