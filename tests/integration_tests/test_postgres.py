"""Replies and threads in a real PostgreSQL, shared by workers, one of which may die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import shared_worker
from postgres_server import PASSWORD, PostgresServer, find_programs
from waiting import until

from langchain_qwen_longctx import open_postgres_cache, open_postgres_checkpointer, postgres
from langchain_qwen_longctx.cli_parts import open_replies
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langgraph.checkpoint.base import Checkpoint

    from langchain_qwen_longctx.postgres import SharedReplies

NO_WAIT, LONG = 0.0, 60.0
"""Seconds that another worker is waited for."""


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip("needs the programs of a PostgreSQL server: apt install postgresql")
    with PostgresServer(programs) as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    """Return the address of a database that nothing has been made in."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        connection.execute("CREATE DATABASE fresh")
    return server.url.removesuffix("/postgres") + "/fresh"


@pytest.fixture
def shared(url: str) -> Iterator[tuple[SharedReplies, SharedReplies]]:
    """Return the replies as two workers have them."""
    first, second = open_postgres_cache(url), open_postgres_cache(url)
    yield first, second
    first.close()
    second.close()


@dataclass
class Worker:
    """A process that asks the question of `shared_worker`."""

    process: subprocess.Popen[bytes]

    def result(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=LONG)
        result: dict[str, Any] = json.loads(out)
        return result


@contextmanager
def worker(url: str, log: Path, *thread: str) -> Iterator[Worker]:
    command = [sys.executable, shared_worker.__file__, url, str(log), *thread]
    environment = {**os.environ, "PYTHONPATH": str(Path(shared_worker.__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:  # noqa: S603 - our own
        yield Worker(process)
        process.kill()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def calls(log: Path, what: str = "begin", of: int | None = None) -> Counter[str]:
    """Return how often the model was called with each prompt, by all workers or by one."""
    return Counter(line["said"] for line in lines(log) if line["what"] == what and of in {None, line["worker"]})


def test_two_workers_make_each_reply_once_and_have_the_same_answer(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"

    with worker(url, log) as first, worker(url, log) as second:
        one, other = first.result(), second.result()

    shares = [len(calls(log, of=process.pid)) for process in (first.process, second.process)]
    assert one["answer"] == other["answer"] == "毛一清 [1]"
    assert one["coverage"] == other["coverage"]
    assert max(calls(log).values()) == 1
    assert sum(shares) > one["coverage"]["chunks_total"] > 100
    assert min(shares) > sum(shares) / 5
    under_way = list(accumulate(1 if line["what"] == "begin" else -1 for line in lines(log)))
    assert max(under_way) > shared_worker.AT_ONCE


def test_of_a_killed_worker_only_the_calls_under_way_are_made_again(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"

    with worker(url, log) as first, worker(url, log) as second:
        until(lambda: calls(log, "end", first.process.pid).total() > 25)
        first.process.kill()
        first.process.wait()
        result = second.result()

    lost = calls(log, "begin", first.process.pid) - calls(log, "end", first.process.pid)
    again = {said for said, count in calls(log).items() if count > 1}
    assert result["coverage"]["chunks_read"] == result["coverage"]["chunks_total"]
    # A call that has just ended may not be kept yet.
    assert set(lost) <= again
    assert len(again) <= shared_worker.AT_ONCE
    assert max(calls(log).values()) <= 2


def test_another_worker_goes_on_with_the_thread_of_a_killed_one(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with worker(url, log, "thread") as first:
        until(lambda: calls(log, "end").total() > 70)
        first.process.kill()
        first.process.wait()
    before = calls(log, "end")

    with worker(url, log, "thread") as second:
        result = second.result()

    assert result["answer"] == "毛一清 [1]"
    assert result["coverage"]["chunks_read"] == result["coverage"]["chunks_total"]
    assert len(set(before) & set(calls(log, of=second.process.pid))) <= shared_worker.AT_ONCE


def test_a_reply_is_kept_for_every_worker(shared: tuple[SharedReplies, SharedReplies]) -> None:
    first, second = shared

    first.keep("a", "沈文达 [1]\r\n“'; DROP TABLE x; --")

    assert (second.find("a"), second.find("b")) == ("沈文达 [1]\r\n“'; DROP TABLE x; --", None)


def test_who_wants_what_another_worker_makes_waits_for_it(shared: tuple[SharedReplies, SharedReplies]) -> None:
    first, second = shared
    found: list[str | None] = []

    def want() -> None:
        with second.claimed("a", LONG) as text:
            found.append(text)

    with first.claimed("a", LONG) as missing:
        waiting = Thread(target=want)
        waiting.start()
        waiting.join(0.2)
        assert (missing, found) == (None, [])
        first.keep("a", "reply")
    waiting.join(LONG)

    assert found == ["reply"]


@pytest.mark.parametrize("other", [0, 1], ids=["of the same worker", "of another worker"])
def test_what_is_waited_for_too_long_is_made_after_all(shared: tuple[SharedReplies, SharedReplies], other: int) -> None:
    with shared[0].claimed("a", LONG), shared[other].claimed("a", NO_WAIT) as text:
        assert text is None

    with shared[1].claimed("a", LONG) as text:
        assert text is None


def test_a_reply_that_failed_is_the_next_workers_to_make(shared: tuple[SharedReplies, SharedReplies]) -> None:
    first, second = shared

    with pytest.raises(ZeroDivisionError), first.claimed("a", LONG):
        raise ZeroDivisionError

    with second.claimed("a", NO_WAIT) as text, first.claimed("b", NO_WAIT):
        assert text is None


def test_a_lost_connection_costs_a_warning_and_no_claim(
    url: str, shared: tuple[SharedReplies, SharedReplies], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = shared
    with psycopg.connect(url, autocommit=True) as connection, first.claimed("a", LONG):
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

        first.keep("b", "reply")

        assert second.find("b") == "reply"
        claims = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
        assert claims == (1,)
    assert "the connection to PostgreSQL was lost (terminating connection due to administrator" in caplog.text


def test_while_the_server_is_away_nothing_is_found_or_kept_and_then_again(
    server: PostgresServer,
    shared: tuple[SharedReplies, SharedReplies],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "RECONNECT_PAUSE", 0.0)
    replies, _ = shared
    replies.keep("a", "before")
    server.stop()
    try:
        replies.keep("b", "meanwhile")
        with replies.claimed("a", LONG) as text:
            assert text is None
    finally:
        server.start()

    assert (replies.find("a"), replies.find("b")) == ("before", None)
    assert caplog.text.count("PostgreSQL neither gives nor takes replies") == 1
    assert PASSWORD not in caplog.text


def test_the_shell_keeps_replies_where_the_environment_says(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_POSTGRES", url)
    kept = open_replies(tmp_path)
    assert kept

    with kept.claimed("a", LONG) as missing, open_postgres_cache(url).claimed("b", NO_WAIT):
        assert missing is None
        kept.keep("a", "reply")

    assert open_postgres_cache(url).find("a") == "reply"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a\x00b", "\ud83d"], ids=["null", "half a pair"])
def test_a_reply_that_postgresql_cannot_hold_costs_a_warning(
    shared: tuple[SharedReplies, SharedReplies], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    replies, _ = shared

    replies.keep("a", text)

    assert replies.find("a") is None
    assert "PostgreSQL neither gives nor takes replies" in caplog.text


def test_workers_that_begin_at_once_do_not_hinder_each_other(url: str) -> None:
    def begin(number: int) -> None:
        if number % 2:
            open_postgres_checkpointer(url)
        else:
            open_postgres_cache(url).keep(str(number), "reply")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(begin, range(16)))

    assert open_postgres_cache(url).find("14") == "reply"


@dataclass
class Foreign:
    """What nobody expects in a checkpoint."""

    what: str

    def __post_init__(self) -> None:
        made.append(self)


made: list[Foreign] = []


def test_what_others_have_written_makes_no_objects(url: str) -> None:
    saver = open_postgres_checkpointer(url)
    place: Any = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    checkpoint: Checkpoint = {
        "v": 4,
        "id": "1f",
        "ts": "",
        "channel_values": {"note": Foreign("written")},
        "channel_versions": {"note": "1"},
        "versions_seen": {},
        "updated_channels": None,
    }
    saver.put(place, checkpoint, {}, {"note": "1"})
    made.clear()

    kept = saver.get_tuple(place)

    assert kept
    assert made == []


def test_a_wrong_password_is_an_error_that_does_not_show_it(server: PostgresServer) -> None:
    wrong = server.url.replace(PASSWORD, "Stachelbeere")

    with pytest.raises(
        InputError, match=r"dbname=postgres .*password authentication failed .*; start it, or check"
    ) as caught:
        open_postgres_cache(wrong)

    assert "Stachelbeere" not in str(caught.value)
