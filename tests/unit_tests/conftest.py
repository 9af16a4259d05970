"""Unit tests reach nothing beyond this machine. What several of them need to run commands is here."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, NOWHERE, TOWN_FACT, Result, Shell, own_variables, take
from hypothesis import settings
from pytest_socket import socket_allow_hosts
from scripted import RuleChatModel

from langchain_qwen_longctx.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How long an example takes tells more of the machine than of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _offline() -> None:
    # The plugin lifts the restriction after each test.
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Shell]:
    """Run `main` as the console script does, in an empty folder, with an empty cache and no server."""

    def run(*arguments: str | Path, stdin: str | bytes = "") -> Result:
        typed = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "argv", ["qwen-longctx", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        code: Any = 0
        with monkeypatch.context() as patch:
            # `main` sets up logging where none is set up yet, but pytest has done so.
            patch.setattr(logging.root, "handlers", [])
            patch.setattr(os, "_exit", sys.exit)
            try:
                main()
            except SystemExit as exit_:
                code = exit_.code or 0
        out, err = capsysbinary.readouterr()
        return Result(code, out.decode(), err.decode())

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OLLAMA_HOST", NOWHERE)
    for name in own_variables():
        monkeypatch.delenv(name)
    # Most of what the shell does is the same at every level, and this one takes the fewest calls.
    monkeypatch.setenv("QWEN_LONGCTX_ASK_LEVEL", "retrieve")
    monkeypatch.setenv("QWEN_LONGCTX_CHAT_LEVEL", "retrieve")
    heard = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, heard)
    logging.captureWarnings(capture=False)


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Return a file of five chunks that answers `TOWN_QUESTION` and `BIRTH_QUESTION`."""
    path = tmp_path / "镇志.txt"
    path.write_text(chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT}))
    return path


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> RuleChatModel:
    """Return the model that every command finds, which makes no mistakes about the town."""
    return take(RuleChatModel(respond=EXPERT), monkeypatch)
