"""An index in two parts, so that a change costs what has changed: in memory, and in a folder.

`base` is an index of all notes as of some day, `recent` one of what has changed since. Each is a file that is replaced
as a whole and says which notes it was made of, and `recent` names the `base` that it belongs to. Whatever a crash or
another process leaves behind is thus the index of some earlier state of the notes, from which to go on.
"""

from __future__ import annotations

import logging
import os
import uuid
from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple

from langchain_qwen_longctx.errors import IndexFileError
from langchain_qwen_longctx.indexing import remove_leftovers
from langchain_qwen_longctx.note_reading import Note
from langchain_qwen_longctx.private_files import private_folder
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)

MAX_RECENT: Final = 1 / 8
"""Once so large a share of `base` has changed, the two parts are made one."""


class Part(NamedTuple):
    """An index of some notes.

    Attributes:
        notes: The notes that it was made of, by their sources.
        retriever: Their chunks.
    """

    notes: Mapping[str, Note]
    retriever: BilingualBM25Retriever

    def valid(self, notes: Mapping[str, Note]) -> set[str]:
        """Return the notes that still read as when this was made of them."""
        return {source for source, note in self.notes.items() if note.reads_as(notes.get(source))}


class NoteStore:
    """The two parts.

    Args:
        folder: Where they are kept, or to be kept; None keeps nothing.
        made_by: Names what makes chunks and terms of a note. Parts made by something else are of no use.

    Attributes:
        notes: The notes as they were when the parts were saved.
    """

    def __init__(self, folder: Path | None, made_by: str) -> None:
        self._folder = folder
        self._made_by = made_by
        if folder:
            remove_leftovers(folder)
        base, recent = self._load("base"), self._load("recent")
        self._base_id = base.about["base"]
        if recent.about["base"] != self._base_id:
            recent = nothing()
        later = _notes_in(recent)
        self._base = Part(_notes_in(base), base)
        gone = set(recent.about["removed"])
        self.notes = {source: note for source, note in self._base.notes.items() if source not in gone} | later
        unchanged = self._base.valid(self.notes)
        self._recent = Part({source: note for source, note in later.items() if source not in unchanged}, recent)

    def find(self, source: str, digest: str) -> Note | None:
        """Return a note that `base` has with this content, though it may have had another since."""
        note = self._base.notes.get(source)
        return note if note and note.digest == digest else None

    def whole(self, notes: Mapping[str, Note]) -> BilingualBM25Retriever:
        """Return the chunks of notes, all of which were added in the state they are in."""
        recent = self._recent.notes.keys()
        return join((self._base.retriever, self._base.valid(notes) - recent), (self._recent.retriever, recent))

    def add(self, fresh: Part, notes: Mapping[str, Note]) -> None:
        """Add notes, and save.

        Args:
            fresh: The notes to add.
            notes: All that there are now.
        """
        kept = self._recent.valid(notes) - fresh.notes.keys()
        joined = join((self._recent.retriever, kept), (fresh.retriever, fresh.notes.keys()))
        self._recent = Part({source: notes[source] for source in kept} | dict(fresh.notes), joined)
        before, unchanged = self._base.retriever.docs, self._base.valid(notes)
        outdated = sum(chunk.metadata["source"] not in unchanged for chunk in before)
        is_base_due = len(joined.docs) + outdated > MAX_RECENT * len(before)
        if is_base_due:
            self._base, self._base_id = Part(dict(notes), self.whole(notes)), uuid.uuid4().hex
            self._recent = Part({}, nothing())
        self._save(notes, is_base_due=is_base_due)

    def _save(self, notes: Mapping[str, Note], *, is_base_due: bool) -> None:
        earlier = self._base.notes
        later = {source: note for source, note in notes.items() if earlier.get(source) != note}
        try:
            if is_base_due:
                self._write("base", self._base.retriever, earlier)
            self._write("recent", self._recent.retriever, later, sorted(earlier.keys() - notes.keys()))
        except OSError as error:
            # A full disk or a read-only folder costs the next run some seconds, not this one its answer.
            logger.warning("the index of the notes could not be saved (%s); it will be made again next time", error)

    def _write(
        self, name: str, retriever: BilingualBM25Retriever, notes: Mapping[str, Note], removed: Collection[str] = ()
    ) -> None:
        if path := self._path(name):
            about = {"made_by": self._made_by, "base": self._base_id, "notes": notes, "removed": list(removed)}
            private_folder(path.parent)
            retriever.model_copy(update={"about": about}).save(path)

    def _path(self, name: str) -> Path | None:
        return self._folder / f"{name}.safetensors" if self._folder else None

    def _load(self, name: str) -> BilingualBM25Retriever:
        """Return a part with what is said about it; nothing if it is not there, damaged, or foreign."""
        path = self._path(name)
        if not (path and os.path.exists(path)):  # noqa: PTH110 - False where one may not look
            return nothing()
        try:
            retriever = BilingualBM25Retriever.load(path)
        except IndexFileError as error:
            logger.warning("%s; indexing the notes again", error)
            return nothing()
        is_own = isinstance(retriever.about, dict) and retriever.about.get("made_by") == self._made_by
        return retriever if is_own else nothing()


def nothing() -> BilingualBM25Retriever:
    """Return an index of no notes."""
    empty = BilingualBM25Retriever.from_documents([])
    empty.about = {"base": "", "notes": {}, "removed": []}
    return empty


def join(*parts: tuple[BilingualBM25Retriever, Collection[str]]) -> BilingualBM25Retriever:
    """Return the chunks of the given notes of each part as one retriever, in the order of their sources."""
    retrievers = [retriever for retriever, _ in parts if retriever.docs]
    wanted = [doc.metadata["source"] in sources for retriever, sources in parts for doc in retriever.docs]
    places = [(doc.metadata["source"], doc.metadata["start"]) for retriever in retrievers for doc in retriever.docs]
    order = sorted(compress(range(len(wanted)), wanted), key=places.__getitem__)
    if len(retrievers) == 1 and order == list(range(len(wanted))):
        return retrievers[0]
    return BilingualBM25Retriever.merge(retrievers, numbers=order)


def _notes_in(retriever: BilingualBM25Retriever) -> dict[str, Note]:
    return {source: Note(*remembered) for source, remembered in retriever.about["notes"].items()}
