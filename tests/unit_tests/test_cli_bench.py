"""`bench` from the shell."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from langchain_qwen_longctx import benchmarking, bm25_engines
from langchain_qwen_longctx.bm25_engines import ENGINES, OWN, RIVALS
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from command_line import Shell

    from langchain_qwen_longctx.benchmarking import Figures, Job

ALONE = ("--against", "nothing", "--lang", "zh")
STARTS = {"qwen-longctx --help": 0.2, "import langgraph.graph": 0.8}


def figures_of(job: Job) -> Figures:
    """Return what a run might take: twice as much in the second one, and three times for another engine."""
    each = job.run * (1 if job.engine == OWN else 3)
    names = ("start", "load", "split", "analyze", "build", "searchable", "query_20", "query_800")
    return {**dict.fromkeys(names, each / 1000), "chunks": 20, "peak_bytes": each * 10_000_000}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was measured, in whose place stand made-up figures."""
    measured: list[str] = []

    def take(_: object, job: Job) -> Figures:
        measured.append(str(job))
        return figures_of(job)

    instead(monkeypatch, take)
    return measured


def instead(monkeypatch: pytest.MonkeyPatch, take: Callable[[Callable[[Job], Figures], Job], Figures]) -> None:
    """Let no process be started; figures come from here."""
    monkeypatch.setattr(benchmarking, "in_new_process", take)
    monkeypatch.setattr("langchain_qwen_longctx.benchmarking.time_starts", lambda: STARTS)


def remove(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let engines not be installed, and all others be."""
    for name, engine in ENGINES.items():
        package = "no_such_package" if name in names else "json"
        monkeypatch.setitem(bm25_engines.ENGINES, name, replace(engine, package=package))


def test_what_is_really_measured_has_all_figures(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, lambda measure, job: measure(job))

    result = shell("bench", "--tokens", "10k", "--runs", "1", "--json", *ALONE)

    (row,) = json.loads(result.out)["results"]
    assert (result.code, result.err) == (0, "")
    assert row["chunks"] > 15
    assert row["tokens"] == pytest.approx(10_000, rel=0.05)
    assert min(row[name] for name in ("load", "split", "analyze", "build", "save", "open", "reading")) > 0


def test_medians_are_printed_beside_those_of_others(
    shell: Shell, jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(monkeypatch)

    result = shell("bench", "--tokens", "20k", "--tokens", "10k", "--lang", "en")

    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert jobs[:6] == [*(f"{name}, en 10k, run 1" for name in ENGINES), f"{OWN}, en 10k, run 2"]
    assert lines[0] == "| qwen-longctx | en 10k | en 20k |"
    assert "| **text to searchable, s** | 0.0020 | 0.0020 |" in lines
    assert "| a reading beside the model, ms | – | – |" in lines
    assert "| en 10k | qwen-longctx | its own | 0.0020 | 0.0020 | 2.00 | 2.00 | 20.0 |" in lines
    assert (
        "| en 20k | langchain-community | jieba's | 0.0060 (3.0×) | 0.0060 (3.0×) | 6.00 (3.0×) | 6.00 (3.0×) "
        "| 60.0 (3.0×) |"
    ) in lines
    assert "| `qwen-longctx --help` | 0.200 | 0.25× |" in lines
    assert any(line.startswith("- Medians of 3 runs, each in a process of its own;") for line in lines)
    assert "- The text is made up. Its vocabulary grows with it about as that of real text does." in lines


def test_json_is_one_object(shell: Shell, jobs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    remove(monkeypatch, "tantivy")

    result = shell("bench", "--tokens", "10k", "--runs", "2", "--json")

    made = json.loads(result.out)
    assert made.keys() == {
        "version", "python", "system", "processors", "results", "starts", "missing", "failed", "complete"
    }  # fmt: skip
    assert [(row["engine"], row["text"], row["length"], row["runs"]) for row in made["results"]] == [
        (name, lang, "10k", 2) for lang in ("en", "zh") for name in ENGINES if name != "tantivy"
    ]
    assert made["results"][1]["ratios"]["query_800"] == pytest.approx(3)
    assert (made["starts"], made["failed"], made["complete"]) == (STARTS, [], True)


def test_what_is_not_installed_is_named_with_the_way_to_get_it(
    shell: Shell, jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(monkeypatch, "bm25s", "langchain-community")
    command = ("bench", "--tokens", "10k", "--runs", "1")
    monkeypatch.setitem(ENGINES, "langchain-community", replace(ENGINES["langchain-community"], package="no_jieba"))

    result = shell(*command)
    made = json.loads(shell(*command, "--json").out)

    assert "- langchain-community is left out, because no_jieba is not installed: pip install no_jieba\n" in result.out
    assert "| bm25s |" not in result.out
    assert made["missing"] == {"langchain-community": "pip install no_jieba", "bm25s": "pip install no_such_package"}


def test_packages_have_the_names_that_pip_knows() -> None:
    assert [ENGINES[name].package for name in RIVALS] == ["jieba", "rank_bm25", "bm25s", "tantivy"]


def test_only_what_is_asked_for_is_compared(shell: Shell, jobs: list[str]) -> None:
    result = shell("bench", "--tokens", "10k", "--runs", "1", "--lang", "en", "--against", "rank-bm25")

    assert jobs == ["qwen-longctx, en 10k, run 1", "rank-bm25, en 10k, run 1"]
    assert "not installed" not in result.out


def test_scores_are_compared_with_those_of_rank_bm25(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    differences = iter([0.0, 1e-9, 2e-9])
    instead(
        monkeypatch,
        lambda _, job: (
            figures_of(job) | {"score_difference": next(differences)} if "rank" in str(job) else figures_of(job)
        ),
    )
    command = ("bench", "--tokens", "10k", "--runs", "1", "--lang", "en", "--against", "rank-bm25")

    said = [next(line for line in shell(*command).out.splitlines() if "Scores" in line) for _ in range(3)]

    assert said == [
        "- Scores of rank-bm25 equal ours: the largest difference is 0.",
        "- Scores of rank-bm25 equal ours: the largest difference is 1e-09.",
        "- Scores of rank-bm25 DO NOT equal ours: the largest difference is 2e-09.",
    ]


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("SVG", b"<?xml")])
def test_a_picture_is_drawn(shell: Shell, jobs: list[str], tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"费用.{suffix}"

    result = shell(
        "bench", "--tokens", "10k", "--tokens", "20k", "--runs", "1", "--against", "rank-bm25", "--figure", file
    )

    assert (result.code, result.err) == (0, f"Drawn: {file}\n")
    assert file.read_bytes().startswith(start)
    assert file.stat().st_size > 10_000


def test_a_picture_is_drawn_where_memory_is_not_known(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    instead(monkeypatch, lambda _, job: {"searchable": 1.0, "query_800": 0.1 * job.run})

    result = shell("bench", "--tokens", "10k", "--runs", "1", *ALONE, "--figure", tmp_path / "costs.svg")

    assert result.code == 0
    assert "| peak memory, MB | – |\n" in result.out
    assert "qwen-longctx, zh" in (tmp_path / "costs.svg").read_text("utf-8")


def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    shell: Shell, jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another_kind = shell("bench", "--figure", "costs.pdf")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    without_matplotlib = shell("bench", "--figure", "costs.png")

    assert of_another_kind.code == without_matplotlib.code == 2
    assert "costs.pdf is no picture that can be drawn; give a name that ends with .png or .svg" in of_another_kind.err
    assert 'pip install "langchain-qwen-longctx[eval]"' in without_matplotlib.err
    assert jobs == []


def test_an_interruption_prints_what_is_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(1)

    def take(_: object, job: Job) -> Figures:
        if next(numbers) % 4 == 0:
            raise KeyboardInterrupt
        return figures_of(job)

    instead(monkeypatch, take)
    command = ("bench", "--tokens", "10k", "--tokens", "20k", "--runs", "2", *ALONE)

    result, as_json = shell(*command), shell(*command, "--json")

    assert result.code == as_json.code == 130
    assert result.err.strip() == "Interrupted. What is measured is printed."
    assert result.out.splitlines()[0] == "| qwen-longctx | zh 10k | zh 20k |"
    assert "- Medians of 1–2 runs, each" in result.out
    made = json.loads(as_json.out)
    assert ([row["runs"] for row in made["results"]], made["complete"], made["starts"]) == ([2, 1], False, {})


def test_an_interruption_before_the_first_figure_prints_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def take(_: object, job: Job) -> Figures:
        raise KeyboardInterrupt

    instead(monkeypatch, take)

    result = shell("bench", "--tokens", "10k")

    assert (result.code, result.out, result.err.strip()) == (130, "", "Interrupted. Nothing is measured yet.")


def test_want_of_memory_prints_what_is_there_and_names_the_remedy(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(_: object, job: Job) -> Figures:
        if job.text.length == "20k":
            msg = "its process was ended by signal 9; if memory is short, give fewer --tokens"
            raise InputError(msg)
        return figures_of(job)

    instead(monkeypatch, take)

    result = shell("bench", "--tokens", "10k", "--tokens", "20k", "--runs", "1", *ALONE)

    assert result.code == 2
    assert result.out.startswith("| qwen-longctx | zh 10k |\n")
    assert "give fewer --tokens" in result.err


def test_the_failure_of_another_engine_is_told_and_the_rest_is_measured(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(_: object, job: Job) -> Figures:
        if job.engine == "rank-bm25":
            msg = "its process ended with exit code 1"
            raise RuntimeError(msg)
        return figures_of(job)

    instead(monkeypatch, take)

    result = shell("bench", "--tokens", "10k", "--runs", "1", "--lang", "en", "--against", "rank-bm25")

    assert result.code == 0
    assert "- Failed: rank-bm25, en 10k, run 1: its process ended with exit code 1\n" in result.out


class TestPaths:
    def test_their_text_is_repeated_to_the_size_and_that_is_said(
        self, shell: Shell, jobs: list[str], town: Path
    ) -> None:
        result = shell("bench", town, "--tokens", "10k", "--runs", "1", "--against", "rank-bm25")

        assert jobs == ["qwen-longctx, given 10k, run 1", "rank-bm25, given 10k, run 1"]
        assert "- The given text is repeated " in result.out
        assert "flatters whatever is kept by term" in result.out
        assert "made up" not in result.out

    def test_standard_input_is_one(self, shell: Shell, jobs: list[str]) -> None:
        result = shell("bench", "-", "--tokens", "10k", "--runs", "1", "--against", "nothing", stdin="Tom met Ann.\r\n")

        assert (result.code, jobs) == (0, ["qwen-longctx, given 10k, run 1"])

    @pytest.mark.parametrize("content", ["", " \r\n\r\n"])
    def test_an_empty_one_is_bad_input(self, shell: Shell, jobs: list[str], tmp_path: Path, content: str) -> None:
        file = tmp_path / "空 file.txt"
        file.write_bytes(content.encode())

        result = shell("bench", file, "--tokens", "10k")

        assert (result.code, result.out, jobs) == (2, "", [])
        assert result.complaint == f"Error: {file}: the file is empty"

    def test_no_language_goes_with_them(self, shell: Shell, jobs: list[str], town: Path) -> None:
        result = shell("bench", town, "--lang", "en")

        assert (result.code, jobs) == (2, [])
        assert result.complaint == "Error: --lang is for text that is made up; leave it out, or the paths"


class TestSizes:
    @pytest.mark.parametrize(
        ("length", "complaint"),
        [
            ("9k", "--tokens is 9k; it must be between 10k and 10m"),
            ("10.1m", "--tokens is 10.1m; it must be between 10k and 10m"),
            ("long", "'long' is no length; write tokens, as in 8k, 1.5m or 4000"),
        ],
    )
    def test_one_that_is_out_of_range_is_named(
        self, shell: Shell, jobs: list[str], length: str, complaint: str
    ) -> None:
        result = shell("bench", "--tokens", "10k", "--tokens", length)

        assert (result.code, result.complaint, jobs) == (2, f"Error: {complaint}", [])

    def test_each_is_measured_once_the_shortest_first(self, shell: Shell, jobs: list[str]) -> None:
        shell("bench", "--tokens", "0.02m", "--tokens", "10K", "--tokens", "10k", "--runs", "1", *ALONE)

        assert jobs == ["qwen-longctx, zh 10k, run 1", "qwen-longctx, zh 0.02m, run 1"]
