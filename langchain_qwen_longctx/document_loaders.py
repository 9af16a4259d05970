"""Files, folders and standard input to LangChain Documents that say where their text comes from.

The text of a source is the plain concatenation of its Documents, in order: offsets of citations count in it. For plain
text it is the file decoded, character for character; for PDF, Word and the like what the reader extracted, with a blank
line after every page but the last. `source_text` does the concatenation.

An incremental indexer takes the steps one by one: `find_files`, `read_bytes`, and `load_bytes` for what has changed.
"""

from __future__ import annotations

import io
import os
import re
import stat
import sys
import warnings
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_qwen_longctx.archives import OLE_MAGIC, is_encrypted_office
from langchain_qwen_longctx.epub_books import read_epub
from langchain_qwen_longctx.errors import (
    BrokenDocumentError,
    DocumentError,
    DocumentNotFoundError,
    EmptyDocumentError,
    EncryptedDocumentError,
    InputError,
    UnsupportedDocumentError,
)
from langchain_qwen_longctx.folder_scan import matches, scan
from langchain_qwen_longctx.html_pages import read_html
from langchain_qwen_longctx.office_formats import read_docx, read_pptx, read_xlsx
from langchain_qwen_longctx.pdf_pages import read_pdf
from langchain_qwen_longctx.reading_apart import read_apart
from langchain_qwen_longctx.sections import MAX_CHARACTERS, Section, too_long
from langchain_qwen_longctx.table_formats import read_csv
from langchain_qwen_longctx.text_encodings import decode_html, decode_text, looks_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    StrPath = str | os.PathLike[str]

STDIN_PATH = Path("-")
STDIN_NAME = "stdin"

DEFAULT_EXCLUDES = (".*", "~$*", "node_modules", "__pycache__", "venv", "site-packages", "*.egg-info")

MAX_FILE_BYTES = 1024**3

_BINARY_READERS: dict[str, Callable[[bytes, str], list[Section]]] = {
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".xlsx": read_xlsx,
    ".xlsm": read_xlsx,
    ".pptx": read_pptx,
    ".pptm": read_pptx,
    ".epub": read_epub,
}
_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
_HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
_TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".log", ".json", ".jsonl", ".yaml", ".yml"})
_SAVE_AS = {
    **dict.fromkeys((".doc", ".docm", ".dot", ".wps", ".rtf", ".odt"), ".docx"),
    **dict.fromkeys((".xls", ".xlsb", ".et", ".ods"), ".xlsx"),
    **dict.fromkeys((".ppt", ".pps", ".dps", ".odp"), ".pptx"),
}
READABLE_SUFFIXES = _TEXT_SUFFIXES | _TABLE_SUFFIXES | _HTML_SUFFIXES | _BINARY_READERS.keys()
_KNOWN_SUFFIXES = READABLE_SUFFIXES | _SAVE_AS.keys()
_READABLE_TYPES = "PDF, DOCX, PPTX, XLSX, EPUB, HTML, CSV, Markdown and plain text"

_SNIFFED_BYTES = 4096
_PIECE = 1 << 20
_MOST_BYTES_OF_A_CHARACTER = 4
_ZIP_MEMBERS = {
    b"word/document.xml": ".docx",
    b"xl/workbook.xml": ".xlsx",
    b"ppt/presentation.xml": ".pptx",
    b"application/epub+zip": ".epub",
}
_HTML_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html)", re.IGNORECASE)


class SkippedDocumentWarning(UserWarning):
    """A file within a folder could not be read and was left out."""


def load_documents(
    paths: StrPath | Iterable[StrPath],
    *,
    glob: str = "**/*",
    exclude: Iterable[str] = DEFAULT_EXCLUDES,
    on_error: Callable[[DocumentError], None] | None = None,
) -> list[Document]:
    """Load files and folders, in the order given, each file once.

    Args:
        paths: One path or several: a file, a folder (searched recursively), or `-` for standard input.
        glob: Which files within folders to take, relative to the folder; `**` stands for any number of folders.
        exclude: Files and folders within folders to pass over: patterns for their names or their relative paths.
            Virtual environments are always passed over, and links to folders and out of the folder are not followed.
        on_error: Called with the error of each file within a folder that cannot be read; the others are still loaded.
            The default warns with `SkippedDocumentWarning`.

    Returns:
        One Document per PDF page, slide, or sheet, else one per file. `metadata` holds `source` (the path as given),
        `page` (counted from 1, None where there are no pages) and, for sheets of a workbook, `sheet`.

    Raises:
        DocumentNotFoundError: A path does not exist, or nothing in a folder can be read.
        DocumentError: A file that was named itself cannot be read, see `load_bytes` for the kinds; or a folder that was
            named cannot be listed.
        InputError: No path is given.
    """
    report = on_error or _warn
    documents: list[Document] = []
    loaded: set[str] = set()
    for root in _as_paths(paths):
        is_folder = _is_folder(root)
        files = _files_under(root, glob, exclude, report) if is_folder else [root]
        for path in files:
            if (identity := _identity(path)) in loaded:
                continue
            try:
                documents += load_file(path)
            except DocumentError as error:
                if not is_folder:
                    raise
                report(error)
            else:
                loaded.add(identity)
        if is_folder and loaded.isdisjoint(map(_identity, files)):
            raise _nothing_readable(root, glob)
    return documents


def find_files(
    paths: StrPath | Iterable[StrPath],
    *,
    glob: str = "**/*",
    exclude: Iterable[str] = DEFAULT_EXCLUDES,
    on_error: Callable[[DocumentError], None] | None = None,
) -> list[Path]:
    """List the files that `load_documents` would load for the same arguments, without reading them whole.

    Args:
        paths: As for `load_documents`; `-` is passed on as it is.
        glob: As for `load_documents`.
        exclude: As for `load_documents`.
        on_error: Called with an error for each folder within a folder that cannot be listed, and for each link that
            leads out of it. The default warns.

    Returns:
        The files, sorted within each folder, each once.

    Raises:
        DocumentNotFoundError: A path does not exist, or a folder holds no file of a type that can be read.
        DocumentError: A folder that was named cannot be listed.
        InputError: No path is given.
    """
    report = on_error or _warn
    found: dict[str, Path] = {}
    for root in _as_paths(paths):
        if _is_folder(root):
            files = _files_under(root, glob, exclude, report)
        elif root == STDIN_PATH or os.path.lexists(root):
            files = [root]
        else:
            raise _no_such_path(root)
        for path in files:
            found.setdefault(_identity(path), path)
    return list(found.values())


def load_file(path: StrPath) -> list[Document]:
    """Load one file, or standard input for `-`, whose source is then called `stdin`.

    Raises:
        DocumentNotFoundError: There is no such file.
        DocumentError: It cannot be read; see `load_bytes` for the kinds.
    """
    return load_bytes(read_bytes(path), STDIN_NAME if Path(path) == STDIN_PATH else str(path))


def read_bytes(path: StrPath) -> bytes:
    """Return what a file, a pipe, or standard input for `-`, holds.

    Raises:
        DocumentNotFoundError: There is no such file.
        BrokenDocumentError: It is larger than `MAX_FILE_BYTES`.
        DocumentError: It is a folder or a device, or may not be read.
    """
    path = Path(path)
    if path == STDIN_PATH:
        return _read_all(sys.stdin.buffer, STDIN_NAME)
    try:
        with _opened(path) as file:
            return _read_all(file, str(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_such_path(path) from error
    except IsADirectoryError as error:
        raise DocumentError(str(path), "is a folder, not a file; load it with `load_documents`") from error
    except (OSError, ValueError) as error:
        raise DocumentError(str(path), f"cannot be read ({error}); check its name and permissions") from error


def _opened(path: Path) -> BinaryIO:
    """Open a file or a pipe. A pipe that nobody writes to counts as empty, where Python would wait for somebody.

    Raises:
        DocumentError: It is something else, such as a device that never ends.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - `Path.open` takes no opener
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISFIFO(mode):
        os.set_blocking(file.fileno(), True)
    elif not stat.S_ISREG(mode):
        file.close()
        raise DocumentError(str(path), "is a device, not a file; give what it holds on standard input, with '-'")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_all(file: BinaryIO, name: str) -> bytes:
    """Return all that is left in a file, which may grow meanwhile."""
    whole = io.BytesIO()
    while piece := file.read(_PIECE):
        if whole.tell() + len(piece) > MAX_FILE_BYTES:
            raise BrokenDocumentError(name, f"has more than {MAX_FILE_BYTES:,} bytes; divide it into several files")
        whole.write(piece)
    return whole.getvalue()


def load_bytes(data: bytes, name: str) -> list[Document]:
    """Load the contents of one file.

    Args:
        data: The whole file.
        name: Its path or name: the `source` of the Documents. Its suffix tells the format; if that is not known, the
            contents do.

    Returns:
        One Document per PDF page, slide, or sheet that has text, else one.

    Raises:
        EmptyDocumentError: There is no text in it.
        UnsupportedDocumentError: No reader knows this type.
        ScannedDocumentError: A PDF without a text layer.
        EncryptedDocumentError: A password is needed.
        BrokenDocumentError: It is damaged, or not what its name says; or it has more text than `MAX_CHARACTERS`, or
            reading it takes too long or too much memory.
    """
    if not data or data.isspace():
        raise EmptyDocumentError(name, "the file is empty")
    sections = [section for section in _read_sections(data, name) if _has_text(section.text)]
    if not sections:
        raise EmptyDocumentError(name, "there is no text in this file")
    documents = []
    for index, (text, page, sheet) in enumerate(sections, start=1):
        metadata = {"source": name, "page": page} | ({"sheet": sheet} if sheet is not None else {})
        separator = "\n\n" if index < len(sections) else ""
        documents.append(Document(page_content=text + separator, metadata=metadata))
    return documents


def source_text(documents: Iterable[Document], source: str) -> str:
    """Return the text of a source, in which the offsets of citations count.

    Args:
        documents: Documents as loaded, in order; those of other sources are passed over.
        source: The `source` in their metadata.
    """
    return "".join(document.page_content for document in documents if document.metadata.get("source") == source)


def _warn(error: DocumentError) -> None:
    warnings.warn(f"skipped {error}", SkippedDocumentWarning, stacklevel=3)


def _as_paths(paths: StrPath | Iterable[StrPath]) -> list[Path]:
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given or not all(map(os.fspath, given)):
        msg = f"no path in {paths!r}; give a file, a folder, or '-' for standard input"
        raise InputError(msg)
    return [Path(path) for path in given]


def _identity(path: Path) -> str:
    """Return what is the same for every way to write the path of one file."""
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL in the path, which reading it will report
        return str(path)


def _is_folder(path: Path) -> bool:
    try:
        return path != STDIN_PATH and path.is_dir()
    except OSError:
        return False


def _no_such_path(path: Path) -> DocumentNotFoundError:
    problem = f"there is no such file or folder; check the path (relative paths start at {Path.cwd()})"
    return DocumentNotFoundError(str(path), problem)


def _nothing_readable(folder: Path, glob: str) -> DocumentNotFoundError:
    problem = f"nothing readable in this folder matches {glob!r}; what can be read: {_READABLE_TYPES}"
    return DocumentNotFoundError(str(folder), problem)


def _files_under(
    folder: Path, glob: str, exclude: Iterable[str], report: Callable[[DocumentError], None]
) -> list[Path]:
    paths = [folder / path for path in scan(folder, exclude, report) if matches(path, glob)]
    files = sorted(path for path in paths if has_reader(path))
    if not files:
        raise _nothing_readable(folder, glob)
    return files


def has_reader(path: Path) -> bool:
    """Tell by its suffix, else by its first bytes, whether a file in a folder is worth loading.

    A file of no bytes, such as most `__init__.py`, is not: nobody expects text from it.
    """
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return False
        if path.suffix.lower() in _KNOWN_SUFFIXES:
            return True
        with _opened(path) as file:
            head = file.read(_SNIFFED_BYTES)
    except (OSError, DocumentError):
        return False
    return _detect_format(head, path.name) != ".txt" or not looks_binary(head)


def _detect_format(data: bytes, name: str) -> str:
    """Return the suffix that stands for the format: the name's own if it is known, else by the contents."""
    suffix = PurePath(name).suffix.lower()
    if suffix in _KNOWN_SUFFIXES:
        return suffix
    if data.startswith(b"%PDF-"):
        return ".pdf"
    if data.startswith(b"PK\x03\x04"):
        return next((format_ for member, format_ in _ZIP_MEMBERS.items() if member in data), ".txt")
    if data.startswith(OLE_MAGIC):
        return ".doc"
    return ".html" if _HTML_START.match(data[:_SNIFFED_BYTES]) else ".txt"


def _read_sections(data: bytes, name: str) -> list[Section]:
    format_ = _detect_format(data, name)
    if reader := _BINARY_READERS.get(format_):
        return read_apart(reader, data, name)
    if modern := _SAVE_AS.get(format_):
        if is_encrypted_office(data):
            raise EncryptedDocumentError(name, "a password protects this file; save a copy without one")
        raise UnsupportedDocumentError(name, f"there is no reader for this format; save it as {modern}")
    if len(data) > MAX_CHARACTERS * _MOST_BYTES_OF_A_CHARACTER:
        raise too_long(name)
    text = decode_html(data) if format_ in _HTML_SUFFIXES else decode_text(data)
    if text is None:
        problem = f"neither text nor a type with a reader; what can be read: {_READABLE_TYPES}"
        raise UnsupportedDocumentError(name, problem)
    if len(text) > MAX_CHARACTERS:
        raise too_long(name)
    if format_ in _HTML_SUFFIXES:
        return read_html(text, name)
    return read_csv(text, name) if format_ in _TABLE_SUFFIXES else [Section(text)]


def _has_text(text: str) -> bool:
    text = text.removeprefix("\ufeff")
    return bool(text) and not text.isspace()
