"""Folders and files that nobody but their owner can read, whatever the umask.

On Windows nothing is done about it: what lies in a user's own folders is private there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

IS_POSIX: Final = os.name == "posix"

# Python gives this mode of a folder a meaning on Windows as well, which would cut it off from what it inherits there.
PRIVATE_FOLDER: Final = 0o700 if IS_POSIX else 0o777
PRIVATE_FILE: Final = 0o600
OTHERS: Final = 0o077


def private_folder(path: Path) -> Path:
    """Return a folder, made if need be with those above it; what is there already keeps its mode.

    Raises:
        OSError: It cannot be made.
    """
    missing = list(takewhile(lambda folder: not os.path.isdir(folder), [path, *path.parents]))  # noqa: PTH112 - no error
    for folder in reversed(missing):
        folder.mkdir(PRIVATE_FOLDER, exist_ok=True)
    return path


def private_file(path: Path) -> Path:
    """Return a file, made empty if need be with the folders above it; what is there already keeps its mode.

    SQLite gives the files beside a database, its log and its index of that, the database's mode.

    Raises:
        OSError: It cannot be made.
    """
    private_folder(path.parent)
    os.close(os.open(path, os.O_CREAT, PRIVATE_FILE))
    return path


def close_to_others(folder: Path) -> None:
    """Take a folder, those in it, and their files away from all but their owner, as far as they are ours and open."""
    if not IS_POSIX:
        return
    with suppress(OSError):
        for each in [folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())]:
            status = each.stat()
            if status.st_mode & OTHERS and status.st_uid == os.geteuid():
                _close(each)


def _close(folder: Path) -> None:
    folder.chmod(PRIVATE_FOLDER)
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            path.chmod(PRIVATE_FILE)
