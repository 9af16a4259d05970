"""What is measured, on which texts, and that a process's memory is its own."""

from __future__ import annotations

import multiprocessing
import operator
import signal
import time
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from langchain_qwen_longctx import benchmark_texts, benchmarking
from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.benchmark_report import OF_OURS, Report, medians, ratios, shown
from langchain_qwen_longctx.benchmark_texts import Text, fit, make_up_text, write_texts
from langchain_qwen_longctx.benchmarking import (
    Job,
    draw_terms,
    in_new_process,
    make_searchable,
    measure,
    outcome,
    peak_memory,
    plan,
    score_difference,
    time_starts,
    timed,
)
from langchain_qwen_longctx.bm25_engines import BEST, ENGINES, OWN, Engine, build_rank_bm25, own_analyzer, terms_of
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.documents import Document

    from langchain_qwen_longctx.bm25_engines import Analyzer
    from langchain_qwen_longctx.haystacks import Lang

LANGS: Final = pytest.mark.parametrize("lang", ["en", "zh"])


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(benchmarking, "perf_counter", clock)
    return clock


@pytest.fixture
def text(tmp_path: Path) -> Text:
    return next(write_texts(tmp_path, ["3k"], langs=["zh"]))


@pytest.fixture
def chunks() -> list[Document]:
    return QwenTextSplitter(64).create_documents([make_up_text("en", 2000)])


def vocabulary(text: str) -> int:
    return len(set(analyze(text)))


class TestTexts:
    @LANGS
    def test_ten_times_the_tokens_are_ten_times_the_text(self, lang: Lang) -> None:
        short, long = make_up_text(lang, 4_000), make_up_text(lang, 40_000)

        assert count_tokens(short) == pytest.approx(4_000, rel=0.1)
        assert count_tokens(long) == pytest.approx(40_000, rel=0.01)
        assert len(long) / len(short) == pytest.approx(10, rel=0.15)

    @LANGS
    def test_the_vocabulary_grows_with_the_text_but_less_than_it(self, lang: Lang) -> None:
        grown = vocabulary(make_up_text(lang, 40_000)) / vocabulary(make_up_text(lang, 4_000))

        assert 3 < grown < 9

    @LANGS
    def test_it_is_the_same_each_time_and_a_short_one_begins_a_long_one(self, lang: Lang) -> None:
        assert make_up_text(lang, 3_000).startswith(make_up_text(lang, 2_000))
        assert make_up_text(lang, 2_000) != make_up_text(lang, 2_000, seed=1)

    def test_few_words_are_frequent(self) -> None:
        words = benchmark_texts.invent_words("en", Random(0))
        said = [next(words) for _ in range(5_000)]

        by_frequency = sorted((said.count(word) for word in set(said)), reverse=True)
        assert by_frequency[0] > 10 * by_frequency[len(by_frequency) // 2]

    def test_a_given_text_is_cut_to_the_size(self) -> None:
        text = make_up_text("en", 4_000)

        cut, times = fit(text, 1_000)

        assert text.startswith(cut)
        assert count_tokens(cut) == pytest.approx(1_000, rel=0.1)
        assert times == pytest.approx(0.25, rel=0.1)

    def test_a_given_text_is_repeated_to_the_size(self) -> None:
        text = "Tom met Ann. \r\n老磨坊。"

        repeated, times = fit(text, 1_000)

        assert repeated.startswith(f"{text}\n\n{text}\n\nTom")
        assert repeated.count("Ann") == pytest.approx(times, abs=1)
        assert count_tokens(repeated) == pytest.approx(1_000, rel=0.01)

    def test_each_size_has_a_file_for_each_language(self, tmp_path: Path) -> None:
        texts = list(write_texts(tmp_path, ["1k", "2k"]))

        assert [(text.name, text.length, text.path.name) for text in texts] == [
            ("en", "1k", "en-1k.txt"), ("zh", "1k", "zh-1k.txt"), ("en", "2k", "en-2k.txt"), ("zh", "2k", "zh-2k.txt")
        ]  # fmt: skip
        assert all(text.bytes == text.path.stat().st_size for text in texts)
        assert all(text.tokens == count_tokens(text.path.read_text("utf-8")) for text in texts)

    def test_a_given_text_has_one_file_for_each_size_and_a_lone_surrogate_does_no_harm(self, tmp_path: Path) -> None:
        (text,) = write_texts(tmp_path, ["1k"], given="Half of a pair: \ud800\n")

        assert (text.name, text.times > 1) == ("given", True)
        assert text.path.read_text("utf-8").startswith("Half of a pair: ?\n")


class TestFigures:
    def test_medians_are_over_the_runs_that_have_a_figure(self) -> None:
        runs = [{"load": 5.0}, {"load": 1.0, "peak_bytes": 7.0}, {"load": 2.0}, {"load": 4.0, "peak_bytes": 9.0}]

        assert medians(runs) == {"load": 3, "peak_bytes": 8}

    def test_what_is_timed_is_what_is_done_meanwhile(self, clock: Clock) -> None:
        figures: dict[str, float] = {}
        clock.now += 5

        with timed(figures, "load"):
            clock.now += 2

        assert figures == {"load": 2}

    def test_the_time_of_the_analyzer_is_taken_off_that_of_building(self, clock: Clock, text: Text) -> None:
        def analyzer(_: str) -> list[str]:
            clock.now += 2
            return []

        def build(chunks: Sequence[Document], analyzer: Analyzer) -> list[list[str]]:
            clock.now += 30
            return terms_of(chunks, analyzer)

        engine = Engine(package="", terms="", analyzer=lambda: analyzer, build=build, search=lambda *_: None)
        figures: dict[str, float] = {}
        index, chunks = make_searchable(engine, analyzer, text.path, figures)

        assert len(chunks) == len(index) > 1
        assert figures == {
            "load": 0, "split": 0, "analyze": 2 * len(chunks), "build": 30, "searchable": 30 + 2 * len(chunks),
            "chunks": len(chunks),
        }  # fmt: skip

    def test_everything_of_ours_is_measured(self, text: Text) -> None:
        figures = measure(Job(OWN, text, 1))

        of_text = {"tokens", "bytes"}
        of_memory = {"peak_bytes", "bytes_per_byte"} if peak_memory() is None else set()
        assert figures.keys() >= OF_OURS.keys() - of_text - of_memory
        assert all(seconds > 0 for name, seconds in figures.items() if name != "bytes_per_byte")
        steps = [figures[name] for name in ("load", "split", "analyze", "build")]
        assert figures["searchable"] == pytest.approx(sum(steps), rel=0.05, abs=0.05)

    @pytest.mark.parametrize("name", [name for name in ENGINES if name != OWN])
    def test_the_same_is_measured_of_every_other_engine(self, name: str, text: Text) -> None:
        if not ENGINES[name].is_installed:
            pytest.skip(f"needs {ENGINES[name].package}")

        figures = measure(Job(name, text, 1))

        assert figures.keys() >= {"start", "load", "split", "analyze", "build", "searchable", "query_20", "query_800"}
        assert figures.keys().isdisjoint({"save", "open", "reading"})
        assert figures.get("score_difference", 0) == 0

    def test_an_engine_that_is_not_there_is_not_installed(self) -> None:
        engine = ENGINES[OWN]

        assert engine.is_installed
        assert not replace(engine, package="no_such_package").is_installed

    def test_our_engine_finds_the_chunks_that_rank_bm25_finds(self, chunks: list[Document]) -> None:
        terms = draw_terms(chunks, analyze, 20, Random(0))
        found = []
        for name in (OWN, "rank-bm25"):
            engine = ENGINES[name]
            found.append(engine.search(engine.build(chunks, own_analyzer()), terms))

        assert {number for number, _ in found[0]} == set(found[1])  # type: ignore[attr-defined, call-overload]
        assert len(found[0]) == BEST  # type: ignore[arg-type]

    def test_scores_that_differ_are_told(self, chunks: list[Document]) -> None:
        index = build_rank_bm25(chunks, analyze)
        terms = draw_terms(chunks, analyze, 20, Random(0))
        assert score_difference(index, chunks, terms) == 0

        other = SimpleNamespace(get_scores=lambda terms: index.get_scores(terms) + 0.5)

        assert score_difference(other, chunks, terms) == pytest.approx(0.5)

    def test_a_query_has_as_many_terms_as_it_should(self, chunks: list[Document]) -> None:
        assert len(draw_terms(chunks, analyze, 800, Random(0))) == 800
        assert draw_terms(QwenTextSplitter().create_documents(["……"]), analyze, 20, Random(0)) == []

    def test_ratios_are_to_ours_and_the_same_terms_are_not_compared(self) -> None:
        own = {"analyze": 1.0, "build": 2.0, "query_20": 0.0, "peak_bytes": 8.0}
        other = {"analyze": 3.0, "build": 3.0, "query_20": 1.0, "query_800": 1.0, "peak_bytes": 2.0}

        assert ratios("langchain-community", other, own) == {"analyze": 3, "build": 1.5, "peak_bytes": 0.25}
        assert ratios("rank-bm25", other, own) == {"build": 1.5, "peak_bytes": 0.25}
        assert ratios(OWN, own, own) == {}

    @pytest.mark.parametrize(
        ("value", "cell"),
        [(None, "–"), (0.0, "0.0"), (12345, "12,345"), (1234.5, "1,234"), (12.345, "12.3"), (0.012345, "0.0123")],
    )
    def test_a_figure_is_shown_in_three_digits(self, value: float | None, cell: str) -> None:
        assert shown(value) == cell

    def test_starts_are_timed_from_beginning_to_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(benchmarking, "STARTS", {"nap": ("-c", "import time; time.sleep(0.2)")})

        assert time_starts()["nap"] > 0.2


class TestOrder:
    def test_engines_are_measured_side_by_side_in_each_run(self, tmp_path: Path) -> None:
        jobs = plan(write_texts(tmp_path, ["1k"]), [OWN, "rank-bm25"], 2)

        assert [str(job) for job in jobs] == [
            f"{engine}, {lang} 1k, run {run}"
            for lang in ("en", "zh")
            for run in (1, 2)
            for engine in (OWN, "rank-bm25")
        ]

    def test_the_failure_of_another_engine_is_an_outcome_and_that_of_ours_is_an_error(
        self, text: Text, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            msg = "its process ended with exit code 1"
            raise RuntimeError(msg)

        monkeypatch.setattr(benchmarking, "in_new_process", fail)
        report, job = Report(), Job("bm25s", text, 2)

        report.add(job, outcome(job))

        assert report.to_json()["failed"] == ["bm25s, zh 3k, run 2: its process ended with exit code 1"]
        with pytest.raises(RuntimeError):
            outcome(Job(OWN, text, 1))


class TestProcesses:
    @pytest.mark.skipif(peak_memory() is None, reason="the system does not tell the memory of a process")
    def test_a_process_starts_without_the_memory_of_the_one_that_started_it(self) -> None:
        ballast = bytearray(b"x") * 200_000_000

        peak: Any = in_new_process(operator.call, peak_memory)

        assert peak < len(ballast) < (peak_memory() or 0)

    def test_what_fails_in_it_says_so(self) -> None:
        with pytest.raises(RuntimeError, match="its process ended with exit code 1"):
            in_new_process(int, "x")

    def test_one_that_is_killed_may_lack_memory(self) -> None:
        with pytest.raises(InputError, match="ended by signal 9; if memory is short, give fewer --tokens"):
            in_new_process(signal.raise_signal, signal.SIGKILL)

    def test_an_interruption_ends_it_and_is_not_heard_in_it(self) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        assert in_new_process(signal.getsignal, signal.SIGINT) == signal.SIG_IGN
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        try:
            with pytest.raises(KeyboardInterrupt):
                in_new_process(time.sleep, 60)
        finally:
            signal.signal(signal.SIGALRM, before)

        assert multiprocessing.active_children() == []
        assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
