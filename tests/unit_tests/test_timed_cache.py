"""Replies that are found again take as long as they once did."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from langchain_community.cache import SQLiteCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_qwen_longctx import timed_cache
from langchain_qwen_longctx.timed_cache import TimedCache

if TYPE_CHECKING:
    from pathlib import Path

# langchain-community calls langchain-core in a way that is to change.
pytestmark = pytest.mark.filterwarnings("ignore:The default value of `allowed_objects`")


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return a time that passes only as told."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(timed_cache, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def reply(text: str) -> list[ChatGeneration]:
    return [ChatGeneration(message=AIMessage(text))]


def kept(path: Path, time: SimpleNamespace, **seconds: float) -> None:
    """Make calls one after the other that take so long each."""
    cache = TimedCache(path)
    for prompt, taken in seconds.items():
        assert cache.lookup(prompt, "model") is None
        time.now += taken
        cache.update(prompt, "model", reply(prompt))


def test_a_reply_found_takes_as_long_as_it_once_did(tmp_path: Path, time: SimpleNamespace) -> None:
    kept(tmp_path / "replies.sqlite", time, first=7.0, second=2.0)
    cache, begun = TimedCache(tmp_path / "replies.sqlite"), time.now

    found = cache.lookup("first", "model")
    after_first = cache.monotonic()
    cache.lookup("second", "model")

    assert [generation.text for generation in found or ()] == ["first"]
    assert (after_first - begun, cache.monotonic() - begun) == (7.0, 9.0)


def test_a_call_that_is_made_takes_its_own_time_alone(tmp_path: Path, time: SimpleNamespace) -> None:
    cache, begun = TimedCache(tmp_path / "replies.sqlite"), time.now

    cache.lookup("first", "model")
    time.now += 7.0
    cache.update("first", "model", reply("yes"))

    assert cache.monotonic() - begun == 7.0


def test_calls_under_way_at_once_are_told_apart(tmp_path: Path, time: SimpleNamespace) -> None:
    path = tmp_path / "replies.sqlite"
    cache = TimedCache(path)
    cache.lookup("long", "model")
    time.now += 1.0
    cache.lookup("short", "model")
    time.now += 2.0
    cache.update("short", "model", reply("yes"))
    time.now += 4.0
    cache.update("long", "model", reply("no"))

    again, begun = TimedCache(path), time.now
    again.lookup("short", "model")

    assert again.monotonic() - begun == 2.0


def test_a_reply_kept_by_langchain_itself_takes_no_time(tmp_path: Path, time: SimpleNamespace) -> None:
    SQLiteCache(str(tmp_path / "replies.sqlite")).update("first", "model", reply("yes"))
    cache, begun = TimedCache(tmp_path / "replies.sqlite"), time.now

    found = cache.lookup("first", "model")

    assert [generation.text for generation in found or ()] == ["yes"]
    assert cache.monotonic() == begun
