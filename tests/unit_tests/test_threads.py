"""Threads in a file, and what is not made of it."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import ormsgpack
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.types import Interrupt, Send

from langchain_qwen_longctx.chat import build_chat_graph
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.persistence import THREADS_FILE, open_checkpointer
from langchain_qwen_longctx.threads import ThreadSerializer, _seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig

THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def made(*arguments: object) -> bytes:
    """Return what an object is made of."""
    return ormsgpack.packb(arguments)


def extension(code: int, *arguments: object) -> bytes:
    """Return what LangGraph's own serializer makes an object of."""
    return ormsgpack.packb({"v": 4, "channel_values": [ormsgpack.Ext(code, made(*arguments))]})


def constructor(version: int, name: list[str], **arguments: object) -> bytes:
    """Return what LangChain's, and LangGraph's earlier one, made an object of."""
    return json.dumps({"lc": version, "type": "constructor", "id": name, "kwargs": {}, **arguments}).encode()


def conversation(folder: Path) -> Any:  # noqa: ANN401 - a compiled graph
    def answer(turn: dict[str, Any]) -> dict[str, Any]:
        return {"answer": f"{len(turn['history'])} messages before"}

    qa: Any = RunnableLambda(answer)
    return build_chat_graph(qa).compile(checkpointer=open_checkpointer(folder))


def rewrite(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / THREADS_FILE)) as connection:
        connection.execute(statement, values)
        connection.commit()


@pytest.mark.parametrize(
    "value",
    [
        {"plain": [1, 2.5, None, True, "文本"], 3: b"bytes"},
        [
            HumanMessage("谁？"),
            AIMessage("Ada [1]", usage_metadata=None),
            SystemMessage("Be brief."),
            AIMessageChunk(content="A"),
        ],
        ToolMessage("done", tool_call_id="1"),
        Document("text", metadata={"source": "a.txt"}),
        Send("read_chunks", {"numbers": [1, 2], "allowance": {"calls": 3}}),
        Interrupt(value={"answer": "Ada"}, id="1"),
        {"a set": {1, 2}, "frozen": frozenset({"a"})},
        b"bytes",
        None,
    ],
    ids=["plain", "messages", "tool", "document", "send", "interrupt", "sets", "bytes", "none"],
)
def test_what_threads_are_made_of_comes_back_as_it_was(value: object) -> None:
    serde = ThreadSerializer()

    assert serde.loads_typed(serde.dumps_typed(value)) == value


def test_a_conversation_goes_on_in_another_process(tmp_path: Path) -> None:
    conversation(tmp_path).invoke({"question": "Who?"}, THREAD)

    result = conversation(tmp_path).invoke({"question": "Where?"}, THREAD)

    assert [message.text for message in result["messages"]] == [
        "Who?", "0 messages before", "Where?", "2 messages before",
    ]  # fmt: skip
    assert isinstance(result["messages"][0], HumanMessage)


ATTACKS: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "one argument": ("msgpack", lambda path: extension(0, "os", "mkdir", path)),
    "several": ("msgpack", lambda path: extension(1, "os", "mkdir", [path])),
    "named": ("msgpack", lambda path: extension(2, "os", "mkdir", {"path": path})),
    "a method": ("msgpack", lambda path: extension(3, "pathlib", "Path", path, "mkdir")),
    "pydantic 1": ("msgpack", lambda path: extension(4, "os", "mkdir", {"path": path})),
    "pydantic 2": ("msgpack", lambda path: extension(5, "os", "mkdir", {"path": path}, "model_validate_json")),
    "nested": ("msgpack", lambda path: extension(0, "builtins", "set", [ormsgpack.Ext(0, made("os", "mkdir", path))])),
    "pickle": ("pickle", lambda path: pickle.dumps(Trap(path))),
    "json": ("json", lambda path: constructor(2, ["os", "mkdir"], args=[path])),
    "langchain": ("json", lambda _: constructor(1, ["langchain", "schema", "messages", "HumanMessage"])),
}


@pytest.mark.parametrize(("kind", "attack"), ATTACKS.values(), ids=ATTACKS)
def test_nothing_in_a_file_is_run(kind: str, attack: Callable[[str], bytes], tmp_path: Path) -> None:
    conversation(tmp_path).invoke({"question": "Who?"}, THREAD)
    payload = attack(str(tmp_path / "was here"))
    rewrite(tmp_path, "UPDATE checkpoints SET type = ?, checkpoint = ?", f"{kind} {_seal(payload)}", payload)

    with pytest.raises(InputError, match=rf"{THREADS_FILE} cannot be used \(.*\); delete it, or give another folder"):
        conversation(tmp_path).get_state(THREAD)

    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checkpoints SET checkpoint = replace(checkpoint, CAST('Who' AS BLOB), CAST('How' AS BLOB))",
        "UPDATE checkpoints SET type = 'msgpack'",
        "UPDATE checkpoints SET metadata = '{'",
        "UPDATE checkpoints SET metadata = replace(metadata, 'step', 'stop')",
        "UPDATE checkpoints SET checkpoint = x'ff'",
    ],
    ids=["another word", "an earlier version", "no JSON", "no step", "no msgpack"],
)
def test_a_thread_that_is_not_as_it_was_kept_is_refused_by_name(change: str, tmp_path: Path) -> None:
    conversation(tmp_path).invoke({"question": "Who?"}, THREAD)
    rewrite(tmp_path, change)

    with pytest.raises(InputError, match=f"{THREADS_FILE} cannot be used"):
        conversation(tmp_path).get_state(THREAD)


def test_a_file_in_which_a_thread_would_not_be_found_is_refused_by_name(tmp_path: Path) -> None:
    for number in range(40):
        conversation(tmp_path).invoke({"question": "Who?"}, {"configurable": {"thread_id": f"thread-{number}"}})
    content = (tmp_path / THREADS_FILE).read_bytes()
    assert content.count(b"thread-7") >= 2
    (tmp_path / THREADS_FILE).write_bytes(content.replace(b"thread-7", b"thread+7", 1))

    with pytest.raises(InputError, match=f"{THREADS_FILE} cannot be used"):
        open_checkpointer(tmp_path)


def test_a_file_that_another_program_holds_is_not_to_be_deleted(tmp_path: Path) -> None:
    saver = open_checkpointer(tmp_path)
    saver.conn.execute("PRAGMA busy_timeout = 1")

    with closing(sqlite3.connect(tmp_path / THREADS_FILE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"cannot be used \(database is locked\); end what else is using it"):
            build_chat_graph(RunnableLambda(lambda _: {"answer": ""})).compile(checkpointer=saver).invoke(
                {"question": "Who?"}, THREAD
            )


def test_of_a_pruned_thread_its_latest_state_is_left_and_other_threads_are(tmp_path: Path) -> None:
    graph, saver = conversation(tmp_path), open_checkpointer(tmp_path)
    for number, thread in enumerate(("a", "b", "a", "a")):
        graph.invoke({"question": f"question {number}?"}, {"configurable": {"thread_id": thread}})

    saver.prune(["a"])

    def states(thread: str) -> list[Any]:
        return list(saver.list({"configurable": {"thread_id": thread}}))

    asked = graph.get_state({"configurable": {"thread_id": "a"}}).values["messages"][::2]
    assert [message.text for message in asked] == ["question 0?", "question 2?", "question 3?"]
    assert len(states("a")) == 1
    assert len(states("b")) > 1
    saver.prune(["a"], strategy="delete")
    assert states("a") == []
