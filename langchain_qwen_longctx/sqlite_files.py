"""SQLite files that several processes share, and what to say when one cannot be used."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.private_files import private_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

StoreT = TypeVar("StoreT")

PATIENCE: Final = 10.0
"""Seconds to wait for another process that writes to the same file."""

MAX_LOG_PAGES: Final = 64
"""Pages of 4 KiB after which SQLite folds its write-ahead log into the file; its default of 1,000 outgrows the data."""


def open_file(path: Path, connect: Callable[[Path], StoreT]) -> StoreT:
    """Return what connects to a file, made if need be.

    Where several processes begin a new file at once, SQLite does not let all of them wait for each other.

    Raises:
        InputError: It cannot be used.
    """
    attempts = Retrying(
        retry=retry_if_exception(is_in_use), stop=stop_after_delay(PATIENCE), wait=wait_fixed(0.05), reraise=True
    )
    try:
        return attempts(connect, private_file(path))
    except (sqlite3.Error, OSError, UnicodeError) as error:  # the last for an error whose own text is damaged
        raise unusable(path, error) from error


def tune(connection: sqlite3.Connection) -> None:
    """Wait for other processes, and leave it to the system when a commit reaches the disk.

    In the mode of a write-ahead log, a crash of the process loses nothing by that, and one of the machine at most the
    last replies.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {MAX_LOG_PAGES}")


def unusable(path: Path, error: Exception) -> InputError:
    """Return the error that says why a file cannot be used, and what to do about it."""
    remedy = "delete it, or give another folder"
    if is_in_use(error):
        remedy = "end what else is using it"
    elif "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC:
        remedy = "make room, or give another folder"
    return InputError(f"{path} cannot be used ({error}); {remedy}")


def is_in_use(error: BaseException) -> bool:
    """Tell whether a file cannot be used because another process holds it."""
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
