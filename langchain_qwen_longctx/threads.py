"""Threads in a file: what is read from it is made into what threads are made of, and into nothing else."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Interrupt, Overwrite, Send

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.sqlite_files import tune, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple

logger = logging.getLogger(__name__)

_MESSAGES: Final = (AIMessage, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage)
_CHUNKS: Final = (
    AIMessageChunk,
    ChatMessageChunk,
    FunctionMessageChunk,
    HumanMessageChunk,
    SystemMessageChunk,
    ToolMessageChunk,
)
CLASSES: Final[dict[tuple[str, str], Any]] = {
    (kind.__module__, kind.__name__): kind
    for kind in (*_MESSAGES, *_CHUNKS, Document, Interrupt, Overwrite, Send, set, frozenset)
}
"""What objects are made of, by the names in the file."""

_DELETE_EARLIER: Final = (
    """
    DELETE FROM writes AS earlier WHERE thread_id = ? AND checkpoint_id < (
        SELECT max(checkpoint_id) FROM checkpoints
        WHERE thread_id = earlier.thread_id AND checkpoint_ns = earlier.checkpoint_ns
    )
    """,
    """
    DELETE FROM checkpoints AS earlier WHERE thread_id = ? AND checkpoint_id < (
        SELECT max(checkpoint_id) FROM checkpoints
        WHERE thread_id = earlier.thread_id AND checkpoint_ns = earlier.checkpoint_ns
    )
    """,
)

# How LangGraph writes objects: with one argument, with several, with named ones, and as a model of pydantic's.
_ONE, _SEVERAL, _NAMED, _PYDANTIC = 0, 1, 2, 5
_PLAIN: Final = frozenset({"null", "bytes", "bytearray", "msgpack"})


class ThreadSerializer:
    """Writes as LangGraph does, with a seal, and reads plain values and objects of `CLASSES` alone.

    LangGraph's own imports whatever module a file names, and calls what is in it with what the file says.
    """

    def __init__(self) -> None:
        self._serde = JsonPlusSerializer(pickle_fallback=False, __unpack_ext_hook__=self._make)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:  # noqa: ANN401 - the interface's
        """Return the kind of what is written, with its seal, and its bytes."""
        kind, data = self._serde.dumps_typed(obj)
        return f"{kind} {_seal(data)}", data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # noqa: ANN401 - the interface's
        """Return what was written.

        Raises:
            ValueError: It is not as it was written, or was written by something else.
        """
        (kind, _, seal), written = data[0].partition(" "), data[1]
        if kind not in _PLAIN or seal != _seal(written):
            msg = f"a {kind!r} that is not as it was written, or of another version"
            raise ValueError(msg)
        return self._serde.loads_typed((kind, written))

    def _make(self, code: int, data: bytes) -> Any:  # noqa: ANN401 - any of CLASSES
        module, name, arguments, *_ = self._serde.loads_typed(("msgpack", data))
        kind = CLASSES.get((module, name))
        if kind is None or code not in {_ONE, _SEVERAL, _NAMED, _PYDANTIC}:
            msg = f"it holds a {module}.{name}, which no thread does"
            raise ValueError(msg)
        if code == _ONE:
            return kind(arguments)
        return kind(*arguments) if code == _SEVERAL else kind(**arguments)


def _seal(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class ThreadSaver(SqliteSaver):
    """`SqliteSaver` that makes no object but those of threads, and names the file that it cannot work with.

    Args:
        path: The file.

    Attributes:
        is_forgiving: Whether a state that cannot be kept is told in a warning, and raises nothing: it costs whoever
            comes back to the thread something, but not the run its outcome.
    """

    is_forgiving = False

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite3.connect(path, check_same_thread=False), serde=ThreadSerializer())
        self._path = path
        self.setup()
        tune(self.conn)
        # What is damaged could be no more than a question that is not found again.
        (finding,) = self.conn.execute("PRAGMA integrity_check(1)").fetchone()
        if finding != "ok":
            raise sqlite3.DatabaseError(finding)

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:  # noqa: FBT001, FBT002 - the interface's
        """Yield a cursor.

        Raises:
            InputError: The file cannot be used, or what is read from it is no thread.
        """
        try:
            with super().cursor(transaction) as cursor:
                yield cursor
        except (sqlite3.Error, ValueError) as error:
            raise unusable(self._path, error) from error

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a state of a thread, or None if there is none.

        Raises:
            InputError: It cannot be read.
        """
        found = super().get_tuple(config)
        if found and not isinstance(found.metadata.get("step"), int):
            raise unusable(self._path, ValueError("a state that does not say of which step"))
        return found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a state of a thread.

        Raises:
            InputError: It cannot be kept.
        """
        try:
            return super().put(config, checkpoint, metadata, new_versions)
        except InputError as error:
            if not self.is_forgiving:
                raise
            logger.warning("the thread goes on without this step (%s)", error)
            return config

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete what threads were before their latest state, which holds all of a conversation.

        Args:
            thread_ids: The threads.
            strategy: LangGraph's `keep_latest`, or `delete` for the latest as well.

        Raises:
            InputError: The file cannot be used.
        """
        try:
            for thread in thread_ids:
                self._prune(thread, strategy)
        except InputError as error:
            if not self.is_forgiving:
                raise
            logger.warning("earlier states of a thread are kept (%s)", error)

    def _prune(self, thread: str, strategy: str) -> None:
        if strategy == "delete":
            self.delete_thread(thread)
            return
        with self.cursor() as cursor:
            for statement in _DELETE_EARLIER:
                cursor.execute(statement, [thread])
