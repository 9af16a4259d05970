"""What a person reads in the shell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from langchain_qwen_longctx.console import MAX_QUOTE, Narrator, format_answer, format_cost, format_index, status
from langchain_qwen_longctx.errors import BrokenDocumentError
from langchain_qwen_longctx.indexing import IndexReport

if TYPE_CHECKING:
    from langchain_qwen_longctx.schemas import Citation, QAOutput


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


def test_the_cost_is_one_line_on_what_was_read_and_spent() -> None:
    assert format_cost(result()) == "Read 3 of 2,048 chunks, 2 model calls, 7,012 tokens in, 96 out, 12.3 s"


class TestIndex:
    def test_the_line_tells_read_files_from_unchanged_and_skipped_ones(self) -> None:
        report = IndexReport(
            read=["a", "b"], reused=["c"], failed=[BrokenDocumentError("d.pdf", "is damaged")], chunks=1234
        )

        assert format_index(report) == "Documents: 3 (2 read, 1 unchanged, 1 skipped), 1,234 chunks"

    def test_what_did_not_happen_is_not_mentioned(self) -> None:
        assert format_index(IndexReport(reused=["a"], chunks=7)) == "Documents: 1 (1 unchanged), 7 chunks"


class TestNarrator:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Return the time, to be set: the last element is now."""
        now = [0.0]
        monkeypatch.setattr("langchain_qwen_longctx.console.time.monotonic", lambda: now[-1])
        return now

    @staticmethod
    def selected(passages: int, tokens: int) -> dict[str, Any]:
        return {"select": {"evidence": [str(n) for n in range(passages)], "evidence_tokens": tokens}}

    def test_it_begins_with_the_first_thing_that_happens(self) -> None:
        assert Narrator(10).message == "Working out what to search for"

    def test_after_the_analysis_it_searches_the_chunks(self) -> None:
        assert Narrator(2048).follow({"analyze": {"plan": {}}}) == "Searching 2,048 chunks"

    def test_the_time_of_the_first_call_tells_how_long_the_second_will_take(self, clock: list[float]) -> None:
        narrator = Narrator(10)
        clock.append(10.0)
        narrator.follow({"analyze": {"spent": {"input_tokens": 400, "output_tokens": 100}}})

        message = narrator.follow(self.selected(12, 6000))

        # 100 written and 400 / 4 read in 10 s are 0.05 s each; 60 to write and 6000 / 4 to read are to come.
        assert message == "Answering from 12 passages, 6,000 tokens, about 78 s"

    def test_without_a_measured_call_there_is_no_estimate(self) -> None:
        narrator = Narrator(10)
        narrator.follow({"analyze": {"plan": {}}})

        assert narrator.follow(self.selected(2, 900)) == "Answering from 2 passages, 900 tokens"

    def test_less_than_a_second_is_no_estimate(self, clock: list[float]) -> None:
        narrator = Narrator(10)
        clock.append(0.1)
        narrator.follow({"analyze": {"spent": {"input_tokens": 400, "output_tokens": 100}}})

        assert narrator.follow(self.selected(2, 900)) == "Answering from 2 passages, 900 tokens"

    def test_a_step_it_does_not_know_leaves_the_message(self) -> None:
        narrator = Narrator(10)

        assert narrator.follow({"translate": {"plan": {}}, "cite": None}) == "Working out what to search for"


def test_nothing_moves_on_a_stderr_that_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()

    with status("Looking") as update:
        update("Found")

    assert capsys.readouterr() == ("", "")
