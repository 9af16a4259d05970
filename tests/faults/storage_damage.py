"""What can become of a file, and indexes that are damaged, exchanged or outdated: made again, never believed."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from unittest import mock

from chronicle import chronicle
from command_line import BIRTH_FACT, TOWN_FACT
from outcomes import Outcome, trial, wrong

from langchain_qwen_longctx import BilingualBM25Retriever, indexing, retrievers
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.notes import open_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from langchain_core.documents import Document
    from trials import Trial

TOWN: Final = chronicle(8, {2: TOWN_FACT, 6: BIRTH_FACT})
OTHER: Final = TOWN.replace("毛一清", "孟二白")
FOREIGN: Final = (
    b"",
    b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
    "不是这里的文件。".encode() * 400,
    b"SQLite format 3\x00" + b"\x10\x00" * 2000,
    pickle.dumps({"documents": [TOWN]}),
)
PAGE: Final = 4096
"""Bytes in a page of SQLite's files."""

Damage: TypeAlias = "Callable[[bytes], Iterable[bytes]]"


def damages(count: int) -> Mapping[str, Damage]:
    """Return what can be done to a file, each so many times at most."""
    return {
        "cut": lambda content: (content[:end] for end in range(0, len(content), max(1, len(content) // count))),
        "with a flipped bit": lambda content: flipped(content, 2 * count),
        "with a page emptied or exchanged": overwritten,
        "replaced by something else": lambda _: FOREIGN,
    }


def flipped(content: bytes, count: int) -> Iterator[bytes]:
    """Yield a file with one bit flipped, so many times, where it is not empty."""
    dice, places = random.Random(3), [place for place, byte in enumerate(content) if byte]
    for _ in range(count):
        changed = bytearray(content)
        changed[dice.choice(places)] ^= 1 << dice.randrange(8)
        yield bytes(changed)


def overwritten(content: bytes) -> Iterator[bytes]:
    """Yield a file with each of its pages emptied, and with each replaced by the next one."""
    pages = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    for number in range(len(pages)):
        for other in (bytes(PAGE), pages[(number + 1) % len(pages)]):
            yield b"".join([*pages[:number], other, *pages[number + 1 :]])


def trials(folder: Path, count: int) -> Iterator[Trial]:
    """Try every damage so many times on an index that is saved in an empty folder."""
    index = Index(folder)
    for what, damage in damages(count).items():
        yield trial(f"a saved index {what}", map(index.attempt, damage(index.content)))
    yield trial("a saved index of another version, analyzer, size of chunks or document", index.outdated())
    yield trial("a document changed, its size and time as they were", index.changed())


class Index:
    """A document with its saved index.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._cache, self._document = folder / "index", folder / "镇志.txt"
        self._document.write_text(TOWN, "utf-8")
        self._sound = self._open().docs
        [self._saved] = self._cache.iterdir()
        self.content = self._saved.read_bytes()

    def _open(self, **options: Any) -> BilingualBM25Retriever:
        retriever, self._report = open_index([self._document], cache_dir=self._cache, **options)
        return retriever

    def attempt(self, content: bytes) -> Outcome:
        """Open the index with something else in its file."""
        self._saved.write_bytes(content)
        return self._judge(self._sound)

    def _judge(self, expected: list[Document], **options: Any) -> Outcome:
        try:
            found = self._open(**options).docs
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            return wrong(repr(error))
        if found != expected:
            return wrong("another index than the document's was believed")
        return Outcome("made again" if self._report.read else "as it was")

    def outdated(self) -> Iterator[Outcome]:
        """Open the index after what made it has changed."""
        self._saved.write_bytes(self.content)
        for module, name in (
            (retrievers, "ANALYZER_VERSION"),
            (retrievers, "FORMAT_VERSION"),
            (indexing, "TEXT_VERSION"),
        ):
            with mock.patch.object(module, name, "0"):
                yield self._made_again()
        yield self._made_again(chunk_tokens=256)
        another = self._document.with_name("another.txt")
        another.write_text(OTHER, "utf-8")
        before = set(self._cache.iterdir())
        open_index([another], cache_dir=self._cache)
        [foreign] = set(self._cache.iterdir()) - before
        yield self.attempt(foreign.read_bytes())
        shutil.rmtree(self._cache)
        self._saved.mkdir(parents=True)
        yield self._judge(self._sound)
        self._saved.rmdir()

    def _made_again(self, **options: Any) -> Outcome:
        outcome = self._judge(open_index([self._document], cache_dir=None, **options)[0].docs, **options)
        return (
            outcome
            if outcome.verdict == "made again" or not outcome.is_right
            else wrong("an outdated index was believed")
        )

    def changed(self) -> Iterator[Outcome]:
        """Open the index after the document has changed without a trace in its size and time, and so for notes."""
        notes = self._document.parent / "notes"
        notes.mkdir()
        yield self._read_again(self._document, self._open)
        yield self._read_again(notes / "镇志.md", lambda: open_notes(notes, cache_dir=self._cache)[0].retriever)

    def _read_again(self, path: Path, opened: Callable[[], BilingualBM25Retriever]) -> Outcome:
        path.write_text(TOWN, "utf-8")
        opened()
        before = path.stat()
        path.write_text(OTHER, "utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            return wrong("size or time have changed")
        is_new = "孟二白" in "".join(chunk.page_content for chunk in opened().docs)
        return Outcome("read again") if is_new else wrong("an outdated index was believed")
