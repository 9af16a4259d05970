"""What commands keep, how they go on from it, and what an interruption leaves behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import pytest
from command_line import EXPERT, FOLLOW_UP, TOWN_QUESTION, Shell, own_variables, take
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.cache.sqlite import SqliteCache
from ollama_server import FakeOllama, ServedModel
from scripted import RuleChatModel, prompt_of

from langchain_qwen_longctx import cli, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class TestReplies:
    def test_the_same_question_costs_no_call_again(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        first = shell("ask", "--level", "read", TOWN_QUESTION, town)
        calls = reader.calls

        second = shell("ask", "--level", "read", TOWN_QUESTION, town)

        assert (reader.calls, second.out) == (calls, first.out)
        assert " 0 model calls, " in second.err

    def test_no_cache_neither_uses_nor_keeps_them(
        self, shell: Shell, reader: RuleChatModel, town: Path, tmp_path: Path
    ) -> None:
        shell("ask", TOWN_QUESTION, town)
        calls, size = reader.calls, replies_size(tmp_path / "cache")

        shell("ask", "--no-cache", TOWN_QUESTION, town)

        assert reader.calls == 2 * calls
        assert replies_size(tmp_path / "cache") == size

    def test_a_file_of_replies_that_is_damaged_costs_a_line_on_stderr_and_no_answer(
        self, shell: Shell, reader: RuleChatModel, town: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "mine" / "replies"
        folder.mkdir(parents=True)
        (folder / "replies.sqlite").write_bytes(b"no database" * 1000)

        result = shell("ask", "--cache-dir", tmp_path / "mine", TOWN_QUESTION, town)

        assert result.code == 0
        assert f"the model's replies cannot be kept ({folder}" in result.err

    def test_a_disk_that_becomes_full_costs_one_line_on_stderr_and_no_answer(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def become_full(*_: object) -> None:
            msg = "database or disk is full"
            raise sqlite3.OperationalError(msg)

        monkeypatch.setattr(SqliteCache, "set", become_full)

        result = shell("ask", "--level", "read", TOWN_QUESTION, town)

        assert result.code == 0
        assert result.err.count("replies.sqlite cannot be used (database or disk is full); make room") == 1

    def test_nor_does_it_cost_the_answers_of_a_conversation(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def tune_for_a_full_disk(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA max_page_count = 1")  # which comes to as many as there are

        shell("chat", "--thread", "a", town, stdin=f"{TOWN_QUESTION}\n")
        monkeypatch.setattr(threads, "tune", tune_for_a_full_disk)

        result = shell("chat", "--thread", "a", town, stdin=f"{FOLLOW_UP}\n" * 3)

        assert (result.code, result.out.count("岭下村 [1]")) == (0, 3)
        assert "the thread goes on without this step (" in result.err
        assert "threads.sqlite cannot be used (database or disk is full); make room" in result.err

    def test_an_answer_that_there_is_no_room_to_write_is_no_fault_of_the_program(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(cli, "show", write)

        result = shell("ask", TOWN_QUESTION, town)

        assert result.code == 2
        assert result.complaint.splitlines()[-1].startswith("Error: there is no room for what is to be written (")


def replies_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("replies.sqlite*"))


READINGS_ANSWERED = 3


@dataclass
class SlowOllama(FakeOllama):
    """Answers as a model that makes no mistakes, but holds readings back after the first few.

    Attributes:
        is_held: Whether nothing but calls that are held back is under way.
        is_free: Set it to let them go.
    """

    is_held: Event = field(default_factory=Event)
    is_free: Event = field(default_factory=Event)
    _readings: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: Any = field(default_factory=Lock)

    def chat(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        system, human = (message["content"] for message in body["messages"])
        messages = [SystemMessage(system), HumanMessage(human)]
        if prompt_of(messages) == "READ":
            self._hold(next(self._readings) - READINGS_ANSWERED)
        with self._lock:
            self.enqueue(str(EXPERT(messages)))
            return super().chat(body)

    def _hold(self, number: int) -> None:
        if number == 2:  # as many as are under way at once
            self.is_held.set()
        if number > 0:
            self.is_free.wait(60)


def interrupting(_: object) -> str:
    """Be a model during whose call somebody presses Ctrl-C."""
    raise KeyboardInterrupt


@dataclass
class Run:
    """A command in a process of its own, its stderr a terminal."""

    process: subprocess.Popen[bytes]
    terminal: int

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> tuple[int, float, str]:
        """Return the exit code, after how many seconds it came, and what stood on the terminal."""
        started, said = time.monotonic(), b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(self.terminal, 65536):
                said += part
        return self.process.wait(20), time.monotonic() - started, said.decode()


class TestInterruption:
    @pytest.fixture
    def ollama(self) -> Iterator[SlowOllama]:
        with SlowOllama([ServedModel("qwen2.5:1.5b")]) as ollama:
            yield ollama
            ollama.is_free.set()

    @pytest.fixture
    def start(self, ollama: SlowOllama, town: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
        """Start a reading and wait until its model does not answer any more."""
        pty = pytest.importorskip("pty", reason="needs pseudo-terminals")
        runs: list[Run] = []
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TERM": "xterm"}
        for name in own_variables():
            del environment[name]

        def begin(*arguments: str) -> Run:
            options = ["--level", "read", "--coverage", "full", "--base-url", ollama.url, *arguments, str(town)]
            ours, theirs = pty.openpty()
            process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "langchain_qwen_longctx", "ask", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=theirs,
                env=environment,
            )
            os.close(theirs)
            runs.append(Run(process, ours))
            assert ollama.is_held.wait(30)
            return runs[-1]

        yield begin
        for run in runs:
            run.process.kill()
            run.process.wait()
            os.close(run.terminal)

    def test_it_ends_at_once_restores_the_terminal_and_the_same_command_goes_on(
        self, shell: Shell, start: Callable[..., Run], ollama: SlowOllama, town: Path
    ) -> None:
        run = start(TOWN_QUESTION)

        run.interrupt()

        code, seconds, said = run.ended()
        assert code == 130
        assert seconds < 5
        assert "Interrupted. 4 replies of the model are kept; the same command goes on from there." in said
        assert said.rfind(SHOW_CURSOR) > said.rfind(HIDE_CURSOR) >= 0
        assert "Traceback" not in said

        asked = len(ollama.history)
        ollama.is_free.set()
        options = ("--level", "read", "--coverage", "full", "--base-url", ollama.url)
        result = shell("ask", "--json", *options, TOWN_QUESTION, town)

        assert json.loads(result.out)["usage"]["cached_calls"] == 4
        assert asked == 4

    def test_a_second_one_ends_it_as_well(self, start: Callable[..., Run]) -> None:
        run = start("--no-cache", TOWN_QUESTION)

        run.interrupt()
        time.sleep(0.02)
        run.interrupt()

        code, seconds, said = run.ended()
        assert code in {130, -signal.SIGINT}
        assert seconds < 5
        assert "Traceback" not in said

    def test_of_a_conversation_the_thread_is_kept_without_the_question_under_way(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell("chat", "--thread", "a", town, stdin=f"{TOWN_QUESTION}\n")
        take(RuleChatModel(respond=interrupting), monkeypatch)

        result = shell("chat", "--thread", "a", town, stdin=f"{FOLLOW_UP}\n")

        assert (result.code, result.out) == (130, "")
        assert result.err.splitlines()[-1].startswith("Interrupted. Thread a is kept, without the question under way.")
        assert "Thread: a, 1 earlier question\n" in shell("chat", "--thread", "a", town).err

    def test_without_a_cache_it_says_that_nothing_is_kept(
        self, shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take(RuleChatModel(respond=interrupting), monkeypatch)

        result = shell("ask", "--no-cache", TOWN_QUESTION, town)

        assert result.code == 130
        assert result.err.splitlines()[-1].startswith(
            "Interrupted. No index and no reply is kept, because of --no-cache"
        )
