"""Tries documents through the command line, and makes rows of the table of what comes of them."""

from __future__ import annotations

import re
from itertools import count, islice
from typing import TYPE_CHECKING, Final

import document_folders
import document_tasks
from trials import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bench import Bench, Outcome
    from document_cases import Case

BAD_INPUT: Final = 2


class Trials:
    """Tries documents through the command line, on one bench.

    Args:
        bench: What runs them.
        folder: An empty folder.
        is_short: Whether less is to be tried.
    """

    def __init__(self, bench: Bench, folder: Path, *, is_short: bool) -> None:
        self.bench = bench
        self.is_short = is_short
        self._folder = folder
        self._numbers = count()

    def folder(self) -> Path:
        """Return a new folder."""
        path = self._folder / f"t{next(self._numbers)}"
        path.mkdir()
        return path

    def some(self, cases: Iterable[Case], step: int) -> Iterable[Case]:
        """Return all cases, or in the short form one of so many."""
        return islice(cases, 0, None, step if self.is_short else 1)

    def cases(self, title: str, cases: Iterable[Case], *, seconds: float, megabytes: int) -> Trial:
        """Index documents, and see that each comes to what it should, within so much time and memory."""
        seen: list[Outcome] = []
        wrong: list[str] = []
        for case in cases:
            path = self.folder() / case.name
            path.write_bytes(case.data)
            outcome = self._indexed(path, case.holds or case.lacks)
            path.unlink()
            seen.append(outcome)
            if outcome.seconds > seconds or outcome.megabytes > megabytes or not _is_as_it_should(outcome, case):
                wrong.append(_told(case.name, outcome))
        return _trial(title, seen, wrong)

    def paths(self, title: str, expected: dict[Path, str], *, seconds: float, megabytes: int) -> Trial:
        """Index what each path names, and see that the error says what it should; nothing if it is to be read."""
        seen: list[Outcome] = []
        wrong: list[str] = []
        for path, says in expected.items():
            outcome = self._indexed(path, "")
            seen.append(outcome)
            is_right = outcome.verdict == "done" and outcome.value[0] == (BAD_INPUT if says else 0)
            if (
                not is_right
                or says not in outcome.value[1]
                or outcome.seconds > seconds
                or outcome.megabytes > megabytes
            ):
                wrong.append(_told(path.name, outcome))
        return _trial(title, seen, wrong)

    def inside(
        self,
        title: str,
        folder: Path,
        *,
        read: int,
        reported: int,
        task: Callable[[str], tuple[str, list[str]]] = document_tasks.loaded,
    ) -> Trial:
        """Load a folder with the text in so many files, and in which so many things are to be passed over."""
        outcome = self.bench.run(task, str(folder))
        text, said = outcome.value if outcome.verdict == "done" else ("", [])
        found = text.count(document_folders.SAID)
        is_right = (
            (found, len(said)) == (read, reported) and document_folders.SECRET not in text and "root:" not in text
        )
        wrong = "" if is_right else f": {said}"
        return Trial(
            title, 1, is_right, f"{found} read, {len(said)} reported and passed over; {figures(outcome)}{wrong}"
        )

    def _indexed(self, path: Path, text: str) -> Outcome:
        return self.bench.run(document_tasks.indexed, str(self.folder()), str(path), text)


def _is_as_it_should(outcome: Outcome, case: Case) -> bool:
    if outcome.verdict != "done":
        return False
    code, said, is_held = outcome.value
    if code == BAD_INPUT:
        is_named = said.startswith("Error: ") and f"/{case.name}: " in said and "Traceback" not in said
        return is_named and re.search(case.says or "(?!)", said) is not None
    may_be_read = not case.says or case.says.endswith("|")
    return code == 0 and may_be_read and is_held == bool(case.holds)


def _told(name: str, outcome: Outcome) -> str:
    return f"{name[:40]!r}: {figures(outcome)}, {str(outcome.value)[-200:]}"


def figures(outcome: Outcome) -> str:
    """Return what a task took."""
    return f"{outcome.seconds:.1f} s, {outcome.megabytes:,} MB"


def _trial(title: str, seen: list[Outcome], wrong: list[str]) -> Trial:
    read = sum(outcome.verdict == "done" and not outcome.value[0] for outcome in seen)
    parts = [f"{read} read"] * (read > 0) + [f"{len(seen) - read} refused"] * (read < len(seen))
    most = (
        f"{max(outcome.seconds for outcome in seen):.1f} s, {max(outcome.megabytes for outcome in seen):,} MB at most"
    )
    return Trial(title, len(seen), len(seen) - len(wrong), "; ".join([", ".join(parts), most, *wrong[:5]]))
