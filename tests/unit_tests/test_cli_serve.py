"""`qwen-longctx serve` as a process of its own, and what it refuses before anything is loaded."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from command_line import TOWN_QUESTION, Shell
from ollama_server import FakeOllama, ServedModel
from scripted import search_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWER = "毛一清 [1]"


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama([ServedModel("qwen2:7b")]) as server:
        yield server.enqueue(search_plan(TOWN_QUESTION), ANSWER)


def start(ollama: FakeOllama, tmp_path: Path, *arguments: str | Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command on a free port, and return it with the address that it tells."""
    command = [sys.executable, "-m", "langchain_qwen_longctx", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "OLLAMA_HOST": ollama.url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stderr
    for line in process.stderr:
        if told := re.match(r"Serving (\S+) until", line):
            return process, told[1]
    pytest.fail(f"it ended with {process.wait()}")


def test_it_answers_until_it_is_interrupted_and_says_what_is_kept(
    ollama: FakeOllama, town: Path, tmp_path: Path
) -> None:
    process, url = start(ollama, tmp_path, town)

    ready = httpx.get(f"{url}/ready", timeout=30).json()
    answer = httpx.post(f"{url}/ask", json={"question": TOWN_QUESTION, "level": "retrieve"}, timeout=30).json()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert ready == {"status": "ready", "model": "ollama:qwen2:7b"}
    assert answer["answer"] == ANSWER
    assert process.returncode == 130
    assert "2 replies of the model are kept" in said


def test_it_can_start_without_documents(ollama: FakeOllama, town: Path, tmp_path: Path) -> None:
    process, url = start(ollama, tmp_path)

    upload = httpx.post(f"{url}/collections", files={"files": (town.name, town.read_bytes())}, timeout=30).json()
    question = {"question": TOWN_QUESTION, "level": "retrieve", "collection": upload["id"]}
    answer = httpx.post(f"{url}/ask", json=question, timeout=30).json()
    process.terminate()
    process.communicate(timeout=30)

    assert answer["answer"] == ANSWER


def test_others_are_let_in_only_with_keys(shell: Shell, town: Path) -> None:
    result = shell("serve", "--host", "0.0.0.0", town)  # noqa: S104 - it is refused

    assert result.code == 2
    assert result.err == "Error: --host 0.0.0.0 lets others in; give them keys (--key KEY), or leave --host away\n"


@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused(shell: Shell, town: Path, key: str) -> None:
    result = shell("serve", "--host", "0.0.0.0", "--port", "0", "--key", key, town)  # noqa: S104 - it is refused

    assert result.code == 2
    assert "a key is empty, which would let everyone in, or no plain text" in result.err
    assert "Model: " not in result.err


def test_a_port_that_is_taken_is_named(shell: Shell, ollama: FakeOllama, town: Path) -> None:
    port = ollama.url.rpartition(":")[2]

    result = shell("serve", "--port", port, town)

    assert result.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in result.err
    assert "choose another with --port" in result.err


def test_a_mistyped_path_is_told_before_a_model_is_looked_for(shell: Shell) -> None:
    result = shell("serve", "no_such.txt")

    assert result.code == 2
    assert "no_such.txt: there is no such file or folder" in result.err


def test_without_its_extra_it_says_what_to_install(shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langserve", None)
    for name in ("server", "langserve_routes"):
        monkeypatch.delitem(sys.modules, f"langchain_qwen_longctx.{name}", raising=False)

    result = shell("serve", "--port", "0", town)

    assert result.code == 2
    assert 'pip install "langchain-qwen-longctx[server]"' in result.err
