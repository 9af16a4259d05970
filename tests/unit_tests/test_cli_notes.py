"""`qwen-longctx notes`: what it prints where, with which exit code, and that it follows the notes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pptx
import pytest
from command_line import BIRTH_FACT, FOLLOW_UP, TOWN_FACT, TOWN_QUESTION, Shell
from scripted import RuleChatModel, prompt_of

from langchain_qwen_longctx.cli_notes import snippet
from langchain_qwen_longctx.notes import NotesIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOWN_NOTE = f"---\r\ntitle: 钟楼志\r\ntags: [镇/钟楼]\r\n---\r\n\r\n# 钟楼\r\n\r\n{TOWN_FACT}\r\n"
BIRTH_NOTE = f"A note on people. #镇/人物\n\n{BIRTH_FACT}\n"


@pytest.fixture(autouse=True)
def _level(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_NOTES_LEVEL", "retrieve")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "people").mkdir(parents=True)
    (folder / "tower.md").write_bytes(TOWN_NOTE.encode())
    (folder / "people" / "毛一清.md").write_bytes(BIRTH_NOTE.encode())
    return folder


class TestAnswers:
    def test_are_cited_by_file_and_line(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        result = shell("notes", folder, TOWN_QUESTION)

        assert result.code == 0
        assert result.out == f"毛一清 [1]\n\n[1] {folder / 'tower.md'}:8: {TOWN_FACT}\n"
        assert [line.split()[0] for line in result.err.splitlines()] == ["Notes:", "Model:", "Read"]

    def test_have_the_line_in_json_and_verbatim_quotes(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        result = shell("notes", "--json", folder, TOWN_QUESTION)

        [citation] = json.loads(result.out)["citations"]
        assert citation.keys() == {"quote", "source", "page", "line", "start", "end", "chunk_id"}
        assert (citation["source"], citation["page"], citation["line"]) == (str(folder / "tower.md"), None, 8)
        assert TOWN_NOTE[citation["start"] : citation["end"]] == citation["quote"] == TOWN_FACT

    def test_name_the_page_where_there_are_pages(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        slides = pptx.Presentation()
        for text in ("无关", TOWN_FACT):
            slides.slides.add_slide(slides.slide_layouts[5]).shapes[0].text_frame.text = text
        slides.save(str(folder / "talk.pptx"))
        (folder / "tower.md").unlink()

        result = shell("notes", folder, TOWN_QUESTION)

        assert f"[1] {folder / 'talk.pptx'} p. 2: # {TOWN_FACT}" in result.out

    def test_that_are_not_in_the_notes_exit_with_1(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        result = shell("notes", folder, "谁发明了火车？")

        assert (result.code, result.out) == (1, "文档中没有这个问题的答案。\n")

    def test_that_the_budget_does_not_allow_exit_with_4(
        self, shell: Shell, reader: RuleChatModel, folder: Path
    ) -> None:
        assert shell("notes", "--max-calls", "0", folder, TOWN_QUESTION).code == 4

    @pytest.mark.parametrize(
        "narrowing", [("--folder", "people"), ("--tag", "镇/人物"), ("--tag", "#镇", "--tag", "镇/人物")]
    )
    def test_come_only_from_the_notes_asked_for(
        self, shell: Shell, reader: RuleChatModel, folder: Path, narrowing: tuple[str, ...]
    ) -> None:
        result = shell("notes", *narrowing, folder, TOWN_QUESTION)

        assert result.code == 1
        assert "Read 0 of 1 chunks" in result.err or "Read 1 of 1 chunks" in result.err

    def test_are_asked_for_once_whatever_the_path_of_the_folder(
        self, shell: Shell, reader: RuleChatModel, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shell("notes", folder, TOWN_QUESTION)
        calls = reader.calls
        monkeypatch.chdir(folder.parent)

        result = shell("notes", "notes", TOWN_QUESTION)

        assert (reader.calls, result.out.splitlines()[2].partition(": ")[0]) == (calls, "[1] notes/tower.md:8")
        assert "Notes: 2 (unchanged), 2 chunks" in result.err


class TestConversation:
    def test_a_question_may_refer_to_the_one_before(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        result = shell("notes", folder, stdin=f"{TOWN_QUESTION}\n\n{FOLLOW_UP}\nquit\n{TOWN_QUESTION}\n")

        assert result.code == 0
        assert result.out == (
            f"毛一清 [1]\n\n[1] {folder / 'tower.md'}:8: {TOWN_FACT}\n\n"
            f"岭下村 [1]\n\n[1] {folder / 'people' / '毛一清.md'}:3: {BIRTH_FACT}\n\n"
        )

    def test_each_question_finds_the_notes_as_they_are_by_then(
        self, shell: Shell, reader: RuleChatModel, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lines() -> Iterator[str]:
            yield TOWN_QUESTION
            (folder / "people" / "毛一清.md").write_bytes(f"\n\n{BIRTH_NOTE}".encode())
            (folder / "tower.md").unlink()
            yield FOLLOW_UP

        monkeypatch.setattr("langchain_qwen_longctx.chat.questions", lines)
        result = shell("notes", folder)

        assert result.out == (
            f"毛一清 [1]\n\n[1] {folder / 'tower.md'}:8: {TOWN_FACT}\n\n"
            f"岭下村 [1]\n\n[1] {folder / 'people' / '毛一清.md'}:5: {BIRTH_FACT}\n\n"
        )
        assert [line for line in result.err.splitlines() if line.startswith("Notes:")] == [
            "Notes: 2 (2 new), 2 chunks",
            "Notes: 1 (1 changed, 1 removed), 1 chunks",
        ]
        assert "STANDALONE" in map(prompt_of, reader.history)

    def test_an_error_ends_one_question_and_not_the_conversation(
        self, shell: Shell, reader: RuleChatModel, folder: Path
    ) -> None:
        result = shell("notes", folder, stdin=f"{'为什么' * 9000}\n{TOWN_QUESTION}\n")

        assert result.code == 0
        assert "Error: the question has" in result.err
        assert result.out.startswith("毛一清 [1]\n")

    def test_answers_in_json_are_one_a_line(self, shell: Shell, reader: RuleChatModel, folder: Path) -> None:
        result = shell("notes", "--json", folder, stdin=f"{TOWN_QUESTION}\n{TOWN_QUESTION}\n")

        assert [json.loads(line)["found"] for line in result.out.splitlines()] == [True, True]


class TestSearch:
    def test_lists_notes_by_file_and_line_and_asks_no_model(self, shell: Shell, folder: Path) -> None:
        result = shell("notes", "--search", folder, "钟楼 设计")

        assert (result.code, result.err) == (0, "Notes: 2 (2 new), 2 chunks\n")
        assert result.out == f"{folder / 'tower.md'}:8  钟楼志\n    {TOWN_FACT}\n"

    def test_gives_json_with_verbatim_quotes(self, shell: Shell, folder: Path) -> None:
        result = shell("notes", "--search", "--json", folder, "钟楼 设计")

        printed = json.loads(result.out)
        [hit] = printed["hits"]
        assert printed["question"] == "钟楼 设计"
        assert TOWN_NOTE[hit["start"] : hit["end"]] == hit["quote"] == TOWN_FACT
        assert (hit["source"], hit["line"], hit["title"]) == (str(folder / "tower.md"), 8, "钟楼志")

    def test_without_a_hit_exits_with_1(self, shell: Shell, folder: Path) -> None:
        result = shell("notes", "--search", folder, "火车")

        assert (result.code, result.out) == (1, "")
        assert "No note fits." in result.err

    def test_takes_one_query_after_another(self, shell: Shell, folder: Path) -> None:
        result = shell("notes", "--search", "--limit", "1", folder, stdin="出生地\n钟楼\n")

        assert result.code == 0
        assert [line.rpartition("/")[2] for line in result.out.splitlines() if "/" in line] == [
            "毛一清.md:3",
            "tower.md:6  钟楼志",
        ]

    @pytest.mark.parametrize(
        ("text", "query", "expected"),
        [
            ("Boats carry salt.", {"salt", "boat"}, "**Boats** carry **salt**."),
            ("灯塔的看守人", {"灯塔"}, "**灯塔**的看守人"),
            ("nothing here", {"salt"}, "nothing here"),
            ("x " * 200 + "salt " + "y " * 200, {"salt"}, f"…{'x ' * 20}**salt** {'y ' * 57}y…"),
            ("salt " + "y " * 200, {"salt"}, f"**salt** {'y ' * 77}y…"),
        ],
    )
    def test_shows_the_words_in_bold_and_what_is_around_them(self, text: str, query: set[str], expected: str) -> None:
        shown = snippet(text, frozenset(query)).replace("\x1b[1m", "**").replace("\x1b[0m", "**")

        assert shown == expected


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["{folder}", " "], "the question is empty"),
            (["{folder}/nothing", "Who?"], "there is no such folder"),
            (["{folder}/tower.md", "Who?"], "there is no such folder"),
            (["--folder", "nothing", "{folder}", "Who?"], "'nothing' is no folder in"),
            (["--tag", "nothing", "{folder}"], "the most frequent tags: 镇/人物, 镇/钟楼"),
            (["--context-window", "1", "{folder}", "Who?"], "context_window"),
        ],
    )
    def test_exits_with_2_and_says_what_is_wrong(
        self, shell: Shell, reader: RuleChatModel, folder: Path, arguments: list[str], complaint: str
    ) -> None:
        result = shell("notes", *(argument.format(folder=folder) for argument in arguments))

        assert (result.code, result.out) == (2, "")
        assert complaint in result.err

    def test_a_broken_file_is_said_to_be_skipped(self, shell: Shell, folder: Path) -> None:
        (folder / "broken.pdf").write_bytes(b"\0\1\2 no pdf")

        result = shell("notes", "--search", folder, "钟楼")

        assert result.code == 0
        assert f"Skipped {folder / 'broken.pdf'}: " in result.err
        assert "Notes: 2 (2 new, 1 unreadable), 2 chunks" in result.err


class TestCache:
    def test_the_index_lies_in_the_cache_folder_and_not_in_the_notes(
        self, shell: Shell, folder: Path, tmp_path: Path
    ) -> None:
        before = sorted(folder.rglob("*"))

        shell("notes", "--search", "--cache-dir", tmp_path / "kept", folder, "钟楼")

        assert sorted(folder.rglob("*")) == before
        assert len(list((tmp_path / "kept" / "notes").glob("*/base.safetensors"))) == 1

    def test_no_cache_leaves_nothing_behind(self, shell: Shell, folder: Path, tmp_path: Path) -> None:
        shell("notes", "--search", "--no-cache", folder, "钟楼")

        assert list((tmp_path / "cache").rglob("*.safetensors")) == []

    def test_an_interruption_keeps_what_was_read(
        self, shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(NotesIndex, "narrowed", interrupt)
            assert shell("notes", "--search", folder, "钟楼").code == 130

        assert "Notes: 2 (unchanged)" in shell("notes", "--search", folder, "钟楼").err
