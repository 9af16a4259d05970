"""Which files lie under a folder, and what tells that one has changed without reading it. Fast: one call per file."""

from __future__ import annotations

import fnmatch
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_qwen_longctx.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Stamp: TypeAlias = list[int]
"""Size in bytes, and when the content and the entry were last changed, in nanoseconds; as a list, as JSON has it.

The time of the entry tells what programs that set the other one by themselves, such as rsync, have done.
"""

COARSEST_CLOCK: Final = 2_000_000_000
"""Nanoseconds between two ticks of the coarsest file system's clock, FAT's."""


def scan(folder: Path, exclude: Iterable[str], on_error: Callable[[DocumentError], None]) -> dict[str, Stamp]:
    """Return the stamps of all files under a folder, by their paths in it, with `/` between the parts.

    Args:
        folder: The folder.
        exclude: Patterns of names or paths to pass over. Virtual environments are always passed over, and links to
            folders are not followed.
        on_error: Called with an error for each folder in it that cannot be listed.

    Raises:
        DocumentError: The folder itself cannot be listed.
    """
    is_excluded = re.compile("|".join(map(fnmatch.translate, exclude)) or r"(?!)").match
    found: dict[str, Stamp] = {}
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            entries = list(os.scandir(folder / below))
        except OSError as error:
            unlisted = DocumentError(str(folder / below), f"cannot be listed ({error.strerror}); check its permissions")
            if not below:
                raise unlisted from error
            on_error(unlisted)
            continue
        if below and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            path = below + entry.name
            if is_excluded(entry.name) or is_excluded(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(f"{path}/")
            else:
                found.update(_stamped(path, entry))
    return found


def is_settled(stamp: Stamp, now: int) -> bool:
    """Tell whether a change after `now`, in nanoseconds, would surely show in the stamp: its clock has moved on."""
    return max(stamp[1:]) < now - COARSEST_CLOCK


def _stamped(path: str, entry: os.DirEntry[str]) -> Iterator[tuple[str, Stamp]]:
    # A file that is removed meanwhile is none.
    with suppress(OSError):
        if entry.is_file():
            status = entry.stat()
            yield path, [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
