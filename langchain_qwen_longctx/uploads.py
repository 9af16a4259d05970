"""Uploads: what a server takes, how long it keeps it, and what makes room for more."""

from __future__ import annotations

import io
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, Final

from langchain_qwen_longctx.document_collections import SERVED, Collection, CollectionInfo, Failure
from langchain_qwen_longctx.document_loaders import load_bytes
from langchain_qwen_longctx.errors import CollectionError, DocumentError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_core.documents import Document

MAX_NAME: Final = 200

SHARE_OF_ONE: Final = 4
"""A collection has this part of all text at most: to index it takes several times the memory that it has afterwards."""

SECONDS_SAFE: Final = 300.0
"""So long after its last use, a collection does not make room for another."""

NO_SUCH_COLLECTION: Final = (
    "there is no collection {!r}: its time is over, it made room for others, or the server was started anew; upload "
    "again"
)


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """What may be uploaded.

    Attributes:
        max_file_bytes: Bytes of a file at most. Default 20 MB.
        max_files: Files of a collection at most. Default 20.
        max_collections: Collections kept at once at most. Default 64.
        max_total_bytes: Bytes of text in UTF-8 of all of them, a quarter of it in one, at most. Default 100 MB, some
            25 million tokens; with its index, text takes some twenty times its size in memory.
        lifetime_seconds: How long a collection is kept after it was last used. Default an hour.
    """

    max_file_bytes: int = 20_000_000
    max_files: int = 20
    max_collections: int = 64
    max_total_bytes: int = 100_000_000
    lifetime_seconds: float = 3600.0

    @property
    def max_text_bytes(self) -> int:
        """Bytes of text of a collection at most."""
        return self.max_total_bytes // SHARE_OF_ONE


class Shelf:
    """All collections of a server. Those of uploads are in memory alone, and are forgotten after a while.

    Args:
        served: The documents that the server was started with, if any.
        limits: What may be uploaded.
        chunk_tokens: Most tokens in a chunk.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        served: Collection | None,
        limits: UploadLimits,
        chunk_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.served = served
        self.limits = limits
        self._chunk_tokens = chunk_tokens
        self._clock = clock
        self._lock = Lock()
        self._uploads: dict[str, Collection] = {}
        # Bytes of text of those that are being indexed.
        self._coming: list[int] = []

    def __len__(self) -> int:
        """Return how many collections of uploads there are."""
        with self._lock:
            self._forget_old()
            return len(self._uploads)

    def add(self, files: Sequence[tuple[str, BinaryIO]]) -> Collection:
        """Read and index uploaded files, if need be in place of a collection that was not used for a while.

        Args:
            files: Their names and contents.

        Raises:
            CollectionError: There are too many, one is too large, none can be read, or there is no room for them.
        """
        self._check(files)
        documents, failed = self._read(files)
        if not documents:
            problems = "; ".join(f"{failure['source']}: {failure['problem']}" for failure in failed)
            raise CollectionError(422, f"none of the files can be read: {problems}")
        with self._room_for(text_bytes(documents)) as size:
            chunks = QwenTextSplitter(chunk_tokens=self._chunk_tokens).split_documents(documents)
            index = BilingualBM25Retriever.from_documents(chunks)
            collection = Collection(secrets.token_urlsafe(16), index, failed, text_bytes=size, used=self._clock())
            with self._lock:
                self._uploads[collection.id] = collection
        return collection

    def get(self, name: str) -> Collection:
        """Return a collection, which is then kept for its whole lifetime again.

        Raises:
            CollectionError: There is none of this name.
        """
        if name == SERVED and self.served:
            return self.served
        with self._lock:
            self._forget_old()
            if name not in self._uploads:
                is_own = name == SERVED
                problem = "this server has no documents of its own; upload some first" if is_own else None
                raise CollectionError(404, problem or NO_SUCH_COLLECTION.format(name))
            collection = self._uploads[name]
            collection.used = self._clock()
            return collection

    def remove(self, name: str) -> None:
        """Forget a collection of uploads.

        Raises:
            CollectionError: There is none of this name, or it is not one of uploads.
        """
        if name == SERVED:
            raise CollectionError(403, "the documents that the server was started with cannot be removed")
        self.get(name)
        with self._lock:
            self._uploads.pop(name, None)

    def describe(self, collection: Collection) -> CollectionInfo:
        """Return what is told of a collection."""
        age = self._clock() - collection.used
        return {
            "id": collection.id,
            "documents": collection.documents(),
            "chunks": len(collection.retriever.docs),
            "failed": collection.failed,
            "expires_in": None if collection is self.served else max(0.0, self.limits.lifetime_seconds - age),
        }

    def _check(self, files: Sequence[tuple[str, BinaryIO]]) -> None:
        limits = self.limits
        if not 1 <= len(files) <= limits.max_files:
            raise CollectionError(422, f"there are {len(files)} files; send between 1 and {limits.max_files}")
        for name, file in files:
            if (size := file.seek(0, io.SEEK_END)) > limits.max_file_bytes:
                problem = f"{safe_name(name)} has {size:,} bytes, more than {limits.max_file_bytes:,}; divide it"
                raise CollectionError(413, problem)

    def _read(self, files: Sequence[tuple[str, BinaryIO]]) -> tuple[list[Document], list[Failure]]:
        documents: list[Document] = []
        failed: list[Failure] = []
        size, limit = 0, self.limits.max_text_bytes
        for name, (_, file) in zip(unique_names([name for name, _ in files]), files, strict=True):
            file.seek(0)
            try:
                loaded = load_bytes(file.read(), name)
            except DocumentError as error:
                failed.append({"source": name, "problem": str(error).removeprefix(f"{name}: ")})
                continue
            documents += loaded
            if (size := size + text_bytes(loaded)) > limit:
                raise CollectionError(413, f"there are {size:,} bytes of text, more than {limit:,}; divide it")
        return documents, failed

    @contextmanager
    def _room_for(self, size: int) -> Iterator[int]:
        """Make room for so many bytes of text, and hold it until they are kept."""
        with self._lock:
            self._forget_old()
            while self._is_full(size):
                self._forget_one()
            self._coming.append(size)
        try:
            yield size
        finally:
            with self._lock:
                self._coming.remove(size)

    def _is_full(self, size: int) -> bool:
        sizes = [size, *self._coming, *(collection.text_bytes for collection in self._uploads.values())]
        return len(sizes) > self.limits.max_collections or sum(sizes) > self.limits.max_total_bytes

    def _forget_one(self) -> None:
        """Forget the collection that was not used for the longest time."""
        oldest = min(self._uploads.values(), key=attrgetter("used"), default=None)
        if oldest is None or self._clock() - oldest.used < SECONDS_SAFE:
            problem = (
                f"the {len(self._uploads)} collections that are kept leave no room; delete one, or try again later"
            )
            raise CollectionError(503, problem)
        del self._uploads[oldest.id]

    def _forget_old(self) -> None:
        oldest = self._clock() - self.limits.lifetime_seconds
        for name in [name for name, collection in self._uploads.items() if collection.used < oldest]:
            del self._uploads[name]


def text_bytes(documents: Iterable[Document]) -> int:
    """Return how many bytes the text of documents has in UTF-8."""
    return sum(len(document.page_content.encode(errors="replace")) for document in documents)


def unique_names(names: Sequence[str]) -> list[str]:
    """Return safe names for files, of which no two are alike: sources are told apart by them."""
    taken: list[str] = []
    for name in map(safe_name, names):
        stem, dot, suffix = name.rpartition(".")
        number, unique = 1, name
        while unique in taken:
            number += 1
            unique = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
        taken.append(unique)
    return taken


def safe_name(name: str) -> str:
    """Return a file's name without the folders before it, and without characters that cannot be seen."""
    last = re.split(r"[\\/]", name)[-1]
    seen = "".join(character if character.isprintable() else "_" for character in last).strip()
    return seen[-MAX_NAME:] or "document"
