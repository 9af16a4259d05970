"""Runs what may hang, crash or eat all memory: each task in a process of its own, with limits, timed and weighed.

One process has everything imported and forks for each task, because an interpreter takes longer to start than most
tasks to run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE: Final = 1 << 20
FOLDER: Final = Path(__file__).parent

Verdict = Literal["done", "refused", "raised", "crashed", "hung"]


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        verdict: Whether it came to its end, raised an error of the package, or another one, died, or went on for ever.
        value: What it returned, or what the error says.
        seconds: Of the processor that it took, and whatever it began.
        megabytes: The most memory that it, or a process that it began, had at a time.
    """

    verdict: Verdict
    value: Any
    seconds: float
    megabytes: int


class Bench:
    """Runs tasks, one after the other.

    Args:
        seconds: When a task counts as hung.
        megabytes: When it gets no more memory, so that the machine comes to no harm.
    """

    def __init__(self, *, seconds: int, megabytes: int) -> None:
        command = [sys.executable, "-W", "ignore", __file__, str(seconds), str(megabytes * MEGABYTE)]
        self._process = subprocess.Popen(  # noqa: S603 - this file
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, task: Callable[..., Any], *arguments: object) -> Outcome:
        """Run a function of a module with arguments that JSON can carry; so must what it returns."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([task.__module__, task.__name__, arguments]), file=self._process.stdin, flush=True)
        return Outcome(*json.loads(self._process.stdout.readline()))


def serve(seconds: int, memory: int) -> None:
    """Run what comes on standard input, a task a line, and say what became of it."""
    for line in sys.stdin:
        module, name, arguments = json.loads(line)
        task = getattr(import_module(module), name)
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            os.close(reading)
            _limit(seconds, memory)
            _carry_out(task, arguments, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            said = pipe.read()
        _, status, used = os.wait4(process, 0)
        # Whatever it began is to end with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        verdict, value = json.loads(said) if said else ("crashed", f"status {status}")
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
            verdict, value = "hung", ""
        sys.stdout.write(json.dumps([verdict, value, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024]) + "\n")
        sys.stdout.flush()


def _limit(seconds: int, memory: int) -> None:
    os.setpgid(0, 0)
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _carry_out(task: Callable[..., Any], arguments: list[Any], writing: int) -> None:
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        json.dump(verdict_of(partial(task, *arguments)), pipe)
    os._exit(0)


def verdict_of(task: Callable[[], Any]) -> tuple[Verdict, Any]:
    """Run a task and return how it ended, and what it returned, or what the error says."""
    from langchain_qwen_longctx.errors import LongContextError  # noqa: PLC0415 - after the search path is set

    try:
        return "done", task()
    except LongContextError as error:
        return "refused", str(error)
    except BaseException:  # noqa: BLE001 - whatever it is, it is reported
        return "raised", traceback.format_exc(limit=-4)


if __name__ == "__main__":
    sys.path[:0] = [str(FOLDER)]
    import_module("document_tasks").warm_up()
    # What is there by now stays: looked through again, it would have to be copied for each process.
    gc.freeze()
    serve(int(sys.argv[1]), int(sys.argv[2]))
