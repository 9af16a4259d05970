"""What is kept between runs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import START, StateGraph
from scripted import ScriptedChatModel
from typing_extensions import TypedDict

from langchain_qwen_longctx import sqlite_files
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.persistence import (
    REPLIES_FILE,
    THREADS_FILE,
    ReplyCache,
    open_checkpointer,
    open_reply_cache,
    reply_key,
)
from langchain_qwen_longctx.prompts import READ
from langchain_qwen_longctx.schemas import Reading, SearchPlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage


class Counter(TypedDict):
    count: int


def messages(question: str = "Who?", text: str = "[1] Ada Brook took the chair.") -> list[BaseMessage]:
    return READ.format_messages(question=question, sentences=text)


def ollama(**options: Any) -> ChatOllama:
    return ChatOllama(**({"model": "qwen2:7b", "num_ctx": 8192, "temperature": 0, "seed": 42} | options))


def openai(**options: Any) -> ChatOpenAI:
    given: dict[str, Any] = {"model": "qwen2", "base_url": "http://a/v1", "api_key": "a", "timeout": 60, "seed": 42}
    return ChatOpenAI(**(given | options))


@pytest.mark.parametrize(
    "other",
    [
        lambda: reply_key(ollama(), messages(question="Whom?"), Reading),
        lambda: reply_key(ollama(), messages(text="[1] Ada Brook left the chair."), Reading),
        lambda: reply_key(ollama(), messages(), SearchPlan),
        lambda: reply_key(ollama(), messages(), None),
        lambda: reply_key(ollama(model="qwen2:0.5b"), messages(), Reading),
        lambda: reply_key(ollama(temperature=0.7), messages(), Reading),
        lambda: reply_key(ollama(seed=43), messages(), Reading),
        lambda: reply_key(ollama(num_ctx=4096), messages(), Reading),
        lambda: reply_key(ollama(num_predict=16), messages(), Reading),
        lambda: reply_key(ScriptedChatModel(model="qwen2:7b"), messages(), Reading),
    ],
    ids=["question", "chunk", "schema", "no schema", "name", "temperature", "seed", "window", "length", "class"],
)
def test_whatever_may_change_a_reply_changes_its_key(other: Callable[[], str]) -> None:
    assert other() != reply_key(ollama(), messages(), Reading)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://127.0.0.1:9999"},
        {"client_kwargs": {"timeout": 5}},
        {"keep_alive": "1h"},
        {"tags": ["mine"], "metadata": {"user": "me"}},
    ],
    ids=["address", "timeout", "keep alive", "tags"],
)
def test_where_a_model_runs_and_how_long_it_is_waited_for_does_not(options: dict[str, Any]) -> None:
    assert reply_key(ollama(**options), messages(), Reading) == reply_key(ollama(), messages(), Reading)


@pytest.mark.parametrize(
    "options",
    [{"base_url": "http://b/v1"}, {"timeout": 5}, {"api_key": "b"}, {"max_retries": 7}],
    ids=["address", "timeout", "key", "retries"],
)
def test_nor_does_it_for_an_openai_compatible_server(options: dict[str, Any]) -> None:
    assert reply_key(openai(**options), messages(), Reading) == reply_key(openai(), messages(), Reading)


@given(left=st.lists(st.text(max_size=4), max_size=3), right=st.lists(st.text(max_size=4), max_size=3))
def test_words_cannot_move_from_one_message_to_the_next_unnoticed(left: list[str], right: list[str]) -> None:
    model = ScriptedChatModel()

    keys = [reply_key(model, [HumanMessage(text) for text in texts], None) for texts in (left, right)]

    assert (keys[0] == keys[1]) is (left == right)


def test_who_speaks_is_part_of_the_key() -> None:
    model: BaseChatModel = ScriptedChatModel()

    assert reply_key(model, [HumanMessage("Hi")], None) != reply_key(model, [SystemMessage("Hi")], None)


def test_a_key_is_the_same_in_another_process(tmp_path: Path) -> None:
    script = (
        "from langchain_ollama import ChatOllama\n"
        "from langchain_qwen_longctx.persistence import reply_key\n"
        "from langchain_qwen_longctx.schemas import Reading\n"
        "from langchain_qwen_longctx.prompts import READ\n"
        "model = ChatOllama(model='qwen2:7b', num_ctx=8192, temperature=0, seed=42)\n"
        "messages = READ.format_messages(question='Who?', sentences='[1] Ada Brook took the chair.')\n"
        "print(reply_key(model, messages, Reading))\n"
    )

    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)  # noqa: S603

    assert printed.stdout.strip() == reply_key(ollama(), messages(), Reading)


def test_any_cache_of_langgraph_will_do() -> None:
    cache = ReplyCache(InMemoryCache())

    cache.keep("a", "沈文达 [1]")

    assert (cache.find("a"), cache.find("b")) == ("沈文达 [1]", None)


def test_a_reply_survives_on_disk(tmp_path: Path) -> None:
    open_reply_cache(tmp_path / "deep" / "folder").keep("a", "沈文达 [1]")

    assert open_reply_cache(tmp_path / "deep" / "folder").find("a") == "沈文达 [1]"


def test_two_connections_share_a_folder_at_once(tmp_path: Path) -> None:
    caches = [open_reply_cache(tmp_path), open_reply_cache(tmp_path)]

    def work(number: int) -> str | None:
        caches[number % 2].keep(str(number), f"reply {number}")
        return caches[(number + 1) % 2].find(str(number))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(200)))

    assert found == [f"reply {number}" for number in range(200)]


def test_two_processes_share_a_folder_at_once(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from langchain_qwen_longctx.persistence import open_reply_cache\n"
        "cache = open_reply_cache(Path(sys.argv[1]))\n"
        "for number in range(150):\n"
        "    cache.keep(sys.argv[2] + str(number), sys.argv[2])\n"
    )
    cache = open_reply_cache(tmp_path)

    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path), "theirs"], stderr=subprocess.PIPE) as other:  # noqa: S603
        while other.poll() is None or cache.find("ours149") is None:
            for number in range(150):
                cache.keep(f"ours{number}", "ours")
        assert other.stderr is not None
        assert other.stderr.read() == b""

    assert all(cache.find(f"{whose}{number}") == whose for whose in ("ours", "theirs") for number in range(150))


@pytest.mark.parametrize(("name", "open_file"), [(REPLIES_FILE, open_reply_cache), (THREADS_FILE, open_checkpointer)])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, name: str, open_file: Callable[[Path], Any]) -> None:
    (tmp_path / name).write_bytes(b"longer than a database's header, and not one " * 40)

    with pytest.raises(InputError, match=rf"{name} cannot be used \(file is not a database\); delete it"):
        open_file(tmp_path)


@pytest.mark.parametrize(("name", "open_file"), [(REPLIES_FILE, open_reply_cache), (THREADS_FILE, open_checkpointer)])
def test_a_file_that_is_damaged_where_its_tables_are_described_is_named_as_well(
    name: str, open_file: Callable[[Path], Any], tmp_path: Path
) -> None:
    open_file(tmp_path)
    with closing(sqlite3.connect(tmp_path / name)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = (tmp_path / name).read_bytes()
    # Of what Python cannot decode it makes another error than SQLite's.
    (tmp_path / name).write_bytes(content.replace(b"NULL,", b"NULL\xac"))

    with pytest.raises(InputError, match=f"{name} cannot be used"):
        open_file(tmp_path)


def rewrite(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / REPLIES_FILE)) as connection:
        connection.execute(statement, values)
        connection.commit()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cache SET val = replace(val, CAST('[1]' AS BLOB), CAST('[3]' AS BLOB))",
        "UPDATE cache SET key = 'b' || key",
        "UPDATE cache SET val = x'ff' || val",
        "UPDATE cache SET encoding = 'msgpack'",
        "UPDATE cache SET expiry = 'never'",
        "UPDATE cache SET ns = 'replies,1'",
    ],
    ids=["another number", "another key", "no text", "another kind", "no number", "an earlier version"],
)
def test_a_reply_that_is_not_as_it_was_kept_is_asked_for_again(change: str, tmp_path: Path) -> None:
    open_reply_cache(tmp_path).keep("a", "沈文达 [1]")
    rewrite(tmp_path, change)

    cache = open_reply_cache(tmp_path)

    assert (cache.find("a"), cache.find("ba")) == (None, None)
    assert cache.keep("a", "沈文达 [1]")
    assert open_reply_cache(tmp_path).find("a") == "沈文达 [1]"


@pytest.mark.parametrize("encoding", ["pickle", "msgpack", "json"])
def test_nothing_in_a_file_of_replies_is_run(encoding: str, tmp_path: Path) -> None:
    payload = ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(("os", "mkdir", str(tmp_path / "was here")))))
    open_reply_cache(tmp_path).keep("a", "沈文达 [1]")
    rewrite(tmp_path, "UPDATE cache SET encoding = ?, val = ?", encoding, payload)

    assert open_reply_cache(tmp_path).find("a") is None
    assert not (tmp_path / "was here").exists()


def test_a_store_that_fails_is_told_once_with_its_file_and_costs_no_reply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_reply_cache(tmp_path)
    rewrite(tmp_path, "DROP TABLE cache")

    found, kept = cache.find("a"), [cache.keep("a", "沈文达 [1]") for _ in range(3)]

    assert (found, kept) == (None, [False] * 3)
    [told] = caplog.messages
    assert f"{REPLIES_FILE} cannot be used (no such table: cache); delete it" in told


def test_a_file_that_another_program_holds_is_waited_for_once_and_then_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_files, "PATIENCE", 0.2)
    cache = open_reply_cache(tmp_path)

    with closing(sqlite3.connect(tmp_path / REPLIES_FILE)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        kept = [cache.keep(str(number), "沈文达 [1]") for number in range(20)]

    assert not any(kept)
    assert 0.1 < time.monotonic() - began < 2
    assert open_reply_cache(tmp_path).keep("a", "沈文达 [1]")


def test_processes_that_begin_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from langchain_qwen_longctx.persistence import open_checkpointer, open_reply_cache\n"
        "import langgraph.cache.sqlite, langchain_qwen_longctx.threads\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    open_checkpointer(Path(line.strip()))\n"
        "    open_reply_cache(Path(line.strip())).keep(sys.argv[1], 'kept')\n"
    )
    commands = [[sys.executable, "-c", script, name] for name in "ab"]
    pipe = subprocess.PIPE
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for command in commands]  # noqa: S603
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()

    folders = [tmp_path / str(number) for number in range(25)]
    for worker in workers:
        worker.communicate("".join(f"{folder}\n" for folder in folders))

    assert [worker.returncode for worker in workers] == [0, 0]
    assert all(open_reply_cache(folder).find(name) == "kept" for folder in folders for name in "ab")


def test_a_thread_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    graph = StateGraph(Counter)
    graph.add_node("count", lambda state: {"count": state["count"] + 1})
    graph.add_edge(START, "count")
    thread: Any = {"configurable": {"thread_id": "1"}}

    graph.compile(checkpointer=open_checkpointer(tmp_path)).invoke({"count": 1}, thread)

    assert graph.compile(checkpointer=open_checkpointer(tmp_path)).get_state(thread).values == {"count": 2}
