"""Files, folders and standard input to LangChain Documents that say where their text comes from.

The text of a source is the plain concatenation of its Documents, in order: offsets of citations count in it. For plain
text it is the file decoded, character for character; for PDF, Word and the like what the reader extracted, with a blank
line after every page but the last. `source_text` does the concatenation.

An incremental indexer takes the steps one by one: `find_files`, `read_bytes`, and `load_bytes` for what has changed.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
import warnings
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from langchain_core.documents import Document

from langchain_qwen_longctx import file_formats
from langchain_qwen_longctx.errors import (
    DocumentError,
    DocumentNotFoundError,
    EmptyDocumentError,
    EncryptedDocumentError,
    InputError,
    UnsupportedDocumentError,
)
from langchain_qwen_longctx.text_encodings import decode_html, decode_text, looks_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_qwen_longctx.file_formats import Section

    StrPath = str | os.PathLike[str]

STDIN_PATH = Path("-")
STDIN_NAME = "stdin"

DEFAULT_EXCLUDES = (".*", "~$*", "node_modules", "__pycache__", "venv", "site-packages", "*.egg-info")

_BINARY_READERS: dict[str, Callable[[bytes, str], list[Section]]] = {
    ".pdf": file_formats.read_pdf,
    ".docx": file_formats.read_docx,
    ".xlsx": file_formats.read_xlsx,
    ".xlsm": file_formats.read_xlsx,
    ".pptx": file_formats.read_pptx,
    ".pptm": file_formats.read_pptx,
    ".epub": file_formats.read_epub,
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
            Virtual environments are always passed over, and links to folders are not followed.
        on_error: Called with the error of each file within a folder that cannot be read; the others are still loaded.
            The default warns with `SkippedDocumentWarning`.

    Returns:
        One Document per PDF page, slide, or sheet, else one per file. `metadata` holds `source` (the path as given),
        `page` (counted from 1, None where there are no pages) and, for sheets of a workbook, `sheet`.

    Raises:
        DocumentNotFoundError: A path does not exist, or nothing in a folder can be read.
        DocumentError: A file that was named itself cannot be read; see `load_bytes` for the kinds.
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
        on_error: Called with an error for each folder within a folder that cannot be listed. The default warns.

    Returns:
        The files, sorted within each folder, each once.

    Raises:
        DocumentNotFoundError: A path does not exist, or a folder holds no file of a type that can be read.
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
    """Return what a file, or standard input for `-`, holds.

    Raises:
        DocumentNotFoundError: There is no such file.
        DocumentError: It is a folder, or may not be read.
    """
    path = Path(path)
    if path == STDIN_PATH:
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_such_path(path) from error
    except IsADirectoryError as error:
        raise DocumentError(str(path), "is a folder, not a file; load it with `load_documents`") from error
    except (OSError, ValueError) as error:
        raise DocumentError(str(path), f"cannot be read ({error}); check its name and permissions") from error


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
        BrokenDocumentError: It is damaged, or not what its name says.
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
    pattern = glob.split("/")
    files = sorted(
        path
        for path in _walk(folder, tuple(exclude), report)
        if _matches(path.relative_to(folder).parts, pattern) and has_reader(path)
    )
    if not files:
        raise _nothing_readable(folder, glob)
    return files


def _walk(folder: Path, exclude: tuple[str, ...], report: Callable[[DocumentError], None]) -> Iterator[Path]:
    def is_excluded(path: Path) -> bool:
        names = (path.name, path.relative_to(folder).as_posix())
        return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in exclude)

    def report_unlisted(error: OSError) -> None:
        report(DocumentError(str(error.filename), f"cannot be listed ({error.strerror}); check its permissions"))

    for parent, subfolders, names in os.walk(folder, onerror=report_unlisted):
        here = Path(parent)
        subfolders[:] = [
            name for name in subfolders if not is_excluded(here / name) and not (here / name / "pyvenv.cfg").exists()
        ]
        yield from (here / name for name in names if not is_excluded(here / name))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Match a path to a glob, part by part, `**` included: `PurePath.full_match` is new in Python 3.13."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def has_reader(path: Path) -> bool:
    """Tell by its suffix, else by its first bytes, whether a file in a folder is worth loading.

    A file of no bytes, such as most `__init__.py`, is not: nobody expects text from it.
    """
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return False
        if path.suffix.lower() in _KNOWN_SUFFIXES:
            return True
        with path.open("rb") as file:
            head = file.read(_SNIFFED_BYTES)
    except OSError:
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
    if data.startswith(file_formats.OLE_MAGIC):
        return ".doc"
    return ".html" if _HTML_START.match(data) else ".txt"


def _read_sections(data: bytes, name: str) -> list[Section]:
    format_ = _detect_format(data, name)
    if reader := _BINARY_READERS.get(format_):
        return reader(data, name)
    if modern := _SAVE_AS.get(format_):
        if file_formats.is_encrypted_office(data):
            raise EncryptedDocumentError(name, "a password protects this file; save a copy without one")
        raise UnsupportedDocumentError(name, f"there is no reader for this format; save it as {modern}")
    text = decode_html(data) if format_ in _HTML_SUFFIXES else decode_text(data)
    if text is None:
        problem = f"neither text nor a type with a reader; what can be read: {_READABLE_TYPES}"
        raise UnsupportedDocumentError(name, problem)
    if format_ in _HTML_SUFFIXES:
        return file_formats.read_html(text, name)
    return file_formats.read_csv(text, name) if format_ in _TABLE_SUFFIXES else [file_formats.Section(text)]


def _has_text(text: str) -> bool:
    return bool(text.removeprefix("\ufeff").strip())
