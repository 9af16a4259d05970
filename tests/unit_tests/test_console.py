"""What a person reads in the shell."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from langchain_qwen_longctx.console import (
    MAX_QUOTE,
    counted,
    format_answer,
    format_cost,
    format_duration,
    format_forecast,
    format_index,
    format_size,
    status,
)
from langchain_qwen_longctx.errors import BrokenDocumentError
from langchain_qwen_longctx.indexing import IndexReport

if TYPE_CHECKING:
    from langchain_qwen_longctx.graphs.forecast import Forecast
    from langchain_qwen_longctx.schemas import Citation, QAOutput, StopReason


def citation(quote: str, *, source: str = "harbour.txt", page: int | None = None) -> Citation:
    return {"quote": quote, "source": source, "page": page, "start": 0, "end": len(quote), "chunk_id": "c1"}


def result(answer: str = "In 1887 [1].", *citations: Citation, chunks_read: int = 3) -> QAOutput:
    return {
        "question": "When was the harbour built?",
        "answer": answer,
        "found": bool(citations),
        "level": "retrieve",
        "citations": list(citations),
        "steps": [],
        "coverage": {
            "chunks_total": 2048,
            "chunks_read": chunks_read,
            "chunks_relevant": len(citations),
            "chunks_failed": 0,
            "chunks_skipped": 2048 - chunks_read,
        },
        "usage": {"model_calls": 2, "cached_calls": 0, "input_tokens": 7012, "output_tokens": 96, "seconds": 12.345},
        "stopped": None,
    }


class TestAnswer:
    def test_it_comes_first_and_below_it_each_citation_with_its_number_and_place(self) -> None:
        text = format_answer(
            result("In 1887 [1], by the council [2].", citation("Built in 1887."), citation("镇议会", source="港口.md"))
        )

        assert text == ("In 1887 [1], by the council [2].\n\n[1] harbour.txt: Built in 1887.\n[2] 港口.md: 镇议会")

    def test_a_citation_from_a_document_with_pages_names_its_page(self) -> None:
        text = format_answer(result("In 1887 [1].", citation("Built in 1887.", source="report.pdf", page=7)))

        assert "[1] report.pdf, page 7: Built in 1887." in text

    def test_a_quote_cannot_steer_the_terminal(self) -> None:
        assert format_answer(result("A [1].", citation("red \x1b[31m ink"))).endswith("[1] harbour.txt: red [31m ink")

    def test_a_quote_over_several_lines_is_shown_on_one(self) -> None:
        text = format_answer(result("In 1887 [1].", citation("Built\r\n  in\t1887.")))

        assert text.splitlines()[-1] == "[1] harbour.txt: Built in 1887."

    def test_a_long_quote_is_cut_and_says_so(self) -> None:
        text = format_answer(result("Long [1].", citation("x" * (MAX_QUOTE + 1))))

        assert text.endswith(f": {'x' * MAX_QUOTE}…")

    def test_a_quote_of_just_the_limit_is_shown_whole(self) -> None:
        text = format_answer(result("Long [1].", citation("x" * MAX_QUOTE)))

        assert text.endswith(f": {'x' * MAX_QUOTE}")

    def test_an_answer_that_nothing_supports_says_so(self) -> None:
        assert format_answer(result("In 1887.")) == "In 1887.\n(No passage supports this.)"

    @pytest.mark.parametrize("chunks_read", [0, 3])
    @pytest.mark.parametrize("text", ["The documents do not answer this question.", "文档中没有这个问题的答案。"])
    def test_a_question_that_the_documents_do_not_answer_gets_one_line(self, text: str, chunks_read: int) -> None:
        assert format_answer(result(text, chunks_read=chunks_read)) == text


def test_a_question_without_an_answer_in_what_was_read_says_how_much_that_is_and_no_more() -> None:
    text = "文档中没有这个问题的答案。\n（以上仅依据文档2048段中的3段，其余未读。）"

    assert format_answer(result(text)) == text


def test_the_cost_is_one_line_on_what_was_read_and_spent() -> None:
    assert format_cost(result()) == "Read 3 of 2,048 chunks, 2 model calls, 7,012 tokens in, 96 out, 12.3 s"


@pytest.mark.parametrize(
    ("stopped", "limit"), [("budget", "--max-calls or --max-tokens"), ("deadline", "--max-seconds")]
)
def test_a_limit_that_ended_the_reading_is_told(stopped: StopReason, limit: str) -> None:
    assert format_cost({**result(), "stopped": stopped}).endswith(f", 12.3 s; ended early by {limit}")


def test_chunks_that_could_not_be_read_are_told() -> None:
    cut_short = result()
    cut_short["coverage"]["chunks_failed"] = 1200

    assert format_cost(cut_short).startswith("Read 3 of 2,048 chunks, 1,200 could not be read, 2 model calls, ")


class TestIndex:
    def test_the_line_tells_read_files_from_unchanged_and_skipped_ones(self) -> None:
        report = IndexReport(
            read=["a", "b"], reused=["c"], failed=[BrokenDocumentError("d.pdf", "is damaged")], chunks=1234
        )

        assert format_index(report) == "Documents: 3 (2 read, 1 unchanged, 1 skipped), 1,234 chunks"

    def test_what_did_not_happen_is_not_mentioned(self) -> None:
        assert format_index(IndexReport(reused=["a"], chunks=7)) == "Documents: 1 (1 unchanged), 7 chunks"


class TestForecast:
    @staticmethod
    def forecast(**changes: Any) -> Forecast:
        usual: Any = {
            "level": "read",
            "chunks_total": 2048,
            "chunks_read": (4, 16),
            "model_calls": (6, 19),
            "input_tokens": (4_149, 14_321),
            "output_tokens": (140, 772),
            "seconds": (40.2, 412.0),
        }
        return cast("Forecast", usual | changes)

    def test_it_is_aligned_lines_of_ranges(self) -> None:
        assert format_forecast(self.forecast()).splitlines() == [
            "Forecast for a question of usual length, level read; replies kept from before cost nothing:",
            "  chunks           2,048",
            "  read one by one  4 to 16",
            "  model calls      6 to 19",
            "  tokens read      4,100 to 14,000",
            "  tokens written   140 to 770",
            "  time             40 s to 7 min",
        ]

    def test_without_a_speed_it_has_no_time(self) -> None:
        assert "time" not in format_forecast(self.forecast(seconds=None))

    def test_what_is_certain_is_one_number(self) -> None:
        text = format_forecast(self.forecast(chunks_read=(2048, 2048), seconds=(7200.0, 7215.0)))

        assert "  read one by one  2,048\n" in text
        assert text.endswith("  time             2 h 0 min")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1 s"), (59.6, "60 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2 h 30 min")],
)
def test_a_duration_is_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 kB"), (1, "1 kB"), (999_000, "999 kB"), (1_000_000, "1.0 MB"), (1_117_320_768, "1.1 GB")],
)
def test_a_size_is_in_the_unit_that_suits_it(count: int, text: str) -> None:
    assert format_size(count) == text


def test_nothing_moves_on_a_stderr_that_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()

    with status("Looking") as update:
        update("Found")

    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_brackets_in_what_a_terminal_shows_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    with status("Looking at [/a].md") as update:
        update("Found [/b].md")
    with counted("Indexing [/c]") as on_file:
        on_file("[/d].md", 0, 2)

    assert all(name in terminal.getvalue() for name in ("[/b].md", "[/c]", "[/d].md"))


@pytest.mark.parametrize("steering", ["\x1b]0;owned\x07", "\x9b2J", "\x08" * 9, "\r", "\u202e"])
def test_nothing_in_an_answer_or_a_name_steers_the_terminal(steering: str) -> None:
    text = format_answer(
        result(f"In 1887{steering} [1].\nOr so.", citation("It was.", source=f"a{steering}.txt", page=2))
    )

    assert not set(steering) & set("\x1b\x07\x9b\x08\r\u202e") & set(text)
    assert text.startswith("In 1887\ufffd")
    assert "\nOr so." in text
