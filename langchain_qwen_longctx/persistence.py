"""What is kept between runs: the model's replies, and the state of conversations."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.sqlite import SqliteSaver
    from pydantic import BaseModel

logger = logging.getLogger(__name__)

REPLIES_FILE: Final = "replies.sqlite"
THREADS_FILE: Final = "threads.sqlite"
NAMESPACE: Final = ("replies", "1")
"""The second part is the version of what is stored."""

MAX_LOG_PAGES: Final = 64
"""Pages of 4 KiB after which SQLite folds its write-ahead log into the file; its default of 1,000 outgrows the data."""

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

    Args:
        store: `SqliteCache`, `RedisCache`, `InMemoryCache` or any other; values are texts.
    """

    def __init__(self, store: BaseCache[str]) -> None:
        self._store = store

    def find(self, key: str) -> str | None:
        """Return the reply kept under a key of `reply_key`, or None."""
        try:
            return self._store.get([(NAMESPACE, key)]).get((NAMESPACE, key))
        except sqlite3.Error as error:
            logger.warning("kept replies cannot be read (%s); the model is asked again", error)
            return None

    def keep(self, key: str, text: str) -> None:
        """Keep a reply for good."""
        try:
            self._store.set({(NAMESPACE, key): (text, None)})
        except sqlite3.Error as error:
            logger.warning("a reply cannot be kept (%s)", error)


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

    with _opening(folder / REPLIES_FILE) as path:
        store: SqliteCache[str] = SqliteCache(path=str(path))
        _tune(store._conn)  # noqa: SLF001 - it takes a path and no options
    return ReplyCache(store)


def open_checkpointer(folder: Path) -> SqliteSaver:
    """Return the durable checkpointer in a folder.

    Raises:
        InputError: The folder's file is damaged or cannot be opened.
    """
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415

    with _opening(folder / THREADS_FILE) as path:
        saver = SqliteSaver(sqlite3.connect(path, check_same_thread=False))
        saver.setup()
        _tune(saver.conn)
    return saver


@contextmanager
def _opening(path: Path) -> Iterator[Path]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
    except (sqlite3.DatabaseError, OSError) as error:
        msg = f"{path} cannot be opened ({error}); delete it, or give another folder"
        raise InputError(msg) from error


def _tune(connection: sqlite3.Connection) -> None:
    """Wait for other processes, and leave it to the system when a commit reaches the disk.

    In the mode of a write-ahead log, a crash of the process loses nothing by that, and one of the machine at most the
    last replies.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA busy_timeout = 60000")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {MAX_LOG_PAGES}")
