"""From paths to a retriever, reading and splitting only what is new.

Every file has an index of its own in the cache folder, under a hash of its bytes, its name, and what made the index. An
unchanged file is loaded from there, a changed one is read again, and the parts are joined into one retriever.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.analyzers import ANALYZER_VERSION
from langchain_qwen_longctx.document_loaders import (
    DEFAULT_EXCLUDES,
    STDIN_NAME,
    STDIN_PATH,
    find_files,
    load_bytes,
    read_bytes,
)
from langchain_qwen_longctx.errors import DocumentError, DocumentNotFoundError, IndexFileError
from langchain_qwen_longctx.page_gaps import pages_without_text
from langchain_qwen_longctx.private_files import private_folder
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

logger = logging.getLogger(__name__)

# Names what loaders and splitter make of a file. Raise it with any change to them: saved indexes are then made anew.
TEXT_VERSION: Final = "2"

# Seconds after its last change from which on nobody is writing a file any more.
ABANDONED: Final = 3600.0


@dataclass(slots=True)
class IndexReport:
    """What became of the files.

    Attributes:
        read: Sources that were read, split and indexed.
        reused: Sources whose saved index was still good.
        failed: Errors of files inside folders, which were skipped.
        chunks: Chunks in all.
        gaps: By source, the pages that no chunk is from.
    """

    read: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failed: list[DocumentError] = field(default_factory=list)
    chunks: int = 0
    gaps: dict[str, list[int]] = field(default_factory=dict)

    def add(self, other: IndexReport) -> None:
        """Add what became of other files."""
        self.read += other.read
        self.reused += other.reused
        self.failed += other.failed
        self.chunks += other.chunks
        self.gaps |= other.gaps


def open_index(
    paths: Iterable[str | Path],
    *,
    cache_dir: Path | None,
    chunk_tokens: int = 512,
    glob: str = "**/*",
    exclude: Sequence[str] = DEFAULT_EXCLUDES,
    on_file: Callable[[str, int, int], None] | None = None,
) -> tuple[BilingualBM25Retriever, IndexReport]:
    """Return one retriever over the chunks of all files.

    Args:
        paths: Files, folders, or `-` for standard input.
        cache_dir: Folder of the saved indexes; None saves nothing and reads everything.
        chunk_tokens: Most tokens in a chunk.
        glob: Which files of a folder to take.
        exclude: Patterns of names to leave out within folders.
        on_file: Called before each file with its name, its number from 0, and how many there are.

    Raises:
        DocumentError: A file given by name cannot be read, or nothing in the folders can.
    """
    parts: list[BilingualBM25Retriever] = []

    def index_each(files: Sequence[Path]) -> Generator[tuple[int, IndexReport], None, None]:
        for number, path in enumerate(files):
            if on_file:
                on_file(str(path), number, len(files))
            retriever, report = index_file(path, cache_dir, chunk_tokens)
            parts.extend([retriever] if retriever else [])
            yield number, report

    report = index_files(paths, index_each, cache_dir=cache_dir, glob=glob, exclude=exclude)
    return parts[0] if len(parts) == 1 else BilingualBM25Retriever.merge(parts), report


def index_files(
    paths: Iterable[str | Path],
    index_each: Callable[[Sequence[Path]], Generator[tuple[int, IndexReport], None, None]],
    *,
    cache_dir: Path | None,
    glob: str = "**/*",
    exclude: Sequence[str] = DEFAULT_EXCLUDES,
) -> IndexReport:
    """Have all files indexed, and return what became of them.

    Args:
        paths: As for `open_index`, and so are those that follow.
        index_each: Indexes files as `index_file` does, and yields the number and the report of each, in any order.
        cache_dir: Folder of the saved indexes.
        glob: Which files of a folder to take.
        exclude: Patterns of names to leave out within folders.

    Raises:
        DocumentError: A file given by name cannot be read, or nothing in the folders can.
    """
    given = list(paths)
    roots = [Path(path) for path in given]
    named = {path for path in roots if not os.path.isdir(path)}  # noqa: PTH112 - False for a name too long, too
    report, by_number = IndexReport(), {}
    if cache_dir:
        remove_leftovers(cache_dir)
    files = find_files(given, glob=glob, exclude=exclude, on_error=report.failed.append)
    with closing(index_each(files)) as reports:
        for number, of_file in reports:
            if of_file.failed and files[number] in named:
                raise of_file.failed[0]
            by_number[number] = of_file
    for number in sorted(by_number):
        report.add(by_number[number])
    if not report.read and not report.reused:
        folder = ", ".join(map(str, roots))
        raise DocumentNotFoundError(
            folder, f"none of its {len(files)} files can be read; the first: {report.failed[0]}"
        )
    return report


def index_file(
    path: Path, cache_dir: Path | None, chunk_tokens: int
) -> tuple[BilingualBM25Retriever | None, IndexReport]:
    """Return the index of a file, which is saved if it is new, and what became of the file; None if it failed."""
    try:
        retriever, source, is_reused = _index_file(path, cache_dir, chunk_tokens)
    except DocumentError as error:
        return None, IndexReport(failed=[error])
    report = IndexReport(chunks=len(retriever.docs), gaps=pages_without_text(retriever.docs))
    (report.reused if is_reused else report.read).append(source)
    return retriever, report


def _index_file(path: Path, cache_dir: Path | None, chunk_tokens: int) -> tuple[BilingualBM25Retriever, str, bool]:
    data = read_bytes(path)
    source = STDIN_NAME if path == STDIN_PATH else str(path)
    key = _key(data, source, chunk_tokens)
    saved = cache_dir / f"{key}.safetensors" if cache_dir else None
    if saved and os.path.exists(saved):  # noqa: PTH110 - False where the folder may not be looked into
        try:
            return _load(saved, key), source, True
        except IndexFileError as error:
            logger.warning("%s; indexing %s again", error, source)
    documents = load_bytes(data, source)
    del data  # as large as the text
    chunks = QwenTextSplitter(chunk_tokens=chunk_tokens).split_documents(documents)
    del documents
    retriever = BilingualBM25Retriever.from_documents(chunks, about=key)
    if saved:
        _save(retriever, saved)
    return retriever, source, False


def _load(path: Path, key: str) -> BilingualBM25Retriever:
    """Return a saved index; a file that was copied or renamed to this one's name is of another document.

    Raises:
        IndexFileError: It cannot be read, or is another one.
    """
    retriever = BilingualBM25Retriever.load(path)
    if retriever.about != key:
        msg = f"{path}: an index of something else"
        raise IndexFileError(msg)
    return retriever


def _key(data: bytes, source: str, chunk_tokens: int) -> str:
    made_by = f"{source}\0{chunk_tokens}\0{TEXT_VERSION}\0{ANALYZER_VERSION}\0"
    return hashlib.blake2b(made_by.encode("utf-8", "surrogateescape") + data, digest_size=16).hexdigest()


def _save(retriever: BilingualBM25Retriever, path: Path) -> None:
    try:
        private_folder(path.parent)
        retriever.save(path)
    except OSError as error:
        # A full disk or a read-only folder costs the next run some seconds, not this one its answer.
        logger.warning("the index could not be saved (%s); it will be made again next time", error)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed had begun to save in a folder."""
    with suppress(OSError):
        for path in folder.glob("*.safetensors*.part"):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)
