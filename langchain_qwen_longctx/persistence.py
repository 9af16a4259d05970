"""What is kept between runs: the model's replies, and the state of conversations."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_qwen_longctx.sqlite_files import is_in_use, open_file, tune, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langgraph.cache.base import BaseCache
    from pydantic import BaseModel

    from langchain_qwen_longctx.threads import ThreadSaver

ItemT = TypeVar("ItemT")

logger = logging.getLogger(__name__)

REPLIES_FILE: Final = "replies.sqlite"
THREADS_FILE: Final = "threads.sqlite"
NAMESPACE: Final = ("replies", "2")
"""The second part is the version of what is stored; what an earlier one has left is never read."""

SEAL_LENGTH: Final = 16
CANNOT_KEEP: Final = "the model's replies cannot be kept (%s); they will be asked for again next time"

REST: Final = 60.0
"""Seconds in which a file is left alone that another program holds; each try would wait for it."""

# Fields of a chat model that do not change what it says: where it runs, how long it is waited for, who is told.
_WITHOUT_EFFECT: Final = frozenset(
    {
        "async_client_kwargs", "base_url", "cache", "cache_dir", "callbacks", "client_kwargs", "custom_get_token_ids",
        "disable_streaming", "keep_alive", "max_retries", "metadata", "name", "openai_api_base", "output_version",
        "rate_limiter", "request_timeout", "sync_client_kwargs", "tags", "timeout", "validate_model_on_init", "verbose",
    }
)  # fmt: skip


class ReplyCache:
    """Replies of models, by everything they depend on; over any cache of LangGraph's.

    LangChain's own model caches store the prompts as well, which would make a full reading larger than the document.
    LangGraph's node cache keeps what nodes write, so that what a reply cost would be counted again each time.

    A store that fails costs a later run the call, not this one its answer; it is told once. Each reply is kept with a
    seal, so that what a disk has changed is asked for again.

    Args:
        store: `SqliteCache`, `RedisCache`, `InMemoryCache` or any other; values are texts.
        path: Its file, if it has one, for what is said when it fails.
    """

    def __init__(self, store: BaseCache[str], path: Path | None = None) -> None:
        self._store = store
        self._path = path
        self._is_failing = False
        self._rests_until = 0.0

    def find(self, key: str) -> str | None:
        """Return the reply kept under a key of `reply_key`, or None."""
        if self._is_resting():
            return None
        try:
            kept = self._store.get([(NAMESPACE, key)]).get((NAMESPACE, key))
        except Exception as error:  # noqa: BLE001 - each store has errors of its own, and may find itself damaged
            self._tell(error)
            return None
        text = None if kept is None else kept[SEAL_LENGTH:]
        if text is not None and kept != _seal(key, text) + text:
            self._tell(ValueError("a reply is not as it was kept"))
            return None
        return text

    def keep(self, key: str, text: str) -> bool:
        """Keep a reply for good, and tell whether it could be."""
        if self._is_resting():
            return False
        try:
            self._store.set({(NAMESPACE, key): (_seal(key, text) + text, None)})
        except Exception as error:  # noqa: BLE001 - see above
            self._tell(error)
            return False
        return True

    @contextmanager
    def claimed(self, key: str, seconds: float) -> Iterator[str | None]:  # noqa: ARG002 - for caches with claims
        """Yield the reply kept under a key, or None if it is the caller's to make.

        Where workers share replies, one of them at a time makes it. The others wait for it, so many seconds at most.
        """
        yield self.find(key)

    def in_own_order(self, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """Return things to be asked about in the order in which this worker does that, where several share replies."""
        return items

    def _tell(self, error: Exception) -> None:
        if not self._is_failing:
            logger.warning(CANNOT_KEEP, unusable(self._path, error) if self._path else error)
        self._is_failing = True
        if is_in_use(error):
            self._rests_until = time.monotonic() + REST

    def _is_resting(self) -> bool:
        return time.monotonic() < self._rests_until


def _seal(key: str, text: str) -> str:
    sealed = f"{key}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(sealed, digest_size=SEAL_LENGTH // 2).hexdigest()


class TextSerializer:
    """Writes texts, and reads nothing else: LangGraph's own makes an object of any class that is named in the file."""

    def dumps_typed(self, obj: str) -> tuple[str, bytes]:
        """Return the kind of what is written, and its bytes."""
        return "text", obj.encode("utf-8", "surrogatepass")

    def loads_typed(self, data: tuple[str, bytes]) -> str:
        """Return a text.

        Raises:
            ValueError: It is none.
        """
        kind, text = data
        if kind != "text":
            msg = f"it holds a {kind!r}, not a text"
            raise ValueError(msg)
        return text.decode("utf-8", "surrogatepass")


def reply_key(model: BaseChatModel, messages: Sequence[BaseMessage], schema: type[BaseModel] | None) -> str:
    """Return a hash of all that a reply depends on: the model and its options, the schema, and every word it is told.

    The prompt's version, the question and the chunk are in the words. A model that its server replaced under the same
    name cannot be told apart.
    """
    options = {
        name: value
        for name in type(model).model_fields
        if name not in _WITHOUT_EFFECT and _is_plain(value := getattr(model, name))
    }
    asked = [type(model).__name__, options, _json_schema(schema) if schema else None]
    said = [[message.type, message.text] for message in messages]
    digest = hashlib.blake2b(json.dumps([asked, said], sort_keys=True, default=str).encode(), digest_size=16)
    return digest.hexdigest()


@cache
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | list | tuple | dict)


def open_reply_cache(folder: Path) -> ReplyCache:
    """Return the durable cache in a folder, which may be shared by several processes at once.

    Raises:
        InputError: The folder's file is damaged or cannot be opened.
    """
    from langgraph.cache.sqlite import SqliteCache  # noqa: PLC0415 - only if something is kept

    def connect(path: Path) -> ReplyCache:
        store: SqliteCache[str] = SqliteCache(path=str(path), serde=TextSerializer())
        tune(store._conn)  # noqa: SLF001 - it takes a path and no options
        return ReplyCache(store, path)

    return open_file(folder / REPLIES_FILE, connect)


def open_checkpointer(folder: Path) -> ThreadSaver:
    """Return the durable checkpointer in a folder, for conversations and for this package's graph.

    It reads plain values, messages, documents, and what LangGraph itself adds; for a graph of your own with other
    objects in its state, take a checkpointer of your own.

    Raises:
        InputError: The folder's file is damaged or cannot be opened; later, that a thread cannot be read or kept.
    """
    from langchain_qwen_longctx.threads import ThreadSaver  # noqa: PLC0415 - only if something is kept

    return open_file(folder / THREADS_FILE, ThreadSaver)
