"""Commands of the shell in processes of their own, which may be killed at any moment.

They are forked from a process that has loaded the package already: to load it takes longer than what is tried.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_CODES: Final = frozenset({0, 1, 2, 3, 4})
"""Those of an answer, and of an error that names its cause."""

HERE: Final = (Path(__file__).parent, Path(__file__).parents[1])

LONGEST: Final = 60.0
"""Seconds that any of these commands may take."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit code, negative after a signal.
        out: What it printed on stdout.
        err: What it printed on stderr.
        has_left: Whether one of its processes is still there.
    """

    code: int
    out: str
    err: str
    has_left: bool

    @property
    def is_fault(self) -> bool:
        """Whether it ended as it must never end."""
        return self.code not in EXIT_CODES or "Traceback" in self.err or self.has_left

    def __str__(self) -> str:
        last = (self.err.strip().splitlines() or [""])[-1]
        return f"exit code {self.code}{', processes left' if self.has_left else ''}: {last[:160]}"


class Command:
    """A command under way.

    Args:
        arguments: What stands behind `qwen-longctx`.
        stdin: What is typed.
        max_file: Bytes that no file of it may exceed; None is without limit.
    """

    def __init__(self, *arguments: str | Path, stdin: str = "", max_file: int | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("stdin", "stdout", "stderr")]
        for path, content in zip(self._files, (stdin, "", ""), strict=True):
            path.write_text(content, "utf-8")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["shell_preload"])
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QWEN_LONGCTX_")}
        self._process: Any = context.Process(
            target=_run, args=([*map(str, arguments)], environment, self._files, max_file), daemon=True
        )
        # The process that is forked does not take over where modules are looked for.
        with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, HERE))):
            self._process.start()

    @property
    def pid(self) -> int:
        """Its process."""
        pid: int = self._process.pid
        return pid

    def read_err(self) -> str:
        """Return what it has printed on stderr so far."""
        return self._files[2].read_text("utf-8", "replace")

    def kill(self) -> Ended:
        """End it at once, as `kill -9` does."""
        self._process.kill()
        return self.ended()

    def ended(self, within: float = LONGEST) -> Ended:
        """Return what it left behind; one that takes too long is killed, and its exit code says so."""
        self._process.join(within)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        out, err = (path.read_text("utf-8", "replace") for path in self._files[1:])
        self._folder.cleanup()
        return Ended(self._process.exitcode, out, err, has_left=is_group(self.pid))


def is_group(leader: int) -> bool:
    """Tell whether there is a process of a group."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def _run(arguments: list[str], environment: Mapping[str, str], paths: list[Path], max_file: int | None) -> None:
    os.setsid()
    for number, path in enumerate(paths):
        os.dup2(os.open(path, os.O_RDWR | (os.O_APPEND if number else 0)), number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - to stay
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    if max_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, max_file))
    sys.argv = ["qwen-longctx", *arguments]
    from langchain_qwen_longctx.cli import main  # noqa: PLC0415 - in the process that runs it

    main()


def run_to_its_end(*arguments: str | Path, **options: Any) -> Ended:
    """Run a command and return what it left behind."""
    return Command(*arguments, **options).ended()
