"""Nothing leaves the machine, and nothing is written but to the cache folder, whatever dependencies would like."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from chronicle import chronicle
from command_line import EXPERT, NOWHERE, TOWN_FACT, TOWN_QUESTION
from langchain_core.messages import convert_to_messages
from langsmith.utils import get_env_var
from ollama_server import FakeOllama, ServedModel
from waiting import until

from langchain_qwen_longctx.doctor import TRACED, tracing_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WATCHED: Final = str(Path(__file__).parents[1] / "watched.py")

for module, extra in (("langserve", "server"), ("mcp", "mcp"), ("matplotlib", "eval")):
    pytest.importorskip(module, reason=f"the extra `{extra}` is not installed")


@dataclass
class TownOllama(FakeOllama):
    """Answers as a model that makes no mistakes about the town."""

    _lock: Any = field(default_factory=Lock)

    def chat(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        messages = convert_to_messages([(message["role"], message["content"]) for message in body["messages"]])
        with self._lock:
            self.enqueue(str(EXPERT(messages)))
            return super().chat(body)


@dataclass
class Machine:
    """A user's machine: a home, a folder to work in, and a model's server.

    Attributes:
        folder: Where all of it is.
        ollama: The server.
    """

    folder: Path
    ollama: TownOllama

    @contextmanager
    def started(self, *commands: Sequence[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Run a watched process in an environment that says nothing but where home and the model are."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "OLLAMA_HOST": self.ollama.url,
            "QWEN_LONGCTX_DOCUMENTS": "town.txt",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            "WATCHED": str(self.folder / "log"),
            **variables,
        }
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, WATCHED, *map(json.dumps, commands)],
            cwd=self.folder / "here",
            env=environment,
            encoding="utf-8",
            **pipes,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def seen(self, kind: str) -> set[str]:
        """Return what watched processes have reached, or written to."""
        lines = (self.folder / "log").read_text("utf-8").splitlines()
        return {what for seen, what in map(json.loads, lines) if seen == kind}

    def written_elsewhere(self) -> set[str]:
        """Return what was written to outside of the cache folder and the one for temporary files."""
        cache = self.folder / "home" / ".cache"
        allowed = (str(cache / "langchain-qwen-longctx"), str(self.folder / "tmp"), os.devnull)
        return {path for path in self.seen("writes") - {str(cache)} if not path.startswith(allowed)}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for name in ("home", "here", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "town.txt").write_text(chronicle(18, {4: TOWN_FACT}), "utf-8")
    with TownOllama([ServedModel("qwen2:7b")]) as ollama:
        yield Machine(tmp_path, ollama)


def test_commands_reach_nothing_but_the_models_server_and_write_nowhere_but_to_the_cache(machine: Machine) -> None:
    said = {
        ("import-all",): "",
        ("ask", TOWN_QUESTION, "town.txt"): "毛一清 [1]",
        ("ask", "--level", "reason", TOWN_QUESTION, "town.txt"): "毛一清 [1]",
        ("ask-langgraph", TOWN_QUESTION): "毛一清 [1]",
        ("index", "."): "",
        ("notes", ".", TOWN_QUESTION): "毛一清 [1]",
        ("notes", ".", "--search", "钟楼"): "town.txt",
        ("doctor", "--self-test"): "Ollama model    qwen2:7b",
        ("doctor", "--base-url", NOWHERE): "embedded model",
        ("purge", "--yes"): "are free again",
    }

    with machine.started(*said) as process:
        out, err = process.communicate(timeout=120)

    parts = out.split("exit code ")
    assert len(parts) == len(said) + 1, err
    for words, part in zip(said.values(), parts, strict=False):
        assert words in part
    assert machine.seen("reaches") == {"127.0.0.1"}
    assert machine.written_elsewhere() == set()


def test_a_server_reaches_nothing_while_its_page_is_loaded_and_asked_and_files_are_uploaded(machine: Machine) -> None:
    with machine.started(["serve", "--port", "0", "town.txt"]) as server:
        assert server.stderr
        address = next(line.split()[1] for line in server.stderr if line.startswith("Serving "))
        with httpx.Client(base_url=address, timeout=60) as browser:
            page = browser.get("/")
            parts = re.findall(r'(?:src|href)="(page/[^"]+)"', page.text)
            loaded = [page, *map(browser.get, parts), browser.get("/info")]
            upload = browser.post(
                "/collections", files={"files": ("notes.txt", b"The pier is green.".ljust(2_000_000))}
            )
            answer = browser.post("/ask", json={"question": TOWN_QUESTION, "level": "retrieve"})
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)

    assert len(parts) > 3
    assert {response.status_code for response in loaded} == {200}
    assert (upload.status_code, answer.json()["found"]) == (201, True)
    assert machine.seen("reaches") == {"127.0.0.1"}
    assert machine.written_elsewhere() == set()


def test_an_mcp_server_reaches_nothing_while_a_client_searches(machine: Machine) -> None:
    about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    search = {"name": "search_documents", "arguments": {"query": TOWN_QUESTION}}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": about},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": search},
    ]
    with machine.started(["mcp", "town.txt"]) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.writelines(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
        server.stdin.flush()
        _, found = (json.loads(server.stdout.readline()) for _ in range(2))
        server.communicate(timeout=60)

    assert TOWN_FACT in json.dumps(found, ensure_ascii=False)
    assert machine.seen("reaches") == {"127.0.0.1"}
    assert machine.written_elsewhere() == set()


def test_that_langsmiths_tracing_is_on_is_said_in_one_line_with_where_it_goes(machine: Machine) -> None:
    elsewhere = {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": "https://traces.invalid",
        "LANGSMITH_API_KEY": "none",
    }
    with machine.started(["ask", TOWN_QUESTION, "town.txt"], **elsewhere) as process:
        assert process.stderr
        told = list(takewhile(lambda line: not line.startswith("Read "), process.stderr))
        until(lambda: "traces.invalid" in machine.seen("reaches"))

    assert [line for line in told if line.startswith("LangSmith tracing")] == [
        f"LangSmith tracing is on (LANGSMITH_TRACING): {TRACED} go to https://traces.invalid\n"
    ]


class TestTracingAddress:
    @pytest.fixture(autouse=True)
    def _untold(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
            monkeypatch.delenv(name)
        cached: Any = get_env_var
        cached.cache_clear()
        yield
        cached.cache_clear()

    @pytest.mark.parametrize("name", ["LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"])
    def test_it_is_langsmiths_own_unless_another_is_named(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "true")

        assert tracing_address() == "https://api.smith.langchain.com"

    @pytest.mark.parametrize("value", ["false", "", None])
    def test_there_is_none_while_tracing_is_off(self, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        if value is not None:
            monkeypatch.setenv("LANGSMITH_TRACING", value)

        assert tracing_address() is None
