"""Which files lie under a folder, and what tells that one has changed without reading it. Fast: one call per file.

Folders may be as deep as the system lets them be: nothing here calls itself.
"""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from langchain_qwen_longctx.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
        on_error: Called with an error for each folder in it that cannot be listed, and for each link to a file that
            lies outside: who gives away a folder should not give away the rest of the disk.

    Raises:
        DocumentError: The folder itself cannot be listed.
    """
    is_excluded = re.compile("|".join(map(fnmatch.translate, exclude)) or r"(?!)").match
    found: dict[str, Stamp] = {}
    pending = [""]
    while pending:
        below = pending.pop()
        for entry in _entries(folder, below, on_error):
            path = below + entry.name
            if is_excluded(entry.name) or is_excluded(path):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                elif entry.is_file():
                    found[path] = _stamp(entry, folder)
            except FileNotFoundError:
                continue  # it is removed meanwhile
            except OSError as error:
                on_error(DocumentError(entry.path, f"cannot be looked at ({error.strerror}); check its permissions"))
            except DocumentError as error:
                on_error(error)
    return found


def _entries(folder: Path, below: str, on_error: Callable[[DocumentError], None]) -> list[os.DirEntry[str]]:
    """Return what a folder in the folder holds; nothing of what is no place to look in, or cannot be listed."""
    try:
        entries = list(os.scandir(folder / below))
    except OSError as error:
        unlisted = DocumentError(str(folder / below), f"cannot be listed ({error.strerror}); check its permissions")
        if not below:
            raise unlisted from error
        on_error(unlisted)
        return []
    return [] if below and any(entry.name == "pyvenv.cfg" for entry in entries) else entries


def _stamp(entry: os.DirEntry[str], folder: Path) -> Stamp:
    if entry.is_symlink() and not Path(os.path.realpath(entry)).is_relative_to(os.path.realpath(folder)):
        raise DocumentError(entry.path, "is a link out of the folder, and not followed; name its target itself")
    status = entry.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def matches(path: str, glob: str) -> bool:
    """Match a path to a glob, part by part, `**` included: `PurePath.full_match` is new in Python 3.13."""
    pattern = glob.split("/")
    reached = _past_stars({0}, pattern)
    for part in path.split("/"):
        going = {at for at in reached if at < len(pattern)}
        stars = {at for at in going if pattern[at] == "**"}
        reached = _past_stars(
            stars | {at + 1 for at in going - stars if fnmatch.fnmatchcase(part, pattern[at])}, pattern
        )
    return len(pattern) in reached


def _past_stars(reached: set[int], pattern: Sequence[str]) -> set[int]:
    """Return the numbers of parts of a pattern that may be used up, if some may: `**` may stand for nothing."""
    for at, part in enumerate(pattern):
        if at in reached and part == "**":
            reached.add(at + 1)
    return reached


def is_settled(stamp: Stamp, now: int) -> bool:
    """Tell whether a change after `now`, in nanoseconds, would surely show in the stamp: its clock has moved on."""
    return max(stamp[1:]) < now - COARSEST_CLOCK
