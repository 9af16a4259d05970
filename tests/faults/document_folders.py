"""Folders and files as an enemy, or an accident, would leave them: deep, looped, named oddly, or no files at all."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SAID: Final = "The lamp was lit."
SECRET: Final = "The key is under the mat."  # noqa: S105 - of nothing

NAMES: Final = (
    *(
        "-rf",
        "--help",
        "-",
        "--",
        "a\nb.md",
        "a\rb.txt",
        "\x1b[2Jb.md",
        "\x07.txt",
        "tab\t.md",
        " .txt",
        "a .md",
        "'.md",
    ),
    *(
        '".md',
        "*.md",
        "[a].md",
        "[/b].md",
        "{a}.md",
        "$(x).md",
        "`x`.md",
        "%s.md",
        "a\\b.md",
        "\u202egnp.md",
        "\u200b.md",
    ),
    *(
        "e\u0301.md",
        "\u00e9.md",
        "\ufeff.md",
        "中文。md.txt",
        "👨\u200d👩.md",
        "CON.txt",
        "nul.md",
        "a" * 251 + ".txt",
        "中" * 84 + ".md",
    ),
    *(os.fsdecode(b"\xff\xfe.md"), os.fsdecode(b"\xed\xa0\x80.txt"), os.fsdecode(b"caf\xe9.txt")),
)


def named_oddly(folder: Path) -> Iterator[Path]:
    """Make a file of each name, alone in a folder."""
    for number, name in enumerate(NAMES):
        path = folder / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(f"{SAID} {number}")
        yield path


def deep(folder: Path, levels: int) -> None:
    """Make folders in folders with a file in the innermost, however long the path becomes."""
    with contextlib.chdir(folder):
        Path("top.md").write_text(SAID)
        for _ in range(levels):
            Path("d").mkdir()
            os.chdir("d")
        Path("bottom.md").write_text(SAID)


def remove_deep(folder: Path, levels: int) -> None:
    """Remove what is too deep for `shutil.rmtree`, from the bottom."""
    with contextlib.chdir(folder):
        for _ in range(levels):
            os.chdir("d")
        Path("bottom.md").unlink()
        for _ in range(levels):
            os.chdir("..")
            Path("d").rmdir()


def tangled(folder: Path, outside: Path) -> None:
    """Make links that go round, out of the folder, and nowhere, beside a file."""
    outside.mkdir()
    (outside / "secret.md").write_text(SECRET)
    folder.mkdir()
    (folder / "plain.md").write_text(SAID)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "itself.md").symlink_to("itself.md")
    (folder / "a.md").symlink_to("b.md")
    (folder / "b.md").symlink_to("a.md")
    (folder / "nowhere.md").symlink_to("nothing.md")
    (folder / "inside.md").symlink_to("plain.md")
    (folder / "out").symlink_to(outside, target_is_directory=True)
    (folder / "out.md").symlink_to(outside / "secret.md")
    (folder / "up.md").symlink_to(Path("..") / outside.name / "secret.md")
    (folder / "passwd.txt").symlink_to("/etc/passwd")
    (folder / "zero.md").symlink_to("/dev/zero")
    (folder / "random.txt").symlink_to("/dev/urandom")
    (folder / "self.txt").symlink_to("/proc/self/environ")
    os.mkfifo(folder / "pipe.md")
    _make_socket(folder)


def special(folder: Path) -> dict[Path, str]:
    """Return what is no file, and what the error about it says."""
    os.mkfifo(folder / "pipe.md")
    _make_socket(folder)
    return {
        Path("/dev/zero"): "is a device",
        Path("/dev/random"): "is a device",
        Path("/dev/full"): "is a device",
        Path("/dev/null"): "is a device",
        folder / "pipe.md": "is empty",
        folder / "socket.md": "cannot be read",
        Path("/proc/self/mem"): "cannot be read",
        folder / "missing.md": "no such file",
        folder / ("long" * 64): "no such file",
        Path("/" + "d/" * 3_000): "no such file",
        folder / "missing" / ".." / "a.md": "no such file",
    }


def _make_socket(folder: Path) -> None:
    # Its path has 107 bytes at most.
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.md")


def forbidden(folder: Path) -> None:
    """Make a file and a folder that nobody may look into, beside a file that anybody may read."""
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "inner.md").write_text(SECRET)
    (folder / "listed").mkdir()
    (folder / "listed" / "inner.md").write_text(SECRET)
    (folder / "plain.md").write_text(SAID)
    (folder / "secret.md").write_text(SECRET)
    (folder / "secret.md").chmod(0)
    (folder / "closed").chmod(0)
    (folder / "listed").chmod(0o444)
    # Somebody else is to come that far.
    for parent in (folder, folder.parent):
        parent.chmod(0o755)
