"""Reads a document in a process of its own, which may take so much memory, so much time, and may crash.

PDFium ends the process that runs it when it cannot get memory, and a PDF of 700 bytes can ask for all there is: a form
that draws itself twice. Other parsers can be kept busy for hours. Here that costs one document, and neither the server
nor the folder that it came with.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_qwen_longctx import errors
from langchain_qwen_longctx.errors import BrokenDocumentError, DocumentError
from langchain_qwen_longctx.sections import Section, limited

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader: TypeAlias = Callable[[bytes, str], list[Section]]

MAX_SECONDS: Final = 300
"""Time that reading one document may take."""

MAX_MEMORY: Final = 2 * 1024**3
"""Bytes that it may take, beside twice the file. On Windows and macOS this is not enforced."""

# Each of them keeps a core busy.
_turns = threading.BoundedSemaphore(os.cpu_count() or 1)

# What a process begins with: the modules that this one would import, from the same places.
_BEGIN: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    f"from {__name__} import answer; answer(*json.loads(sys.argv[2]))"
)

_is_apart = False


def read_apart(reader: Reader, data: bytes, source: str) -> list[Section]:
    """Return what a reader makes of a document, or raise what it raises, and leave the work to another process.

    Args:
        reader: A function of a module; the other process imports it.
        data: The whole file.
        source: Its name, for messages.

    Raises:
        BrokenDocumentError: It took too long or too much memory, or its reader crashed.
        DocumentError: What the reader raises.
    """
    # A program that was frozen into one file would start itself again.
    if _is_apart or not sys.executable or getattr(sys, "frozen", False):
        return list(reader(data, source))
    task = json.dumps([reader.__module__, reader.__name__, source, MAX_MEMORY + 2 * len(data), MAX_SECONDS])
    command = [sys.executable, "-I", "-W", "ignore", "-c", _BEGIN, json.dumps(sys.path), task]
    try:
        with _turns:
            run = subprocess.run(  # noqa: S603 - this interpreter, and nothing that a document says
                command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=MAX_SECONDS, check=False
            )
    except subprocess.TimeoutExpired as error:
        problem = f"reading it took more than {MAX_SECONDS} seconds; open it in its program, and divide it"
        raise BrokenDocumentError(source, problem) from error
    except OSError as error:
        problem = f"no process could be started to read it ({error}); free some memory, and try again"
        raise DocumentError(source, problem) from error
    if run.returncode:
        problem = f"reading it took more than {MAX_MEMORY:,} bytes of memory, or crashed its reader ({run.returncode})"
        raise BrokenDocumentError(source, f"{problem}; open it in its program and save it again, or divide it")
    reply = json.loads(run.stdout.decode("utf-8", "surrogatepass"))
    if isinstance(reply, dict):
        kind: type[DocumentError] = getattr(errors, reply["error"])
        raise kind(source, reply["problem"])
    return [Section(*section) for section in reply]


def answer(module: str, reader: str, source: str, memory: int, seconds: int) -> None:
    """Read the document on standard input, and write its sections, or the error, as JSON to standard output."""
    global _is_apart  # noqa: PLW0603 - this whole process is
    _is_apart = True
    _limit(memory, seconds)
    # openpyxl takes numbers of NumPy where it is, which takes time to import, and memory for each core.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    # What a library prints must not stand in the reply.
    out, sys.stdout = sys.stdout.buffer, sys.stderr
    try:
        sections: list[Section] = getattr(importlib.import_module(module), reader)(sys.stdin.buffer.read(), source)
        for _ in limited((section.text for section in sections), source):
            pass
        reply: object = sections
    except DocumentError as error:
        reply = {"error": type(error).__name__, "problem": error.problem}
    out.write(json.dumps(reply, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    out.flush()
    # There is nothing to tidy up, and no library is given a chance to crash on it.
    os._exit(0)


def _limit(memory: int, seconds: int) -> None:
    """Set limits that the system keeps; that of time in case the process that began this one is no longer there."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - Windows has none

        resource.setrlimit(resource.RLIMIT_CPU, (seconds + 10, seconds + 10))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
