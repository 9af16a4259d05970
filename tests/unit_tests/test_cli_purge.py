"""What `purge` shows, asks and deletes, and what it leaves alone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from command_line import TOWN_QUESTION, Shell

from langchain_qwen_longctx import cli_purge
from langchain_qwen_longctx.cli_purge import WHAT
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.kept_files import KINDS
from langchain_qwen_longctx.model_files import model_path
from langchain_qwen_longctx.notes import open_notes
from langchain_qwen_longctx.persistence import open_reply_cache
from langchain_qwen_longctx.private_files import private_file

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import RuleChatModel

MONTH = 31 * 86_400

# Has the replies open and keeps one; after a line of input, it says whether that is there, and keeps another.
OTHER_PROCESS = """
import sys
from pathlib import Path
from langchain_qwen_longctx.persistence import open_reply_cache
replies = open_reply_cache(Path(sys.argv[1]))
replies.keep("old", "secret words " * 50_000)
print("kept", flush=True)
sys.stdin.readline()
found = replies.find("old")
replies.keep("new", "later words")
print(found, replies.find("new"), flush=True)
"""


@pytest.fixture
def kept(shell: Shell, town: Path, tmp_path: Path) -> Path:
    """Return the cache folder with a little of everything, as commands that have ended leave it behind."""
    folder = tmp_path / "cache" / "langchain-qwen-longctx"
    for name in ("replies", "threads"):
        with closing(sqlite3.connect(private_file(folder / name / f"{name}.sqlite"))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE anything (value)")
    open_index([town], cache_dir=folder / "index")
    open_notes(town.parent, cache_dir=folder / "notes", exclude=["cache", "here"])
    model = model_path(cache_dir=folder)
    (model.parent / f"{model.name}.parts" / "arriving").mkdir(parents=True)
    for name in ("", ".lock", ".sha256", ".parts/1.whl", ".parts/arriving/part-1.0.whl"):
        (model.parent / f"{model.name}{name}").write_bytes(bytes(1000))
    return folder


def files(folder: Path) -> set[str]:
    """Return the paths in a folder of the files in it, but for what is kept of a kind its name alone."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def kinds(folder: Path) -> set[str]:
    return {path.partition("/")[0] for path in files(folder)}


class TestChoosing:
    def test_without_a_name_all_goes_but_the_model(self, shell: Shell, kept: Path) -> None:
        result = shell("purge", "--yes")

        assert (result.code, result.err) == (0, "")
        assert kinds(kept) == {"models"}

    def test_all_is_all(self, shell: Shell, kept: Path) -> None:
        shell("purge", "--yes", "all")

        assert list(kept.iterdir()) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_only_what_is_named_goes(self, shell: Shell, kept: Path, kind: str) -> None:
        shell("purge", "--yes", kind)

        assert kinds(kept) == set(KINDS) - {kind}

    def test_what_may_be_named_is_what_is_kept(self) -> None:
        assert (*KINDS, "all") == WHAT

    def test_a_folder_of_ones_own_is_looked_into(self, shell: Shell, kept: Path, town: Path, tmp_path: Path) -> None:
        shell("index", "--cache-dir", tmp_path / "mine", town)

        result = shell("purge", "--yes", "--cache-dir", tmp_path / "mine")

        assert "Deleted 1 file;" in result.out
        assert files(tmp_path / "mine") == set()
        assert kinds(kept) == set(KINDS)

    def test_where_nothing_is_kept_that_is_told(self, shell: Shell, tmp_path: Path) -> None:
        result = shell("purge", "--cache-dir", tmp_path / "none")

        assert (result.code, result.out) == (0, f"Nothing of that is kept in {tmp_path / 'none'}.\n")


class TestAge:
    def test_only_what_is_old_enough_goes(self, shell: Shell, kept: Path, town: Path) -> None:
        (old,) = (kept / "index").iterdir()
        os.utime(old, (0, time.time() - MONTH))
        (town.parent / "second.txt").write_text("The pier was painted green.")
        shell("index", town.parent / "second.txt")

        result = shell("purge", "--yes", "--older-than", "30d")

        assert "Deleted 1 file;" in result.out
        assert not old.exists()
        assert kinds(kept) == set(KINDS)

    def test_the_parts_of_an_index_of_notes_go_together(self, shell: Shell, kept: Path) -> None:
        base = next((kept / "notes").rglob("base.safetensors"))
        os.utime(base, (0, time.time() - MONTH))

        shell("purge", "--yes", "--older-than", "4w", "notes")

        assert base.exists()

    @pytest.mark.parametrize("age", ["30", "d", "1.5d", "30 days", "-1d", ""])
    def test_what_is_no_age_is_refused_with_an_example(self, shell: Shell, age: str) -> None:
        result = shell("purge", "--yes", "--older-than", age)

        assert result.code == 2
        assert "such as 12h, 30d or 8w" in result.err


class TestAsking:
    def test_what_would_go_is_shown_with_its_place_count_and_size(self, shell: Shell, kept: Path) -> None:
        result = shell("purge", "all")

        told = {line.split()[0]: line for line in result.out.splitlines()}
        assert told.keys() == set(KINDS)
        assert told["models"] == f"models        5 files      5 kB  {kept / 'models'}"

    def test_where_nobody_can_be_asked_nothing_goes_and_the_remedy_is_told(self, shell: Shell, kept: Path) -> None:
        before = files(kept)

        result = shell("purge")

        assert result.code == 2
        assert "say --yes" in result.err
        assert files(kept) == before

    @pytest.mark.parametrize(("answer", "left"), [("y\n", {"models"}), ("n\n", set(KINDS)), ("\n", set(KINDS))])
    def test_at_a_terminal_it_asks(
        self, shell: Shell, kept: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: set[str]
    ) -> None:
        monkeypatch.setattr(cli_purge, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))

        result = shell("purge", stdin=answer)

        assert result.code == 0
        assert "Delete this for good? [y/N]: " in result.err
        assert kinds(kept) == left
        assert ("Nothing was deleted." in result.out) == (left == set(KINDS))

    def test_what_was_freed_is_told(self, shell: Shell, kept: Path) -> None:
        size = sum(path.stat().st_size for path in (kept / "notes").rglob("*") if path.is_file())

        result = shell("purge", "--yes", "notes")

        assert result.out.splitlines()[-1] == f"Deleted 2 files; {-(-size // 1000):,} kB are free again."


class TestLeavingAlone:
    def test_files_that_are_not_ours_stay_and_are_counted(self, shell: Shell, kept: Path) -> None:
        strange = ["index/mine.txt", "notes/own.md", "models/other.gguf", "replies/replies.sqlite.bak", "top.txt"]
        for name in strange:
            (kept / name).write_text("mine")

        result = shell("purge", "--yes", "all")

        assert files(kept) == set(strange)
        assert result.out.count("(not ours, stays: 1)") == 4

    def test_a_link_is_neither_followed_nor_deleted(self, shell: Shell, kept: Path, tmp_path: Path) -> None:
        (index,) = (kept / "index").iterdir()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        index.rename(elsewhere / index.name)
        index.symlink_to(elsewhere / index.name)
        (kept / "notes").rename(tmp_path / "moved notes")
        (kept / "notes").symlink_to(tmp_path / "moved notes")

        shell("purge", "--yes")

        assert files(kept) >= {f"index/{index.name}", "notes"}
        assert len(files(elsewhere)) == 1
        assert len(files(tmp_path / "moved notes")) == 2

    def test_what_cannot_be_deleted_is_named_and_the_rest_goes(
        self, shell: Shell, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (index,) = (kept / "index").iterdir()
        unlink = type(index).unlink

        def refuse(path: Path, *, missing_ok: bool = False) -> None:
            if path == index:
                raise PermissionError(13, "Permission denied", str(path))
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(type(index), "unlink", refuse)

        result = shell("purge", "--yes")

        assert result.code == 2
        assert f"could not be deleted: {index} (Permission denied)" in result.err
        assert kinds(kept) == {"index", "models"}


class TestOtherProcesses:
    def test_replies_that_another_process_has_open_are_emptied_and_it_works_on(self, shell: Shell, kept: Path) -> None:
        path = kept / "replies" / "replies.sqlite"
        command = [sys.executable, "-c", OTHER_PROCESS, str(path.parent)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: S603
            assert other.stdout
            assert other.stdout.readline() == "kept\n"

            result = shell("purge", "--yes", "replies")
            held = b"".join(file.read_bytes() for file in path.parent.iterdir())
            found, _ = other.communicate("\n", timeout=60)

        assert result.code == 0
        assert f"{path} is open in another process, and was emptied." in result.out
        assert b"secret words" not in held
        assert len(held) < 100_000
        assert found == "None later words\n"
        assert open_reply_cache(path.parent).find("new") == "later words"

    def test_a_conversation_that_is_purged_while_it_is_open_begins_anew(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        # In the same process, so that its connection is still open.
        shell("chat", "--thread", "mine", town, stdin=TOWN_QUESTION)

        purged = shell("purge", "--yes", "threads")

        assert "is open in another process, and was emptied" in purged.out
        assert "Thread: mine, 0 earlier questions" in shell("chat", "--thread", "mine", town).err

    def test_what_another_process_is_writing_just_now_stays_and_is_named(
        self, shell: Shell, kept: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("langchain_qwen_longctx.kept_files.PATIENCE_WITH_OTHERS", 0.1)
        path = kept / "threads" / "threads.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")

            result = shell("purge", "--yes", "threads")

        assert result.code == 2
        assert f"could not be deleted: {path} (another process is using it (database is locked))" in result.err
        assert path.exists()

    def test_a_database_that_is_damaged_goes_too(self, shell: Shell, kept: Path) -> None:
        (kept / "replies" / "replies.sqlite").write_bytes(b"no database" * 1000)

        shell("purge", "--yes", "replies")

        assert not (kept / "replies").exists()

    def test_a_model_that_another_process_is_fetching_stays(self, shell: Shell, kept: Path) -> None:
        filelock = pytest.importorskip("filelock", reason="the extra `embedded` is not installed")
        model = model_path(cache_dir=kept)
        before = files(kept / "models")

        with filelock.FileLock(model.with_name(f"{model.name}.lock")):
            result = shell("purge", "--yes", "models")

        assert result.code == 2
        assert "another process is fetching it" in result.err
        assert files(kept / "models") == before
