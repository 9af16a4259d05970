"""Disks that are full, folders that cannot be written to, and files that others hold."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from command_line import FOLLOW_UP, TOWN_QUESTION
from outcomes import Outcome, trial, wrong
from shell_commands import Ended, run_to_its_end
from storage_kills import ANSWER, FOLLOW_UP_ANSWER, Desk, desk
from transport_server import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trials import Trial

SIZES: Final = (1, 4, 8, 12, 20, 28, 36, 44, 52, 60, 76, 92, 120, 160, 240, 400)
"""KB that there is room for; what these commands keep takes some 300."""


@dataclass(frozen=True)
class Case:
    """A command that keeps something.

    Attributes:
        name: What it is called in the table.
        arguments: The command.
        stdin: What is typed.
        answer: What it must print.
    """

    name: str
    arguments: Callable[[Desk], list[str | Path]]
    stdin: str = ""
    answer: str = ""

    def run(self, at: Desk, max_file: int | None = None) -> Ended:
        """Run it."""
        return run_to_its_end(*self.arguments(at), stdin=self.stdin, max_file=max_file)


CASES: Final = (
    Case("index", lambda at: at.indexing),
    Case("ask", lambda at: at.asking, answer=ANSWER),
    Case("notes", lambda at: at.asking_notes, answer=ANSWER),
    Case("a conversation", lambda at: at.talking, f"{TOWN_QUESTION}\n{FOLLOW_UP}\n", FOLLOW_UP_ANSWER),
)


def trials(*, is_short: bool) -> Iterator[Trial]:
    """Try it."""
    sizes = SIZES[5:6] if is_short else SIZES
    for case in CASES[1::2] if is_short else CASES:
        yield trial(f"{case.name}, no file may grow beyond so many KB", (limited(case, size) for size in sizes))
    for case in CASES[1:] if can_mount() and not is_short else ():
        yield trial(f"{case.name}, on a disk with room for so many KB", (full(case, size) for size in sizes))
    for case in CASES[3:] if is_short else CASES:
        tries = (read_only(case, is_filled=is_filled) for is_filled in (False, True))
        yield trial(f"{case.name}, in a folder that is read-only", tries)
    for case in CASES[1:2] if is_short else CASES:
        yield trial(f"{case.name}, with a file in place of the folder", [in_place(case)])
    if not is_short:
        yield trial("ask, while another program holds the file of replies", [held()])


def limited(case: Case, size: int) -> Outcome:
    """Run a command whose files cannot grow beyond a size, and again without that."""
    with desk(fault=Wire.deliver) as at:
        return judge(case, case.run(at, max_file=size * 1000), lambda: case.run(at))


def full(case: Case, size: int) -> Outcome:
    """Run a command on a disk of a size, and again when there is room."""
    with desk(fault=Wire.deliver) as at, mounted(at.kept, f"size={max(size, 4)}k"):
        return judge(case, case.run(at), lambda: with_options(at, "size=16m", case))


def read_only(case: Case, *, is_filled: bool) -> Outcome:
    """Run a command in a folder that cannot be written to, with nothing in it or with all that it has kept before."""
    with desk(fault=Wire.deliver) as at, mounted(at.kept) if can_mount() else locked(at.kept):
        if is_filled:
            case.run(at)
        remounted(at.kept, "ro")
        return judge(case, case.run(at), lambda: with_options(at, "rw", case))


def with_options(at: Desk, options: str, case: Case) -> Ended:
    """Run a command after what may be done in its folder has changed."""
    remounted(at.kept, options)
    return case.run(at)


def in_place(case: Case) -> Outcome:
    """Run a command with a file where its folder should be, and again without it."""
    with desk(fault=Wire.deliver) as at:
        at.kept.mkdir()
        for name in ("index", "replies", "threads", "notes"):
            (at.kept / name).write_text("mine")
        first = case.run(at)
        if not all((at.kept / name).read_text() == "mine" for name in ("index", "replies", "threads", "notes")):
            return wrong("somebody's file is gone")
        for path in at.kept.iterdir():
            path.unlink()
        return judge(case, first, lambda: case.run(at))


def held() -> Outcome:
    """Ask while another program holds the file of replies, and when it has let go."""
    case = CASES[1]
    with desk(fault=Wire.deliver) as at:
        run_to_its_end("ask", "--level", "retrieve", *at.options, TOWN_QUESTION, at.documents)
        [path] = at.kept.rglob("replies.sqlite")
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            first = case.run(at)
        return judge(case, first, lambda: case.run(at))


def judge(case: Case, first: Ended, again: Callable[[], Ended]) -> Outcome:
    """Tell whether a command has done what it could, and does all once it can."""
    if first.is_fault:
        return wrong(f"{first}")
    second = again()
    if second.is_fault or second.code or case.answer not in second.out:
        return wrong(f"not right once it could be: {second}; {second.out}")
    if first.code:
        return (
            Outcome(f"exit code {first.code} and a file named") if "cannot be used" in first.err else wrong(f"{first}")
        )
    if case.answer not in first.out:
        return wrong(f"{first}; {first.out}")
    is_told = any(words in first.err for words in ("cannot be kept", "could not be saved", "goes on without"))
    return Outcome("right, and told that not all is kept" if is_told else "right")


def can_mount() -> bool:
    """Tell whether this process may mount a disk in memory."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and os.path.ismount("/proc")


@contextmanager
def mounted(folder: Path, options: str = "size=16m") -> Iterator[None]:
    """Put a disk in memory in a folder's place."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)  # noqa: S603, S607
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S603, S607


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Put a folder in a folder's place whose mode can be changed."""
    folder.mkdir()
    try:
        yield
    finally:
        remounted(folder, "rw")


def remounted(folder: Path, options: str) -> None:
    """Change what may be done in a folder; for who may not mount disks, by its mode and those of the folders in it."""
    if can_mount():
        subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)  # noqa: S603, S607
    else:
        for each in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            each.chmod(0o555 if options == "ro" else 0o755)
