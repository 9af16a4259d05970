"""An index of a folder of notes that follows the folder: what has changed is read, the rest is kept.

What is new, changed, or gone is told by the files themselves, never by what the index says of them.
"""

from __future__ import annotations

import gc
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_qwen_longctx.bm25 import Postings, SparseBM25Okapi
from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES, has_reader, read_bytes
from langchain_qwen_longctx.errors import DocumentError, DocumentNotFoundError, EmptyDocumentError, InputError
from langchain_qwen_longctx.folder_scan import Stamp, is_settled, scan
from langchain_qwen_longctx.indexing import TEXT_VERSION
from langchain_qwen_longctx.note_properties import is_tagged
from langchain_qwen_longctx.note_reading import Note, ReadNote, digest_of, nicknames, read_note, unread
from langchain_qwen_longctx.note_store import NoteStore, Part, join
from langchain_qwen_longctx.page_gaps import in_words, pages_without_text
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

OnFile: TypeAlias = Callable[[str, int, int], None]

LAYOUT: Final = "notes-1"
"""Names what is remembered of notes and what they are found by. Raise it with any change to them."""

SAVE_EVERY: Final = 30.0
"""Seconds of reading after which what has been read is saved."""

ALLOCATIONS_PER_COLLECTION: Final = 500_000
"""Objects made and kept until the garbage collector looks through them; Python's own default is 700."""

MAX_TAGS_TOLD: Final = 12

NO_TEXT: Final = "no text is on them; if they are scanned, recognise it first, e.g. `ocrmypdf in.pdf out.pdf`"


@dataclass(slots=True)
class NotesReport:
    """What a refresh found.

    Attributes:
        notes: Notes in the folder that can be searched.
        chunks: Their chunks.
        new: Notes that were not there before.
        changed: Notes whose content has changed.
        removed: Notes that are gone; one that was renamed is gone, and new.
        unreadable: Files that could not be read, now or in the state they are still in.
        failed: What was wrong with those that could not be read now, or with pages of them.
    """

    notes: int = 0
    chunks: int = 0
    new: int = 0
    changed: int = 0
    removed: int = 0
    unreadable: int = 0
    failed: list[DocumentError] = field(default_factory=list)

    def compare(self, before: Mapping[str, Note], now: Mapping[str, Note]) -> None:
        """Count what has become of the notes."""
        was, are = (
            {source: note.digest for source, note in notes.items() if note.kind == "note"} for notes in (before, now)
        )
        self.notes, self.new, self.removed = len(are), len(are.keys() - was.keys()), len(was.keys() - are.keys())
        self.changed = sum(digest != was.get(source, digest) for source, digest in are.items())
        self.unreadable = sum(note.kind == "broken" for note in now.values())


def open_notes(
    folder: str | Path,
    *,
    cache_dir: Path | None,
    chunk_tokens: int = 512,
    exclude: Sequence[str] = DEFAULT_EXCLUDES,
    on_file: OnFile | None = None,
) -> tuple[NotesIndex, NotesReport]:
    """Return the index of a folder of notes, brought up to date, and what has changed since it was saved.

    Args:
        folder: The folder.
        cache_dir: Where indexes of notes are kept, each in a folder of its own; None keeps nothing.
        chunk_tokens: Most tokens in a chunk.
        exclude: Patterns of names or paths in the folder to leave out.
        on_file: As for `NotesIndex.refresh`.

    Raises:
        DocumentError: There is no such folder, or it cannot be listed.
    """
    with rare_collection():
        index = NotesIndex(Path(folder), cache_dir=cache_dir, chunk_tokens=chunk_tokens, exclude=exclude)
        return index, index.refresh(on_file)


@contextmanager
def rare_collection() -> Iterator[None]:
    """Let the garbage collector look for cycles more seldom, while a hundred thousand objects come to stay."""
    thresholds = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


class NotesIndex:
    """The index of a folder of notes, as of its last refresh; `open_notes` makes one.

    Every chunk is found by its words and by what its note is called: file name, title, aliases, tags, and the names
    that other notes link to it by.

    Attributes:
        folder: The folder.
        notes: What is known of its files, by their paths in it, with `/` between the parts. These are the `source` of
            the chunks.
    """

    def __init__(self, folder: Path, *, cache_dir: Path | None, chunk_tokens: int, exclude: Sequence[str]) -> None:
        if not folder.is_dir():
            raise DocumentNotFoundError(str(folder), "there is no such folder; name the one that your notes are in")
        self.folder = folder
        self._exclude = tuple(exclude)
        self._splitter = QwenTextSplitter(chunk_tokens)
        saved = cache_dir / self._key() if cache_dir else None
        self._store = NoteStore(saved, f"{LAYOUT} {TEXT_VERSION} {chunk_tokens}")
        self._fresh: dict[str, ReadNote] = {}
        self._called: dict[str, list[str]] = {}
        self._whole: BilingualBM25Retriever | None = None
        self.notes = self._store.notes

    @property
    def retriever(self) -> BilingualBM25Retriever:
        """All notes, in the order of their paths."""
        if self._whole is None:
            self._whole = self._store.whole(self.notes)
        return self._whole

    def refresh(self, on_file: OnFile | None = None) -> NotesReport:
        """Bring the index up to date, and save it. Whatever ends this, what has been read by then is kept.

        Args:
            on_file: Called before each file that is read with its path in the folder, its number from 0, and how many
                there are to read.

        Raises:
            DocumentError: The folder cannot be listed.
        """
        report, before, now = NotesReport(), self.notes, time.time_ns()
        stamps = scan(self.folder, self._exclude, report.failed.append)
        self.notes = {source: note for source, note in before.items() if source in stamps}
        suspects = {
            source: stamp if is_settled(stamp, now) else []
            for source, stamp in sorted(stamps.items())
            if source not in self.notes or self.notes[source].stamp != stamp
        }
        try:
            self._read_all(suspects, report, on_file or (lambda *_: None))
        finally:
            if self.notes != before or self._fresh:
                self._commit()
        report.compare(before, self.notes)
        report.chunks = len(self.retriever.docs)
        return report

    def narrowed(self, subfolder: str | None = None, tags: Iterable[str] = ()) -> BilingualBM25Retriever:
        """Return a retriever over some of the notes, its scores those of an index of these alone.

        Args:
            subfolder: Only notes in this folder: its path, or its path in the folder of the index.
            tags: Only notes that have all of these tags, or tags below them.

        Raises:
            InputError: There is no such note.
        """
        below, wanted = self._prefix(subfolder), list(tags)
        notes = {source: note for source, note in self.notes.items() if source.startswith(below)}
        found = {source for source, note in notes.items() if all(is_tagged(note.tags, tag) for tag in wanted)}
        retriever = join((self.retriever, found))
        if retriever.docs:
            return retriever
        if wanted and notes:
            there = Counter(tag for note in notes.values() for tag in note.tags).most_common(MAX_TAGS_TOLD)
            told = f"the most frequent tags: {', '.join(tag for tag, _ in there)}" if there else "no note has a tag"
            msg = f"no note with text has the tag {' and '.join(wanted)}; {told}"
            raise InputError(msg)
        raise DocumentNotFoundError(str(self.folder / below), "no note with text lies in it")

    def _prefix(self, subfolder: str | None) -> str:
        if subfolder is None:
            return ""
        root = self.folder.resolve()
        path = (root / subfolder).resolve()
        if not (path.is_dir() and path.is_relative_to(root)):
            msg = f"{subfolder!r} is no folder in {self.folder}; give its path from there"
            raise InputError(msg)
        inside = path.relative_to(root).as_posix()
        return "" if inside == "." else f"{inside}/"

    def _read_all(self, suspects: Mapping[str, Stamp], report: NotesReport, on_file: OnFile) -> None:
        saved = time.monotonic()
        for number, (source, stamp) in enumerate(suspects.items()):
            on_file(source, number, len(suspects))
            self._look_at(source, stamp, report)
            if time.monotonic() - saved > SAVE_EVERY:
                self._commit()
                saved = time.monotonic()
        # A note is found by what others call it, so it is read again if they have changed their minds.
        self._called = nicknames(self.notes)
        for source, note in list(self.notes.items()):
            if source not in self._fresh and note.called != self._called.get(source, []):
                data = self._bytes(source, report)
                if data is not None:
                    self._take_in(source, data, note.stamp, report)

    def _look_at(self, source: str, stamp: Stamp, report: NotesReport) -> None:
        """Read a file that is new or looks changed, unless it holds what it held before."""
        if not has_reader(self.folder / source):
            self.notes[source] = unread(stamp, "", "other")
            return
        data, earlier = self._bytes(source, report), self.notes.get(source)
        if data is None:
            return
        known = earlier if earlier and earlier.digest == digest_of(data) else self._store.find(source, digest_of(data))
        if known:
            self.notes[source] = known._replace(stamp=stamp)
        else:
            self._take_in(source, data, stamp, report)

    def _bytes(self, source: str, report: NotesReport) -> bytes | None:
        """Return what a file holds; None, and no longer a note, if it cannot be opened now: that may pass by itself."""
        try:
            return read_bytes(self.folder / source)
        except DocumentError as error:
            self.notes.pop(source, None)
            report.failed.append(error)
            return None

    def _take_in(self, source: str, data: bytes, stamp: Stamp, report: NotesReport) -> None:
        try:
            read = read_note(self.folder / source, source, data, stamp, self._splitter)
        except EmptyDocumentError:
            self.notes[source] = unread(stamp, digest_of(data), "other")
        except DocumentError as error:
            self.notes[source] = unread(stamp, digest_of(data), "broken")
            report.failed.append(error)
        else:
            self._fresh[source], self.notes[source] = read, read.note
            report.failed += [
                DocumentError(f"{self.folder / source}, pages {in_words(pages)}", NO_TEXT)
                for pages in pages_without_text(read.chunks).values()
            ]

    def _commit(self) -> None:
        """Index what was read, and save it."""
        for source, read in self._fresh.items():
            self.notes[source] = read.note._replace(called=self._called.get(source, []))
        corpus = (terms for source, read in self._fresh.items() for terms in read.terms_by(self.notes[source].called))
        chunks = [chunk for read in self._fresh.values() for chunk in read.chunks]
        retriever = BilingualBM25Retriever(vectorizer=SparseBM25Okapi(Postings.from_corpus(corpus)), docs=chunks)
        self._store.add(Part({source: self.notes[source] for source in self._fresh}, retriever), self.notes)
        self._fresh, self._whole = {}, None

    def _key(self) -> str:
        """Return the name of the folder in which the index of this one is kept."""
        named = "\0".join([os.path.realpath(self.folder), *self._exclude])
        return hashlib.blake2b(named.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
