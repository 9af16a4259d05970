"""Books in EPUB: the chapters in the order of the spine, as text."""

from __future__ import annotations

import io
import posixpath
import zipfile
from urllib.parse import unquote

from langchain_qwen_longctx.archives import check_archive
from langchain_qwen_longctx.errors import EncryptedDocumentError
from langchain_qwen_longctx.html_pages import html_text
from langchain_qwen_longctx.sections import Section, damage_reported, limited


def read_epub(data: bytes, source: str) -> list[Section]:
    """Read the chapters of a book in the order of its spine, without the table of contents, as one section.

    Raises:
        EncryptedDocumentError: Digital rights management protects it.
        BrokenDocumentError: It is not an EPUB, or it lacks a chapter that it lists.
    """
    check_archive(data, source, "EPUB book")
    with damage_reported(source, "EPUB book"), zipfile.ZipFile(io.BytesIO(data)) as book:
        if _is_protected(book):
            raise EncryptedDocumentError(source, "digital rights management protects this book; use a free copy")
        chapters = (html_text(_decode_xhtml(book.read(path))) for path in _spine(book))
        return [Section("\n\n".join(limited(filter(None, chapters), source)))]


def _is_protected(book: zipfile.ZipFile) -> bool:
    """Tell whether more than fonts is encrypted; scrambled fonts are usual in free books."""
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415

    if "META-INF/encryption.xml" not in book.namelist():
        return False
    encryption = fromstring(book.read("META-INF/encryption.xml"))
    algorithms = [method.get("Algorithm", "") for method in encryption.iterfind(".//{*}EncryptionMethod")]
    return not all(algorithm.endswith(("ns.adobe.com/pdf/enc#RC", "2008/embedding")) for algorithm in algorithms)


def _spine(book: zipfile.ZipFile) -> list[str]:
    """Return the paths of the chapters in the book, each once: a spine that repeats itself is not read for ever."""
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415

    container = fromstring(book.read("META-INF/container.xml"))
    package_path = container.find(".//{*}rootfile").get("full-path")
    package = fromstring(book.read(package_path))
    manifest = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    items = [manifest[reference.get("idref")] for reference in package.iterfind("{*}spine/{*}itemref")]
    paths = (
        posixpath.normpath(posixpath.join(posixpath.dirname(package_path), unquote(item.get("href"))))
        for item in items
        if "html" in item.get("media-type", "") and "nav" not in item.get("properties", "").split()
    )
    return list(dict.fromkeys(paths))


def _decode_xhtml(data: bytes) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    return data.decode(encoding, errors="replace")
