"""What was not read is told: in `coverage`, and on stderr."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from chronicle import chronicle
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION, Shell, take
from langchain_core.documents import Document
from pptx import Presentation
from scripted import RuleChatModel, prompt_of

from langchain_qwen_longctx.console import format_gaps
from langchain_qwen_longctx.page_gaps import in_words, pages_without_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from command_line import Result
    from langchain_core.messages import BaseMessage


@pytest.fixture
def long_town(tmp_path: Path) -> Path:
    """Return a file of many more chunks than there is room for in an answer's prompt."""
    path = tmp_path / "long.txt"
    path.write_text(chronicle(200, {60: TOWN_FACT}))
    return path


def at_level_read(shell: Shell, path: Path, *options: str) -> tuple[dict[str, int], Result]:
    """Return the coverage of an answer, and what the same command says without `--json`."""
    command = ["ask", "--level", "read", "--coverage", "full", "--no-cache", *options, TOWN_QUESTION, path]
    coverage: dict[str, int] = json.loads(shell(*command, "--json").out)["coverage"]
    return coverage, shell(*command)


def test_chunks_that_the_model_could_not_read_are_counted_and_told(
    shell: Shell, long_town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        is_hard = prompt_of(messages) == "READ" and TOWN_FACT not in messages[1].text
        return "The third, I think." if is_hard else EXPERT(messages)

    take(RuleChatModel(respond=respond), monkeypatch)

    coverage, told = at_level_read(shell, long_town)

    total, read, failed = (coverage[f"chunks_{name}"] for name in ("total", "read", "failed"))
    assert failed > 20
    assert (read + failed, coverage["chunks_skipped"]) == (total, 0)
    assert f"Read {read} of {total} chunks, {failed} could not be read, " in told.err
    assert f"（以上仅依据文档{total}段中的{read}段，其余未读。）" in told.out


@pytest.mark.parametrize(
    ("option", "value", "limit"),
    [("--max-calls", "12", "--max-calls or --max-tokens"), ("--max-seconds", "0", "--max-seconds")],
)
def test_chunks_that_a_limit_left_unread_are_counted_and_told(
    shell: Shell, reader: RuleChatModel, long_town: Path, option: str, value: str, limit: str
) -> None:
    coverage, told = at_level_read(shell, long_town, option, value)

    assert coverage["chunks_skipped"] == coverage["chunks_total"] - coverage["chunks_read"] > 20
    assert told.err.splitlines()[2].endswith(f" s; ended early by {limit}")


class TestDocuments:
    @pytest.fixture
    def papers(self, tmp_path: Path) -> Path:
        """Return a folder with a file that can be read, one that cannot, and one of which two pages are scans."""
        folder = tmp_path / "papers"
        folder.mkdir()
        (folder / "good.txt").write_text("The pier is green.")
        (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
        slides = Presentation()
        for text in ("First", "", "", "Fourth", "", "Sixth"):
            slide = slides.slides.add_slide(slides.slide_layouts[5])
            slide.shapes.title.text = text
        slides.save(str(folder / "slides.pptx"))
        return folder

    def test_files_and_pages_that_could_not_be_read_are_told_every_time(self, shell: Shell, papers: Path) -> None:
        told = [shell("index", papers).err.splitlines() for _ in range(2)]

        for skipped, counted, pages in told:
            assert skipped.startswith(f"Skipped {papers / 'broken.pdf'}: ")
            assert ", 1 skipped), " in counted
            assert pages == f"Pages without text, blank or scanned: {papers / 'slides.pptx'} 2-3, 5"

    def test_of_many_files_the_first_few_are_told_with_their_pages(self) -> None:
        gaps = {f"{number}.pdf": [2] for number in range(1, 8)}

        assert format_gaps(gaps) == (
            "Pages without text, blank or scanned: 1.pdf 2; 2.pdf 2; 3.pdf 2; 4.pdf 2; 5.pdf 2; and of 2 more files"
        )

    def test_a_note_with_scans_in_it_is_told_when_it_is_read(self, shell: Shell, papers: Path) -> None:
        first, second = (shell("notes", papers, "--search", "pier") for _ in range(2))

        assert f"Skipped {papers / 'slides.pptx'}, pages 2-3, 5: no text is on them" in first.err
        assert "slides.pptx" not in second.err
        assert "Notes: 2 (1 unreadable), " in second.err


class TestGaps:
    @staticmethod
    def chunk(source: str, page: int | None) -> Document:
        return Document("text", metadata={"source": source, "page": page})

    def test_they_are_told_by_source(self) -> None:
        chunks = [self.chunk(source, page) for source, page in [("a", 1), ("a", 1), ("a", 4), ("b", 1), ("b", 2)]]

        assert pages_without_text(chunks) == {"a": [2, 3]}

    def test_what_has_no_pages_has_no_gaps(self) -> None:
        assert pages_without_text([self.chunk("a", None)]) == {}

    @pytest.mark.parametrize(("pages", "words"), [([], ""), ([3], "3"), ([1, 2, 3, 5, 7, 8], "1-3, 5, 7-8")])
    def test_pages_side_by_side_are_told_together(self, pages: list[int], words: str) -> None:
        assert in_words(pages) == words
