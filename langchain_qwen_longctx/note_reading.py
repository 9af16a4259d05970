"""From the bytes of a note to its chunks and terms, and what the index remembers of the note itself."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.document_loaders import load_bytes
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.note_properties import Properties, read_front_matter, read_properties
from langchain_qwen_longctx.text_encodings import decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.documents import Document

    from langchain_qwen_longctx.folder_scan import Stamp
    from langchain_qwen_longctx.text_splitters import QwenTextSplitter

logger = logging.getLogger(__name__)

Kind: TypeAlias = Literal["note", "broken", "other"]
"""What a file is: one that was read, one that could not be, or one in which there is nothing to read."""

_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")

MAX_NAME_TERMS: Final = 1_000
"""Terms that a note is found by beside those of its text; every chunk of it has them."""

_MARKDOWN: Final = frozenset({".md", ".markdown"})


class Note(NamedTuple):
    """What the index remembers of a file. Lists instead of tuples, as JSON has them.

    Attributes:
        stamp: Its stamp when it was read; empty if it may have changed since without a trace there.
        digest: A hash of its content; empty where that does not matter.
        kind: What it is.
        title: The title in its front matter.
        tags: Its tags.
        links: What it calls other notes: the target as written, and the name.
        called: What others call it.
    """

    stamp: Stamp
    digest: str
    kind: Kind
    title: str
    tags: list[str]
    links: list[list[str]]
    called: list[str]

    def reads_as(self, other: Note | None) -> bool:
        """Tell whether another state of the same file gives the same chunks and terms."""
        return other is not None and (self.digest, self.called) == (other.digest, other.called)


class ReadNote(NamedTuple):
    """A note as it was read.

    Attributes:
        note: What is remembered of it, but for what others call it.
        chunks: Its chunks. Beside what the splitter says, their metadata has the `line` of the file in which the chunk
            begins, from 1; None where the text is not the file's own.
        terms: The terms of each chunk.
        names: The file's name, title, aliases and tags.
    """

    note: Note
    chunks: list[Document]
    terms: list[list[str]]
    names: list[str]

    def terms_by(self, called: Sequence[str]) -> list[list[str]]:
        """Return what each chunk is to be found by: its own terms, and once each those of what the note is called."""
        names = list(dict.fromkeys(analyze(" \n".join([*self.names, *called]))))[:MAX_NAME_TERMS]
        return [terms + names for terms in self.terms]


def read_note(path: Path, source: str, data: bytes, stamp: Stamp, splitter: QwenTextSplitter) -> ReadNote:
    """Read a file.

    Args:
        path: Its path, for messages.
        source: Its path in the folder, which becomes the `source` of its chunks.
        data: What it holds.
        stamp: Its stamp.
        splitter: Makes the chunks.

    Raises:
        DocumentError: It cannot be read.
    """
    documents = load_bytes(data, str(path))
    for document in documents:
        document.metadata["source"] = source
    text = documents[0].page_content
    is_verbatim = len(documents) == 1 and documents[0].metadata["page"] is None and text == decode_text(data)
    chunks = splitter.split_documents(documents)
    number_lines(chunks, text if is_verbatim else None)
    is_markdown = is_verbatim and path.suffix.lower() in _MARKDOWN
    said = read_properties(text, front_matter_of(text, path)) if is_markdown else Properties("", [], [], [])
    return ReadNote(
        note=Note(stamp, digest_of(data), "note", said.title, said.tags, said.links, []),
        chunks=chunks,
        terms=[analyze(chunk.page_content) for chunk in chunks],
        names=[PurePosixPath(source).stem, said.title, *said.aliases, *said.tags],
    )


def unread(stamp: Stamp, digest: str, kind: Kind) -> Note:
    """Return what is remembered of a file that is no note."""
    return Note(stamp, digest, kind, "", [], [], [])


def digest_of(data: bytes) -> str:
    """Return a hash of what a file holds: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def front_matter_of(text: str, path: Path) -> dict[str, Any]:
    """Return the front matter of a note; if it cannot be read, the note is text all the same, and a warning says so."""
    try:
        return read_front_matter(text)
    except InputError as error:
        logger.warning("%s: %s; its title and tags are not known", path, error)
        return {}


def number_lines(chunks: Iterable[Document], text: str | None) -> None:
    """Put into the metadata of chunks the lines in which they begin, from 1; None without a text to count in."""
    line, counted = 1, 0
    for chunk in chunks:
        if text is not None:
            line += count_breaks(text[counted : chunk.metadata["start"]])
            counted = chunk.metadata["start"]
        chunk.metadata["line"] = None if text is None else line


def line_of(chunk: Document, start: int) -> int | None:
    """Return the line of the file, from 1, that has the character at an offset of its text; None where there are none.

    Args:
        chunk: The chunk that holds the character.
        start: The offset.
    """
    line: int | None = chunk.metadata["line"]
    before = chunk.page_content[: start - chunk.metadata["start"]]
    return None if line is None else line + count_breaks(before)


def count_breaks(text: str) -> int:
    """Return how many lines end in a text. Editors count the three ways to end one, and no others."""
    return len(_LINE_BREAK.findall(text))


def nicknames(notes: Mapping[str, Note]) -> dict[str, list[str]]:
    """Return what notes are called in the links of others, by their sources, in alphabetical order.

    A link names a note by its path or the end of it, with or without the suffix, as Obsidian has it. Where that is
    ambiguous, Markdown comes before other formats, and the shorter path before the longer.

    Args:
        notes: All notes, by their sources.
    """
    links = defaultdict[str, set[str]](set)
    for note in notes.values():
        for target, name in note.links:
            links[target.casefold()].add(name)
    wanted = {stem for target in links for stem in _stems(target)}
    namesakes = defaultdict(list)
    for source, note in notes.items():
        if note.kind == "note" and (stem := _stems(source.casefold())[1]) in wanted:
            namesakes[stem].append(source)
    called = defaultdict[str, set[str]](set)
    for target, names in links.items():
        sources = [source for stem in _stems(target) for source in namesakes[stem]]
        if sources:
            called[min(sources, key=partial(_distance, target))] |= names
    return {source: sorted(names) for source, names in called.items()}


def _stems(path: str) -> tuple[str, str]:
    """Return the last part of a path, and that without its suffix."""
    last = path.rpartition("/")[2]
    return last, last.rpartition(".")[0] or last


def _distance(target: str, source: str) -> tuple[bool, bool, int, str]:
    path = source.casefold()
    is_it = f"/{path}".endswith(f"/{target}") or f"/{path.rpartition('.')[0]}".endswith(f"/{target}")
    return not is_it, not path.endswith(tuple(_MARKDOWN)), path.count("/"), source
