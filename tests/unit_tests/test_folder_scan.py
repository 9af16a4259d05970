"""Which paths a glob stands for."""

from __future__ import annotations

import time

import pytest

from langchain_qwen_longctx.folder_scan import matches


@pytest.mark.parametrize(
    ("path", "glob", "is_match"),
    [
        ("a.md", "*.md", True),
        ("a.md", "**/*.md", True),
        ("a/b/c.md", "**/*.md", True),
        ("a/b/c.md", "*/*.md", False),
        ("a/b/c.md", "a/**", True),
        ("a/b/c.md", "**", True),
        ("a/b/c.md", "a/**/b/c.md", True),
        ("a/b/c.md", "**/b/**/*.md", True),
        ("a/b/c.md", "**/c/**", False),
        ("a/b/c.md", "a/b", False),
        ("a\nb/c.md", "a?b/*", True),
        ("[a].md", "[[]a].md", True),
    ],
)
def test_a_glob_matches_part_by_part(path: str, glob: str, *, is_match: bool) -> None:
    assert matches(path, glob) is is_match


def test_many_stars_take_no_longer_than_their_number() -> None:
    started = time.process_time()

    assert not matches("/".join("a" * 2_000), "/".join(["**", "a"] * 20 + ["b"]))

    assert time.process_time() - started < 1
