"""Bulk jobs with a stand-in for Ray that does each task in this process; `integration_tests` has them on a real one."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import TOWN_QUESTION

from langchain_qwen_longctx import ray_tasks
from langchain_qwen_longctx.cli_eval import open_in_worker
from langchain_qwen_longctx.errors import BrokenDocumentError, InputError
from langchain_qwen_longctx.ray_tasks import in_tasks, opened_ray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from command_line import Shell
    from scripted import RuleChatModel


class RayError(Exception):
    """What Ray raises."""


class RayTaskError(RayError):
    """What Ray raises for what a task has raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a traceback, and then {cause}")
        self.cause = cause


@dataclass
class StandIn:
    """As much of Ray as is used; it goes on with the task that has waited longest.

    Attributes:
        settings: What `init` and `remote` were given.
        most_pending: How many tasks there were at once, at most.
        fault: What `init` raises.
        failures: How often it does; always, if none is given.
        is_up: Whether it has been started and not shut down.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    most_pending: int = 0
    fault: Exception | None = None
    failures: int | None = None
    is_up: bool = False
    exceptions: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    )

    def init(self, address: str, **settings: Any) -> None:
        if self.fault and self.failures != 0:
            self.failures = self.failures and self.failures - 1
            raise self.fault
        self.settings |= {"address": address, **settings}
        self.is_up = True

    def shutdown(self) -> None:
        self.is_up = False

    def remote(self, **settings: Any) -> Callable[[Callable[..., Iterator[Any]]], SimpleNamespace]:
        self.settings |= settings
        return lambda function: SimpleNamespace(remote=function)

    def wait(self, running: Sequence[Any]) -> tuple[Sequence[Any], list[Any]]:
        self.most_pending = max(self.most_pending, len(running))
        return running[:1], list(running[1:])

    def get(self, item: object) -> object:
        return item


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "as it was")  # so that it will be again
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    yield stand_in
    open_in_worker.cache_clear()  # here, the worker is this process


def count(name: str, most: int) -> Iterator[str]:
    for number in range(most):
        yield f"{name}{number}"


def fail(error: Exception) -> Iterator[str]:
    yield "before"
    raise RayTaskError(error)


class TestTasks:
    def test_all_that_comes_of_every_share_is_yielded(self, ray: StandIn) -> None:
        found = list(in_tasks(count, [("a", 3), ("b", 0), ("c", 2)]))

        assert sorted(found) == ["a0", "a1", "a2", "c0", "c1"]

    def test_ray_has_no_more_of_them_at_once_than_it_should(
        self, ray: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ray_tasks, "MAX_PENDING", 4)

        found = list(in_tasks(count, ((str(number), 1) for number in range(9))))

        assert (len(found), ray.most_pending) == (9, 4)

    def test_each_has_a_processor(self, ray: StandIn) -> None:
        list(in_tasks(count, [("a", 1)]))

        assert ray.settings == {"num_cpus": 1, "num_returns": "streaming"}

    @pytest.mark.parametrize(
        "error", [BrokenDocumentError("a.pdf", "is damaged"), ZeroDivisionError("of ours")], ids=type
    )
    def test_what_the_work_raises_is_raised(self, ray: StandIn, error: Exception) -> None:
        found = in_tasks(fail, [(error,)])

        assert next(found) == "before"
        with pytest.raises(type(error)) as raised:
            next(found)
        assert raised.value is error

    def test_what_ray_itself_fails_at_is_told_without_its_traceback(self, ray: StandIn) -> None:
        error = RayError("System error: No module named\n'langchain_qwen_longctx'\ntraceback: many lines")

        with pytest.raises(InputError, match=r"a task \(System error: No module named 'langchain_qwen_longctx'\);"):
            list(in_tasks(fail, [(error,)]))

    def test_a_worker_without_the_folder_says_so(
        self, ray: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")

        with pytest.raises(InputError, match=r"cannot work in .*gone .*must share this folder"):
            list(in_tasks(count, [("a", 1)]))


class TestOpening:
    def test_ray_is_started_without_telemetry_and_dashboard_and_ended(self, ray: StandIn) -> None:
        with opened_ray():
            assert ray.is_up
            assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"

        assert not ray.is_up
        assert ray.settings["address"] == "local"
        assert (ray.settings["include_dashboard"], ray.settings["log_to_driver"]) == (False, False)

    def test_what_ray_prints_goes_to_stderr(self, ray: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
        with opened_ray():
            print("(raylet) A worker died")  # noqa: T201 - as Ray does

        assert capsys.readouterr() == ("", "(raylet) A worker died\n")

    def test_telemetry_is_on_for_whoever_wants_it(self, ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")

        with opened_ray():
            assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"

    def test_without_the_extra_the_error_names_it(
        self, shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "ray", None)

        result = shell("index", town, "--ray")

        assert result.code == 2
        assert result.err.startswith("Error: --ray needs Ray (")
        assert 'run: pip install "langchain-qwen-longctx[ray]"' in result.err

    @pytest.mark.parametrize(
        ("address", "fault"),
        [
            ("127.0.0.1:1", "refused"),
            ("[::1]:1", r"refused|not available|assign"),
            ("ray://head.example:10001", "ray:// is for a Ray Client; run this on a machine of the cluster"),
        ],
    )
    def test_a_cluster_that_cannot_be_joined_is_told_at_once(
        self, ray: StandIn, address: str, fault: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_ADDRESS", address)

        with (
            pytest.raises(InputError, match=rf"Ray at .*{address[-3:]} \(RAY_ADDRESS\) cannot be used .*({fault})"),
            opened_ray(),
        ):
            pass

    def test_on_this_machine_it_is_started_again_if_it_has_not_come_up(self, ray: StandIn) -> None:
        ray.fault, ray.failures = Exception("timed out during startup"), 1

        with opened_ray():
            assert ray.is_up

    def test_a_cluster_is_joined_or_not_at_the_first_attempt(
        self, ray: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_ADDRESS", "auto")
        ray.fault, ray.failures = ConnectionError("nothing there"), 1

        with pytest.raises(InputError, match=r"Ray at auto .*nothing there"), opened_ray():
            pass

    @pytest.mark.parametrize(
        "fault",
        [
            RuntimeError("Version\nmismatch"),
            ConnectionError("none"),
            RayError("token"),
            Exception("timed out during startup"),
        ],
    )
    def test_whatever_ray_complains_of_is_told_on_one_line(self, ray: StandIn, fault: Exception) -> None:
        ray.fault = fault

        with (
            pytest.raises(
                InputError, match=r"Ray at local \(RAY_ADDRESS\) cannot be used \([\w ]+\); look at: ray status"
            ),
            opened_ray(),
        ):
            pass


class TestCommands:
    def test_index_says_what_it_says_without_ray(self, shell: Shell, ray: StandIn, town: Path, tmp_path: Path) -> None:
        (tmp_path / "broken.pdf").write_bytes(b"\x00\x01 no pdf")
        alone = shell("index", tmp_path, "--cache-dir", tmp_path / "alone")

        result = shell("index", tmp_path, "--cache-dir", tmp_path / "shared", "--ray")
        again = shell("index", tmp_path, "--cache-dir", tmp_path / "shared", "--ray")

        assert result == alone
        assert "(1 read, 1 skipped)" in result.err
        assert "(1 unchanged, 1 skipped)" in again.err
        assert not ray.is_up

    def test_eval_comes_to_what_it_does_without_ray(
        self, shell: Shell, ray: StandIn, reader: RuleChatModel, town: Path, tmp_path: Path
    ) -> None:
        case = {"id": "clock", "question": TOWN_QUESTION, "answers": ["毛一清"], "document": town.name}
        (tmp_path / "cases.jsonl").write_text(json.dumps(case) + "\n")
        command = ("eval", tmp_path / "cases.jsonl", "--arm", "bm25")
        shell(*command, "--out", tmp_path / "alone.jsonl")

        result = shell(*command, "--out", tmp_path / "ray.jsonl", "--ray")

        alone, with_ray = (json.loads((tmp_path / f"{name}.jsonl").read_text("utf-8")) for name in ("alone", "ray"))
        assert result.code == 0
        assert with_ray | {"seconds": 0} == alone | {"seconds": 0}
        assert not ray.is_up

    def test_index_takes_no_standard_input(self, shell: Shell, ray: StandIn) -> None:
        result = shell("index", "-", "--ray", stdin="text")

        assert result.code == 2
        assert "standard input ('-') is this process's alone" in result.err
