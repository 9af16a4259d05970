"""What is said while a question is answered."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from chronicle import chronicle
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from rich.console import Console
from rich.progress import Progress, TextColumn
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, build_graph
from langchain_qwen_longctx.graphs.lookup import build_lookup_graph
from langchain_qwen_longctx.graphs.reading import build_reading_graph
from langchain_qwen_longctx.graphs.reasoning import build_reasoning_graph
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.progress import STATUS_OF_NODES, BarColumn, Narrator, Plain, Terminal, narrating

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_qwen_longctx.config import ReadingCoverage

FACT = "钟楼由匠人毛一清设计。"


class Recording:
    """A display that remembers what it was to show."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.lines: list[str] = []
        self.bar: tuple[int, int | None] = (0, None)

    def show(self, text: str, done: int = 0, expected: int | None = None) -> None:
        self.statuses.append(text)
        self.bar = (done, expected)

    def tell(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def display() -> Recording:
    return Recording()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be set: the last element is now."""
    now = [0.0]
    monkeypatch.setattr("langchain_qwen_longctx.progress.time.monotonic", lambda: now[-1])
    return now


def narrator(display: Recording, *, chunks: int = 2048, coverage: ReadingCoverage = "adaptive") -> Narrator:
    config = LongContextConfig(coverage=coverage, patience=3, max_readings=16)
    return Narrator(display, chunks, config)


def begin(listener: Narrator, node: str) -> UUID:
    run_id = uuid4()
    listener.on_chat_model_start({}, [[]], run_id=run_id, metadata={"langgraph_node": node})
    return run_id


def end(listener: Narrator, run_id: UUID, read: int = 0, written: int = 0) -> None:
    usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    message = AIMessage("", usage_metadata=usage)
    listener.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]), run_id=run_id)


def read(listener: Narrator, *outcomes: str) -> None:
    for outcome in outcomes:
        listener.on_custom_event("chunk_read", {"chunk_id": "c", "outcome": outcome})


class TestStatus:
    def test_after_the_analysis_the_chunks_are_searched(self, display: Recording) -> None:
        narrator(display).on_custom_event("analysis", {"question": "", "queries": [], "keywords": []})

        assert display.statuses == ["Searching 2,048 chunks"]

    @pytest.mark.parametrize("node", STATUS_OF_NODES)
    def test_a_call_of_the_model_says_what_it_is_for(self, display: Recording, node: str) -> None:
        begin(narrator(display), node)

        assert display.statuses == [STATUS_OF_NODES[node]]

    def test_the_nodes_that_it_knows_are_nodes_of_the_graphs(self) -> None:
        resources = gather_resources(RuleChatModel(respond=expert({})), [Document("A text.")], None, None)
        graphs: list[Any] = [build(resources) for build in (build_lookup_graph, build_reasoning_graph)]
        graphs += [build_graph(model=resources.model, documents=[Document("A text.")]), build_reading_graph(resources)]

        assert {*STATUS_OF_NODES, "read_chunks"} <= {node for graph in graphs for node in graph.nodes}

    def test_the_time_of_earlier_calls_tells_how_long_the_answer_will_take(
        self, display: Recording, clock: list[float]
    ) -> None:
        listener = narrator(display)
        call = begin(listener, "analyze")
        clock.append(10.0)
        end(listener, call, read=400, written=100)

        listener.on_custom_event("retrieved", {"passages": 12, "tokens": 6000})

        # 100 written and 400 / 4 read in 10 s are 0.05 s each; 64 to write and 6000 / 4 to read are to come.
        assert display.statuses[-1] == "Answering from 12 passages, 6,000 tokens, about 78 s"

    @pytest.mark.parametrize("seconds", [0.0, 0.1])
    def test_there_is_no_estimate_of_less_than_a_second(
        self, display: Recording, clock: list[float], seconds: float
    ) -> None:
        listener = narrator(display)
        call = begin(listener, "analyze")
        clock.append(seconds)
        end(listener, call, read=400, written=100)

        listener.on_custom_event("retrieved", {"passages": 2, "tokens": 900})

        assert display.statuses[-1] == "Answering from 2 passages, 900 tokens"

    def test_without_a_call_before_it_there_is_no_estimate(self, display: Recording) -> None:
        narrator(display).on_custom_event("retrieved", {"passages": 2, "tokens": 900})

        assert display.statuses == ["Answering from 2 passages, 900 tokens"]

    def test_events_of_others_are_let_pass(self, display: Recording) -> None:
        narrator(display).on_custom_event("of_another_runnable", None)

        assert (display.statuses, display.lines) == ([], [])


class TestReading:
    def test_a_full_one_fills_a_bar_of_all_chunks(self, display: Recording) -> None:
        read(narrator(display, chunks=1200, coverage="full"), "relevant", "irrelevant", "failed")

        assert display.statuses[-1] == "Reading chunks: 3 of 1,200 done, 1 relevant, 1 failed"
        assert display.bar == (3, 1200)

    def test_it_begins_with_the_first_call_not_with_its_reply(self, display: Recording) -> None:
        begin(narrator(display, chunks=20, coverage="full"), "read_chunks")

        assert (display.statuses, display.bar) == (["Reading chunks: 0 of 20 done, 0 relevant"], (0, 20))

    def test_what_is_left_of_a_full_one_is_reckoned_from_the_calls_so_far(
        self, display: Recording, clock: list[float]
    ) -> None:
        listener = narrator(display, chunks=102, coverage="full")
        first, second = begin(listener, "read_chunks"), begin(listener, "read_chunks")
        clock.append(12.0)
        end(listener, first)
        end(listener, second)

        read(listener, "relevant", "irrelevant")

        # Two side by side in 12 s, and 100 to go.
        assert display.statuses[-1] == "Reading chunks: 2 of 102 done, 1 relevant, about 10 min left"

    def test_readings_that_were_kept_from_before_do_not_shorten_the_estimate(
        self, display: Recording, clock: list[float]
    ) -> None:
        listener = narrator(display, chunks=1_001, coverage="full")
        read(listener, *["irrelevant"] * 900)
        call = begin(listener, "read_chunks")
        clock.append(6.0)
        end(listener, call)

        read(listener, "irrelevant")

        assert display.statuses[-1].endswith("about 10 min left")

    def test_a_failed_call_counts_as_time_too(self, display: Recording, clock: list[float]) -> None:
        listener = narrator(display, chunks=11, coverage="full")
        call = begin(listener, "read_chunks")
        clock.append(9.0)
        listener.on_llm_error(ConnectionError(), run_id=call)

        read(listener, "failed")

        assert display.statuses[-1].endswith("1 failed, about 90 s left")

    def test_an_adaptive_one_without_a_find_may_go_on_to_its_limit(self, display: Recording) -> None:
        read(narrator(display), "irrelevant", "irrelevant")

        assert display.statuses[-1] == "Reading chunks: 2 done, 0 relevant"
        assert display.bar == (2, 16)

    def test_after_a_find_it_ends_when_its_patience_does(self, display: Recording) -> None:
        read(narrator(display), *["irrelevant"] * 5, "relevant", "irrelevant")

        assert display.bar == (7, 6 + 3)

    def test_its_bar_is_never_longer_than_the_documents(self, display: Recording) -> None:
        read(narrator(display, chunks=2), "relevant")

        assert display.bar == (1, 2)

    @pytest.mark.parametrize("event", ["analysis", "retrieved", "hop"])
    def test_the_next_one_begins_anew(self, display: Recording, event: str) -> None:
        listener = narrator(display)
        read(listener, "irrelevant", "relevant")
        data = {"question": "Who?", "answer": "Ada", "found": True, "passages": 1, "tokens": 9}
        listener.on_custom_event(event, data)

        read(listener, "irrelevant")

        assert display.bar == (1, 16)


class TestLines:
    def test_each_sentence_that_is_found_is_told_with_its_place(self, display: Recording) -> None:
        quotes = ["The harbour was\nbuilt in 1887.", "港口建于1887年。"]
        narrator(display).on_custom_event(
            "evidence_found", {"chunk_id": "c", "source": "report.pdf", "page": 7, "quotes": quotes}
        )

        assert display.lines == [
            "report.pdf, page 7: The harbour was built in 1887.",
            "report.pdf, page 7: 港口建于1887年。",
        ]

    @pytest.mark.parametrize(("found", "told"), [(True, "贝多芬"), (False, "not in the documents")])
    def test_a_sub_question_is_told_with_its_answer(self, display: Recording, found: bool, told: str) -> None:
        narrator(display).on_custom_event("hop", {"question": "谁写的？", "answer": "贝多芬", "found": found})

        assert display.lines == [f"谁写的？ -> {told}"]

    def test_what_would_steer_the_terminal_is_left_out(self, display: Recording) -> None:
        narrator(display).on_custom_event("hop", {"question": "Who\x1b[2J?", "answer": "A\x07da\n", "found": True})

        assert display.lines == ["Who [2J? -> A da"]


def test_a_whole_run_is_told_from_the_first_call_to_the_answer(display: Recording) -> None:
    document = Document(chronicle(8, {3: FACT}), metadata={"source": "镇志.txt"})
    model = RuleChatModel(respond=expert({"谁设计": (FACT, "毛一清")}))
    config = LongContextConfig(chunk_tokens=160)
    qa = build_graph(model=model, documents=[document], config=config).compile()

    question: Any = {"question": "钟楼是谁设计的？", "level": "read"}
    qa.invoke(question, {"callbacks": [Narrator(display, 10, config)]})

    assert display.statuses[0] == "Working out what to search for"
    assert any(status.endswith(" done, 1 relevant") for status in display.statuses)
    assert display.statuses[-1].startswith("Answering from ")
    assert display.lines == [f"镇志.txt: {FACT}"]


class TestPlain:
    @pytest.mark.parametrize(("is_verbose", "said"), [(True, "found\n"), (False, "")])
    def test_it_says_what_is_wanted(self, capsys: pytest.CaptureFixture[str], is_verbose: bool, said: str) -> None:
        plain = Plain(is_verbose=is_verbose)
        plain.show("working", 1, 2)
        plain.tell("found")

        assert capsys.readouterr() == ("", said)

    def test_it_is_what_a_stderr_that_is_no_terminal_gets(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert not sys.stderr.isatty()

        with narrating(10, LongContextConfig(), is_verbose=False) as listener:
            read(listener, "relevant")

        assert capsys.readouterr() == ("", "")


class TestTerminal:
    @staticmethod
    def drawn(*, is_verbose: bool, line: str, width: int = 60) -> str:
        """Return what stands on a terminal after a line and a status with a bar."""
        console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
        progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), console=console, auto_refresh=False
        )
        with progress:
            terminal = Terminal(progress, is_verbose=is_verbose)
            terminal.tell(line)
            terminal.show("Reading [3] of 6", 3, 6)
            progress.refresh()
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_a_status_with_an_expected_number_has_a_bar(self) -> None:
        assert "Reading [3] of 6 ━━━" in self.drawn(is_verbose=False, line="a line")

    def test_a_status_alone_has_none(self) -> None:
        assert "Working out what to search for ━" not in self.drawn(is_verbose=False, line="a line")

    def test_a_line_is_cut_at_the_width(self) -> None:
        drawn = self.drawn(is_verbose=False, line="long " * 40)

        assert "long long…" in drawn.replace(" …", "…")
        assert drawn.count("long") < 15

    def test_verbose_it_is_whole(self) -> None:
        assert self.drawn(is_verbose=True, line="long " * 40).count("long") == 40

    def test_brackets_in_it_are_no_markup(self) -> None:
        assert "see [bold] and [1]" in self.drawn(is_verbose=False, line="see [bold] and [1]")
