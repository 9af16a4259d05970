"""Bulk jobs on a real Ray: what they come to, and what is left of them when a worker or the command ends early."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from chronicle import chronicle
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION
from dying_worker import dying
from langchain_core.messages import HumanMessage
from ollama_server import FakeOllama, ServedModel
from safetensors import safe_open
from tenacity import Retrying, stop_after_attempt
from waiting import Held, until

from langchain_qwen_longctx.cases import read_cases
from langchain_qwen_longctx.cli_eval import evaluate_share
from langchain_qwen_longctx.cli_options import Settings
from langchain_qwen_longctx.cli_parts import index_share
from langchain_qwen_longctx.evaluation import left_by_document
from langchain_qwen_longctx.ray_tasks import in_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripted import Respond

ray = pytest.importorskip("ray", reason='needs Ray: pip install "langchain-qwen-longctx[ray]"')

MODEL = "qwen2:7b"
START_ATTEMPTS = 3
TOWNS = 3
"""Documents, each with two cases."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a Ray that this process has started, with two processors, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        start_ray()
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


def start_ray() -> None:
    """Start Ray, again if one of its processes does not come up in half a minute; now and then that happens."""
    with warnings.catch_warnings():
        # The other processes of a start that failed end with this one.
        warnings.simplefilter("ignore", ResourceWarning)
        attempts = Retrying(stop=stop_after_attempt(START_ATTEMPTS), reraise=True)
        attempts(
            ray.init, "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
        gc.collect()


@dataclass
class ExpertOllama(FakeOllama):
    """Answers by a rule, whatever the order in which workers ask."""

    respond: Respond = EXPERT
    _lock: Lock = field(default_factory=Lock)

    def chat(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        reply = self.respond([HumanMessage(message["content"]) for message in body["messages"]])
        assert isinstance(reply, str)
        with self._lock:
            self.enqueue(reply)
            return super().chat(body)


@pytest.fixture
def ollama() -> Iterator[ExpertOllama]:
    with ExpertOllama([ServedModel(MODEL)]) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder where commands run; `towns` in it has documents, and a file that cannot be read."""
    towns = tmp_path / "towns"
    towns.mkdir()
    for number in range(TOWNS):
        (towns / f"镇志 {number}.txt").write_text(chronicle(12, {number: TOWN_FACT}), "utf-8")
    (towns / "broken.pdf").write_bytes(b"\x00\x01 no pdf at all")
    cases = [
        {
            "id": f"{number}{name}",
            "question": TOWN_QUESTION,
            "answers": ["毛一清"],
            "document": f"towns/镇志 {number}.txt",
        }
        for number in range(TOWNS)
        for name in "ab"
    ]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), "utf-8")
    return tmp_path


@contextmanager
def command(*arguments: str | Path, folder: Path, address: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a command in a folder, with all that it keeps below that, and end it if it has not ended."""
    own = {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path), "RAY_ADDRESS": address}
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "langchain_qwen_longctx", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process
        process.kill()


def run(*arguments: str | Path, **where: Any) -> tuple[int, str, str]:
    """Run a command and return its exit code, stdout and stderr."""
    with command(*arguments, **where) as process:
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@contextmanager
def held_open(pipe: Path) -> Iterator[None]:
    """Keep a pipe open for writing, so that who reads it waits."""
    end = os.open(pipe, os.O_RDWR)
    yield
    os.close(end)


def indexes(cache: Path) -> dict[str, tuple[dict[str, str], dict[str, bytes]]]:
    """Return the metadata and the arrays of each saved index by its name; safetensors shuffles the former."""
    found = {}
    for path in cache.rglob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            found[path.name] = file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 - not a mapping
    return found


def outcomes(file: Path) -> list[dict[str, Any]]:
    """Return the results of a file by id, but for the seconds they took."""
    lines = [json.loads(line) | {"seconds": 0} for line in file.read_text("utf-8").splitlines()]
    return sorted(lines, key=lambda outcome: str(outcome["id"]))


class TestIndex:
    def test_it_comes_to_what_it_does_without_ray(self, folder: Path, address: str) -> None:
        alone = run("index", "towns", "--cache-dir", "alone", folder=folder)

        with_ray = run("index", "towns", "--cache-dir", "shared", "--ray", folder=folder, address=address)

        assert with_ray == alone
        assert alone[0] == 0
        assert indexes(folder / "shared") == indexes(folder / "alone")
        assert len(indexes(folder / "shared")) == TOWNS

    def test_without_a_cluster_it_starts_ray_and_says_nothing_of_it(self, folder: Path) -> None:
        code, out, err = run("index", "towns/镇志 0.txt", "--ray", folder=folder)

        assert (code, out, err) == (0, "", "Documents: 1 (1 read), 3 chunks\n")

    def test_a_file_given_by_name_that_cannot_be_read_ends_it(self, folder: Path, address: str) -> None:
        code, _, err = run("index", "towns/broken.pdf", "--ray", folder=folder, address=address)

        assert code == 2
        assert err.startswith("Error: towns/broken.pdf: not a PDF")

    def test_what_a_worker_warns_of_is_told(self, folder: Path, address: str) -> None:
        (folder / "cache").touch()

        code, _, err = run("index", "towns", "--ray", folder=folder, address=address)

        assert code == 0
        assert err.count("the index could not be saved") == TOWNS

    def test_a_worker_that_dies_costs_nothing(
        self, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        files = sorted(Path("towns").glob("*.txt"))
        shares = [(Path("marker"), index_share, number, path, Path("index")) for number, path in enumerate(files)]

        reports = dict(in_tasks(dying, shares))

        assert (folder / "marker").exists()
        found = [reports[number].read + reports[number].reused for number in range(TOWNS)]
        assert found == [[str(path)] for path in files]
        assert len(indexes(folder / "index")) == TOWNS

    def test_an_interruption_keeps_what_is_done(self, folder: Path, address: str) -> None:
        os.mkfifo(folder / "pipe.txt")
        arguments = ("index", "towns/镇志 0.txt", "pipe.txt", "--cache-dir", "kept", "--ray")
        with held_open(folder / "pipe.txt"), command(*arguments, folder=folder, address=address) as process:
            until(lambda: indexes(folder / "kept"))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)

        assert process.returncode == 130
        assert err.strip() == "Interrupted. Saved indexes are kept; the same command goes on from them."
        assert len(indexes(folder / "kept")) == 1


class TestEval:
    def test_it_comes_to_what_it_does_without_ray(self, folder: Path, address: str, ollama: ExpertOllama) -> None:
        arguments = ("eval", "cases.jsonl", "--base-url", ollama.url, "--arm", "bm25", "--arm", "retrieve")
        alone = run(*arguments, "--out", "alone.jsonl", folder=folder)

        code, _, err = run(*arguments, "--out", "ray.jsonl", "--ray", folder=folder, address=address)

        assert (code, err) == (alone[0], alone[2]) == (0, f"Model: ollama:{MODEL}\n")
        assert outcomes(folder / "ray.jsonl") == outcomes(folder / "alone.jsonl")
        assert len(outcomes(folder / "ray.jsonl")) == 4 * TOWNS

    def test_it_goes_on_where_it_was(self, folder: Path, address: str, ollama: ExpertOllama) -> None:
        arguments = ("eval", "cases.jsonl", "--base-url", ollama.url, "--arm", "bm25", "--replies", "replies.sqlite")
        run(*arguments, "--limit", "1", folder=folder)

        code, _, _ = run(*arguments, "--ray", folder=folder, address=address)

        assert code == 0
        assert [outcome["id"] for outcome in outcomes(folder / "eval.jsonl")] == ["0a", "0b", "1a", "1b", "2a", "2b"]

    def test_an_interruption_keeps_what_is_there(self, folder: Path, address: str, ollama: ExpertOllama) -> None:
        with Held(EXPERT) as held:
            asked = count()
            ollama.respond = lambda messages: EXPERT(messages) if next(asked) < 2 else held(messages)
            arguments = ("eval", "cases.jsonl", "--base-url", ollama.url, "--arm", "bm25", "--ray")
            with command(*arguments, folder=folder, address=address) as process:
                until(lambda: (folder / "eval.jsonl").exists() and len(outcomes(folder / "eval.jsonl")) == 2)
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)

        assert process.returncode == 130
        assert err.endswith("Interrupted. 2 of 6 results are in eval.jsonl; the same command goes on from there.\n")

    def test_a_model_that_is_gone_ends_it(self, folder: Path, address: str, ollama: ExpertOllama) -> None:
        code, _, err = run(
            "eval",
            "cases.jsonl",
            "--model",
            "openai:none",
            "--base-url",
            "http://127.0.0.1:1/v1",
            "--api-key",
            "none",
            "--ray",
            folder=folder,
            address=address,
        )

        assert code == 3
        assert err.splitlines()[-1].startswith("Error: none at http://127.0.0.1:1/v1 does not answer")

    def test_a_worker_that_dies_costs_no_result_and_doubles_none(
        self, folder: Path, address: str, ollama: ExpertOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        settings = Settings(model=MODEL, base_url=ollama.url, api_key=None, cache_dir=folder / "kept")
        left = left_by_document(read_cases(Path("cases.jsonl")), ["bm25"], ())
        shares = [
            (Path("marker"), evaluate_share, f"ollama:{MODEL}", settings, None, Path(path), todo) for path, todo in left
        ]

        found = list(in_tasks(dying, shares))

        assert (folder / "marker").exists()
        assert sorted(outcome["id"] for outcome in found) == ["0a", "0b", "1a", "1b", "2a", "2b"]
        assert all(outcome["right"] for outcome in found)
