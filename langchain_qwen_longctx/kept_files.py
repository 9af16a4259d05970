"""What is kept on this machine, and how to be rid of it. What does not look like one of our files is left alone."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from langchain_qwen_longctx.model_files import DEFAULT_MODEL_FILE
from langchain_qwen_longctx.persistence import REPLIES_FILE, THREADS_FILE
from langchain_qwen_longctx.sqlite_files import is_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind: TypeAlias = Literal["replies", "index", "threads", "notes", "models"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""What is kept, each kind in a folder of its name."""

PATIENCE_WITH_OTHERS: Final = 5.0
"""Seconds to wait for another process to finish what it is writing."""

_INDEX: Final = r"\.safetensors(\w+\.part)?"
_UNIT: Final = r"(?P<unit>[0-9a-f]{32})"
_BESIDE_DATABASE: Final = "(-wal|-shm|-journal)?"
_BESIDE_MODEL: Final = r"(\.lock|\.sha256|\.unverified|\.parts/(\d+|arriving/[^/]+)\.whl)?"
_FILES: Final[dict[Kind, re.Pattern[str]]] = {
    "replies": re.compile(re.escape(REPLIES_FILE) + _BESIDE_DATABASE),
    "index": re.compile(_UNIT + _INDEX),
    "threads": re.compile(re.escape(THREADS_FILE) + _BESIDE_DATABASE),
    "notes": re.compile(f"{_UNIT}/(base|recent){_INDEX}"),
    "models": re.compile(re.escape(DEFAULT_MODEL_FILE.name) + _BESIDE_MODEL),
}
"""The paths of our files in the folder of their kind, and what tells those apart that are of use together only."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Files that are of use together only.

    Attributes:
        files: Their paths.
        bytes: Their size.
        changed: When one of them was last written to, in seconds since the epoch.
    """

    files: Sequence[Path]
    bytes: int
    changed: float


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lies in the folder of a kind.

    Attributes:
        folder: The folder.
        kept: Our files.
        foreign: How many there are beside them that are none of ours; links always are.
    """

    folder: Path
    kept: list[Kept] = field(default_factory=list)
    foreign: int = 0


def take_stock(base: Path, kind: Kind) -> Inventory:
    """Look at what is kept of a kind in a folder of all that is kept. Links are not followed."""
    folder, foreign = base / kind, 0
    units: dict[str, list[tuple[Path, os.stat_result]]] = {}
    for path in _files_under(folder):
        match = _FILES[kind].fullmatch(path.relative_to(folder).as_posix())
        if match and not path.is_symlink():
            with suppress(FileNotFoundError):  # another process may just have deleted it
                units.setdefault(match.groupdict().get("unit", ""), []).append((path, path.stat()))
        else:
            foreign += 1
    kept = [
        Kept([path for path, _ in unit], sum(s.st_size for _, s in unit), max(s.st_mtime for _, s in unit))
        for unit in units.values()
    ]
    return Inventory(folder, kept, foreign)


def _files_under(folder: Path) -> Iterator[Path]:
    if not folder.is_symlink():
        for parent, _, names in os.walk(folder):
            yield from (Path(parent, name) for name in names)


def delete(kind: Kind, unit: Kept, folder: Path) -> None:
    """Delete files, and the folders that are empty without them, without harm to processes that use them.

    A database that another process has open is emptied instead.

    Args:
        kind: Their kind.
        unit: The files.
        folder: The folder of their kind.

    Raises:
        OSError: One of them cannot be deleted, or emptied, now.
    """
    if kind in {"replies", "threads"} and not all(map(_is_free, unit.files)):
        return
    locks = [file for file in unit.files if file.suffix == ".lock"]
    with _held(locks):
        _unlink([file for file in unit.files if file not in locks])
    _unlink(locks)
    for file in unit.files:
        with suppress(OSError):  # other files are in it
            for parent in takewhile(lambda parent: parent != folder.parent, file.parents):
                parent.rmdir()


def _unlink(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _is_free(database: Path) -> bool:
    """Tell whether a database may be deleted; one that another process has open is emptied.

    If its file were deleted, that process would write on to where nobody looks. What lies beside a database goes with
    it, and so does what is none.
    """
    if database.suffix != ".sqlite":
        return True
    with closing(sqlite3.connect(database, timeout=0.1, isolation_level=None)) as connection:
        try:
            # Only who is alone with a database can end the use of its log, which ends with that in the database.
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.DatabaseError as error:
            if not is_in_use(error):
                return True
        else:
            return True
        try:
            _empty(connection)
        except sqlite3.Error as error:
            raise OSError(errno.EBUSY, f"another process is using it ({error})", str(database)) from error
    return False


def _empty(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_WITH_OTHERS * 1000:.0f}")
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        connection.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name from the database itself
    connection.execute("VACUUM")
    # Until the log is cut off, what was deleted is still in it.
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        msg = "its log cannot be cut off"
        raise sqlite3.OperationalError(msg)


@contextmanager
def _held(locks: Sequence[Path]) -> Iterator[None]:
    """Keep other processes from fetching the model meanwhile."""
    try:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - an extra
    except ImportError:
        yield
        return
    with ExitStack() as stack:
        for lock in locks:
            try:
                stack.enter_context(FileLock(lock, timeout=0))
            except Timeout as error:
                raise OSError(errno.EBUSY, "another process is fetching it", str(lock.with_suffix(""))) from error
        yield
