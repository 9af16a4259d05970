"""The index of a folder of notes: always that of the folder as it is, at the cost of what has changed."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import docx
import pptx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_qwen_longctx import folder_scan, note_store, notes
from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.document_loaders import load_file, source_text
from langchain_qwen_longctx.errors import DocumentNotFoundError, InputError
from langchain_qwen_longctx.note_reading import line_of, nicknames, unread
from langchain_qwen_longctx.note_search import search
from langchain_qwen_longctx.notes import NotesIndex, NotesReport, open_notes
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

if TYPE_CHECKING:
    from pathlib import Path

HARBOUR = (
    "---\r\ntitle: Harbour book\r\naliases: [the quay]\r\ntags: [town/harbour]\r\n---\r\n"
    "\r\n# Dues\r\n\r\nBoats pay two crowns a night.\r\nSalt pays nothing.\r\n"
)
LAMP = "# 灯塔\n\n灯塔每年用油三百升。\n看守人住在岛上。 #town/lamp\n\n见 [[harbour|码头账本]]。\n"
DIARY = "Met the keeper on the island. She asked for oil. #diary\n"

Open: TypeAlias = Callable[[], tuple[NotesIndex, NotesReport]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    write(folder / "town" / "harbour.md", HARBOUR)
    write(folder / "town" / "灯塔.md", LAMP)
    write(folder / "diary.txt", DIARY)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(folder: Path, cache: Path) -> Open:
    """Open the index as a process that has just started does."""
    return lambda: open_notes(folder, cache_dir=cache, chunk_tokens=16)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def saved(cache: Path, name: str) -> Path:
    (path,) = cache.glob(f"*/{name}.safetensors")
    return path


def counts(report: NotesReport) -> tuple[int, int, int]:
    return report.new, report.changed, report.removed


def sources(retriever: BilingualBM25Retriever, query: str) -> set[str]:
    return {found.metadata["source"] for found in retriever.invoke(query, k=100)}


def assert_up_to_date(index: NotesIndex) -> None:
    """Compare an index with one that is made anew: the same chunks in the same order, and the same scores."""
    anew, _ = open_notes(index.folder, cache_dir=None, chunk_tokens=16)
    assert index.retriever.docs == anew.retriever.docs
    assert {source: note.reads_as(anew.notes[source]) for source, note in index.notes.items()} == dict.fromkeys(
        anew.notes, True
    )
    for term in anew.retriever.vectorizer.postings.vocabulary:
        expected = anew.retriever.vectorizer.get_scores([term])
        assert index.retriever.vectorizer.get_scores([term]) == pytest.approx(expected, abs=1e-12)


class TestRefresh:
    def test_the_first_time_every_note_is_new(self, opened: Open) -> None:
        index, report = opened()

        assert (counts(report), report.notes, report.chunks) == ((3, 0, 0), 3, len(index.retriever.docs))

    def test_the_second_time_nothing_is_read(self, opened: Open) -> None:
        opened()

        index, report = opened()

        assert counts(report) == (0, 0, 0)
        assert_up_to_date(index)

    def test_a_changed_note_is_read_again(self, opened: Open, folder: Path) -> None:
        opened()
        write(folder / "diary.txt", "Bought a sextant.\n")

        index, report = opened()

        assert counts(report) == (0, 1, 0)
        assert (sources(index.retriever, "sextant"), sources(index.retriever, "keeper")) == ({"diary.txt"}, set())
        assert_up_to_date(index)

    def test_a_new_note_is_added(self, opened: Open, folder: Path) -> None:
        opened()
        write(folder / "a" / "b" / "new.md", "A sextant.")

        index, report = opened()

        assert counts(report) == (1, 0, 0)
        assert_up_to_date(index)

    def test_a_removed_note_is_found_no_more(self, opened: Open, folder: Path) -> None:
        opened()
        (folder / "diary.txt").unlink()

        index, report = opened()

        assert counts(report) == (0, 0, 1)
        assert sources(index.retriever, "keeper") == set()
        assert_up_to_date(index)

    def test_a_renamed_note_is_found_under_its_new_name(self, opened: Open, folder: Path) -> None:
        opened()
        (folder / "diary.txt").rename(folder / "town" / "journal.txt")

        index, report = opened()

        assert counts(report) == (1, 0, 1)
        assert sources(index.retriever, "keeper journal") == {"town/journal.txt"}
        assert_up_to_date(index)

    def test_a_touched_note_is_not_read_again(self, opened: Open, folder: Path) -> None:
        opened()
        os.utime(folder / "diary.txt", (1, 1))

        index, report = opened()

        assert counts(report) == (0, 0, 0)
        assert_up_to_date(index)

    def test_a_change_that_hides_from_size_and_time_is_seen(self, opened: Open, folder: Path) -> None:
        before = (folder / "diary.txt").stat()
        opened()
        write(folder / "diary.txt", DIARY.replace("keeper", "farmer"))
        os.utime(folder / "diary.txt", ns=(before.st_atime_ns, before.st_mtime_ns))

        index, report = opened()

        assert counts(report) == (0, 1, 0)
        assert_up_to_date(index)

    def test_a_note_that_is_as_it_was_some_time_ago_is_right(self, opened: Open, folder: Path) -> None:
        opened()
        write(folder / "diary.txt", "Bought a sextant.\n")
        opened()
        write(folder / "diary.txt", DIARY)

        index, _ = opened()

        assert_up_to_date(index)

    def test_one_index_can_be_refreshed_again_and_again(self, opened: Open, folder: Path) -> None:
        index, _ = opened()
        for number in range(4):
            write(folder / f"{number}.md", f"Note {number} about the sextant.")
            assert counts(index.refresh()) == (1, 0, 0)

        assert_up_to_date(index)

    def test_nothing_changed_keeps_the_retriever(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        # What was written a moment ago is looked at once more.
        monkeypatch.setattr(folder_scan, "COARSEST_CLOCK", -(10**12))
        index, _ = opened()
        before = index.retriever

        index.refresh()

        assert index.retriever is before

    def test_without_a_cache_folder_nothing_is_written(self, folder: Path, tmp_path: Path) -> None:
        before = sorted(tmp_path.rglob("*"))

        index, _ = open_notes(folder, cache_dir=None)
        write(folder / "diary.txt", "Bought a sextant.\n")

        assert counts(index.refresh()) == (0, 1, 0)
        assert sorted(tmp_path.rglob("*")) == before

    def test_each_file_to_read_is_announced(self, opened: Open, folder: Path, cache: Path) -> None:
        opened()
        write(folder / "new.md", "A sextant.")
        os.utime(folder / "diary.txt", (1, 1))
        announced: list[tuple[str, int, int]] = []

        open_notes(folder, cache_dir=cache, chunk_tokens=16, on_file=lambda *progress: announced.append(progress))

        assert [total for _, _, total in announced] == [len(announced)] * len(announced)
        assert {"diary.txt", "new.md"} <= {source for source, _, _ in announced}

    @settings(deadline=None, max_examples=25)
    @given(data=st.data())
    def test_after_any_changes_it_is_as_if_made_anew(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder, cache = tmp_path_factory.mktemp("notes"), tmp_path_factory.mktemp("cache")
        index, _ = open_notes(folder, cache_dir=cache, chunk_tokens=16)
        for _ in range(data.draw(st.integers(1, 6))):
            for name in data.draw(st.lists(st.sampled_from(["a.md", "b.md", "灯/c.md", "灯/d.txt"]), max_size=4)):
                text = data.draw(st.sampled_from(["", HARBOUR, LAMP, DIARY, "[[a|quay]] [[c|lamp]]", DIARY * 9]))
                write(folder / name, text)
                if not text:
                    (folder / name).unlink()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(note_store, "MAX_RECENT", data.draw(st.sampled_from([0, 100])))
                if data.draw(st.booleans()):
                    index.refresh()
                else:
                    index, _ = open_notes(folder, cache_dir=cache, chunk_tokens=16)
                assert_up_to_date(index)


class TestWhatIsRead:
    def test_word_files_and_slides_are_read_beside_notes(self, opened: Open, folder: Path) -> None:
        document = docx.Document()
        document.add_paragraph("The sextant is in the loft.")
        document.save(str(folder / "loft.docx"))
        slides = pptx.Presentation()
        for text in ("The almanac.", "The sextant again."):
            slide = slides.slides.add_slide(slides.slide_layouts[5])
            slide.shapes[0].text_frame.text = text
        slides.save(str(folder / "talk.pptx"))

        index, _ = opened()

        found = {chunk.metadata["source"]: chunk for chunk in index.retriever.invoke("sextant")}
        where = {source: (chunk.metadata["page"], chunk.metadata["line"]) for source, chunk in found.items()}
        assert where == {"loft.docx": (None, None), "talk.pptx": (2, None)}

    def test_pictures_empty_notes_and_hidden_folders_are_passed_over(self, opened: Open, folder: Path) -> None:
        (folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
        write(folder / "empty.md", "")
        write(folder / "blank.md", " \n\n")
        write(folder / ".obsidian" / "workspace.json", "{}")
        write(folder / "env" / "pyvenv.cfg", "home = here")

        _, report = opened()

        assert (report.notes, report.unreadable, report.failed) == (3, 0, [])

    def test_a_broken_file_is_reported_once_and_the_others_are_indexed(self, opened: Open, folder: Path) -> None:
        (folder / "broken.pdf").write_bytes(b"\0\1\2 no pdf")

        _, first = opened()
        _, second = opened()

        assert [error.source for error in first.failed] == [str(folder / "broken.pdf")]
        assert (first.notes, first.unreadable) == (3, 1)
        assert (second.notes, second.unreadable, second.failed) == (3, 1, [])

    def test_a_broken_file_is_read_once_it_is_whole(self, opened: Open, folder: Path) -> None:
        (folder / "table.xlsx").write_bytes(b"\0\1\2 no table")
        opened()
        (folder / "table.xlsx").unlink()
        write(folder / "table.csv", "what,where\nsextant,loft\n")

        index, report = opened()

        assert (report.unreadable, sources(index.retriever, "sextant")) == (0, {"table.csv"})

    def test_a_file_that_vanishes_meanwhile_is_reported(
        self, opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scanned = folder_scan.scan(folder, (), lambda _: None) | {"gone.md": [1, 1, 1]}
        monkeypatch.setattr(notes, "scan", lambda *_: scanned)
        monkeypatch.setattr(notes, "has_reader", lambda _: True)

        index, report = opened()

        assert [error.source for error in report.failed] == [str(folder / "gone.md")]
        assert sorted(index.notes) == ["diary.txt", "town/harbour.md", "town/灯塔.md"]

    def test_front_matter_that_is_not_yaml_is_text_and_a_warning(
        self, opened: Open, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(folder / "odd.md", "---\ntitle: [\n---\nA sextant.\n")

        index, report = opened()

        assert f"{folder / 'odd.md'}: its front matter is not YAML" in caplog.text
        assert (report.failed, sources(index.retriever, "sextant")) == ([], {"odd.md"})

    @pytest.mark.parametrize("pattern", ["diary*", "town", "town/*.md"])
    def test_patterns_leave_out_names_and_paths(self, folder: Path, cache: Path, pattern: str) -> None:
        _, report = open_notes(folder, cache_dir=cache, exclude=[pattern])

        assert report.notes == (2 if pattern == "diary*" else 1)
        assert open_notes(folder, cache_dir=cache)[1].notes == 3

    def test_a_name_that_is_no_text_is_no_obstacle(self, opened: Open, folder: Path) -> None:
        name = os.fsdecode(b"\xff\xfe.md")
        write(folder / name, "A sextant.")
        opened()

        index, report = opened()

        assert (report.new, sources(index.retriever, "sextant")) == (0, {name})

    @pytest.mark.parametrize("name", ["nothing", "notes/diary.txt"])
    def test_anything_but_a_folder_is_an_error(self, folder: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(DocumentNotFoundError, match="there is no such folder"):
            open_notes(tmp_path / name, cache_dir=None)

    def test_a_folder_within_that_cannot_be_listed_is_reported(
        self, opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listing = os.scandir

        def scandir(path: Path) -> object:
            if path.name == "town":
                raise PermissionError(13, "Permission denied")
            return listing(path)

        monkeypatch.setattr(os, "scandir", scandir)

        _, report = opened()

        assert "town: cannot be listed (Permission denied)" in str(report.failed[0])
        assert report.notes == 1


class TestChunks:
    def test_each_is_a_verbatim_span_of_its_file(self, opened: Open, folder: Path) -> None:
        opened()

        index, _ = opened()

        assert len(index.retriever.docs) > 3
        for chunk in index.retriever.docs:
            path, start = folder / chunk.metadata["source"], chunk.metadata["start"]
            text = source_text(load_file(path), str(path))
            assert text == path.read_bytes().decode()
            assert text[start : chunk.metadata["end"]] == chunk.page_content

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_the_line_of_any_character_is_that_of_the_file(self, opened: Open, folder: Path, end: str) -> None:
        text = "\ufeff" + end.join(f"第{number}行 the line {number}。" for number in range(1, 60))
        write(folder / "lines.txt", text)

        index, _ = opened()

        chunks = [chunk for chunk in index.retriever.docs if chunk.metadata["source"] == "lines.txt"]
        assert len(chunks) > 5
        for chunk in chunks:
            for number in range(1, 60):
                start = text.index(f"第{number}行")
                if chunk.metadata["start"] <= start < chunk.metadata["end"]:
                    assert line_of(chunk, start) == number

    @pytest.mark.parametrize("encoding", ["utf-16", "gb18030"])
    def test_lines_are_counted_in_any_encoding(self, opened: Open, folder: Path, encoding: str) -> None:
        (folder / "old.txt").write_bytes(
            "第一行。\r\n\r\n灯塔的看守人有六分仪，他每天晚上都在用。\r\n".encode(encoding)
        )

        index, _ = opened()

        (hit,) = search(index.retriever, index.notes, "六分仪", 5)
        assert (hit["source"], hit["line"]) == ("old.txt", 3)

    def test_a_web_page_has_no_lines_but_its_source_has(self, opened: Open, folder: Path) -> None:
        write(folder / "page.html", "<html><body><h1>Loft</h1><p>A sextant.</p></body></html>")

        index, _ = opened()

        (hit,) = search(index.retriever, index.notes, "sextant", 5)
        assert (hit["quote"], hit["line"], hit["page"]) == ("A sextant.", None, None)


class TestNames:
    @pytest.mark.parametrize("query", ["harbour.md", "book", "quay", "town", "码头账本"])
    def test_every_chunk_of_a_note_is_found_by_what_it_is_called(self, opened: Open, query: str) -> None:
        index, _ = opened()

        found = [c.page_content for c in index.retriever.invoke(query, k=9) if "harbour" in c.metadata["source"]]
        assert found
        assert set(found) == {c.page_content for c in index.retriever.docs if "harbour" in c.metadata["source"]}

    def test_what_a_link_no_longer_calls_it_finds_it_no_more(self, opened: Open, folder: Path) -> None:
        opened()
        write(folder / "town" / "灯塔.md", LAMP.replace("码头账本", "水手册"))

        index, report = opened()

        assert counts(report) == (0, 1, 0)
        assert "town/harbour.md" in sources(index.retriever, "水手册")
        assert sources(index.retriever, "账本") == set()
        assert_up_to_date(index)

    def test_the_offsets_of_quotes_know_nothing_of_it(self, opened: Open) -> None:
        index, _ = opened()

        hit = next(hit for hit in search(index.retriever, index.notes, "码头账本", 2) if "harbour" in hit["source"])
        assert HARBOUR[hit["start"] : hit["end"]] == hit["quote"]

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("note", "note.md"),
            ("a/note", "a/note.md"),
            ("b/note", "a/b/note.md"),
            ("elsewhere/note", "note.md"),
            ("NOTE.pdf", "x/note.pdf"),
            ("v1.2", "v1.2.md"),
            ("nothing", None),
            ("picture.png", None),
        ],
    )
    def test_a_link_names_a_note_as_obsidian_has_it(self, target: str, expected: str | None) -> None:
        paths = ["a/b/note.md", "a/note.md", "note.md", "note.txt", "x/note.pdf", "v1.2.md"]
        known = {path: unread([], "", "note") for path in paths} | {"picture.png": unread([], "", "other")}
        linking = unread([], "", "note")._replace(links=[[target, "it"]])

        assert nicknames(known | {"link.md": linking}) == ({expected: ["it"]} if expected else {})


class TestNarrowing:
    @pytest.mark.parametrize("subfolder", ["town", "town/", "./town"])
    def test_a_folder_has_its_own_notes(self, opened: Open, subfolder: str) -> None:
        index, _ = opened()

        assert {chunk.metadata["source"] for chunk in index.narrowed(subfolder).docs} == {
            "town/harbour.md",
            "town/灯塔.md",
        }

    def test_a_folder_may_be_given_by_its_whole_path(self, opened: Open, folder: Path) -> None:
        index, _ = opened()

        assert index.narrowed(str(folder / "town")).docs == index.narrowed("town").docs

    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            (["town"], {"town/harbour.md", "town/灯塔.md"}),
            (["#town/lamp"], {"town/灯塔.md"}),
            (["TOWN", "town/lamp"], {"town/灯塔.md"}),
            ([], {"diary.txt", "town/harbour.md", "town/灯塔.md"}),
        ],
    )
    def test_tags_choose_the_notes_that_have_all_of_them(
        self, opened: Open, tags: list[str], expected: set[str]
    ) -> None:
        index, _ = opened()

        assert {chunk.metadata["source"] for chunk in index.narrowed(tags=tags).docs} == expected

    def test_its_scores_are_those_of_an_index_of_these_notes(self, opened: Open, folder: Path) -> None:
        index, _ = opened()
        (folder / "diary.txt").unlink()

        alone, _ = open_notes(folder, cache_dir=None, chunk_tokens=16)

        for query in ("boats crowns", "灯塔 油", "town"):
            assert index.narrowed("town").rank(analyze(query)) == alone.retriever.rank(analyze(query))

    @pytest.mark.parametrize("subfolder", ["nothing", "diary.txt", "..", "/"])
    def test_another_folder_is_an_error(self, opened: Open, subfolder: str) -> None:
        index, _ = opened()

        with pytest.raises(InputError, match="is no folder in"):
            index.narrowed(subfolder)

    def test_an_unknown_tag_is_an_error_that_tells_the_tags(self, opened: Open) -> None:
        index, _ = opened()

        with pytest.raises(InputError, match=r"no note with text has the tag x and y; .*: town/harbour, town/lamp"):
            index.narrowed(tags=["x", "y"])

    def test_a_folder_without_notes_is_an_error(self, tmp_path: Path) -> None:
        index, _ = open_notes(tmp_path, cache_dir=None)

        with pytest.raises(DocumentNotFoundError, match="no note with text"):
            index.narrowed()


class TestInterruption:
    def test_what_was_read_by_then_is_kept(self, opened: Open, folder: Path, cache: Path) -> None:
        def interrupt(_: str, number: int, __: int) -> None:
            if number == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            open_notes(folder, cache_dir=cache, chunk_tokens=16, on_file=interrupt)
        index, report = opened()

        assert counts(report) == (1, 0, 0)
        assert_up_to_date(index)

    def test_in_a_long_reading_what_was_read_is_saved_now_and_then(
        self, opened: Open, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(notes, "SAVE_EVERY", 0)
        kept = []

        open_notes(folder, cache_dir=cache, on_file=lambda *_: kept.append(sorted(cache.glob("*/base.safetensors"))))

        assert [len(files) for files in kept] == [0, 1, 1]


class TestKeptFiles:
    @pytest.fixture(autouse=True)
    def _changed(self, opened: Open, folder: Path) -> None:
        for number in range(60):
            write(folder / f"{number}.md", f"Note {number} on ropes and knots.\n")
        opened()
        write(folder / "diary.txt", "Bought a sextant.\n")
        (folder / "3.md").unlink()
        opened()

    def test_a_small_change_leaves_the_base_as_it_is(self, opened: Open, folder: Path, cache: Path) -> None:
        before = saved(cache, "base").read_bytes()
        write(folder / "4.md", "No ropes.\n")

        opened()

        assert saved(cache, "base").read_bytes() == before

    def test_many_changes_make_a_new_base(self, opened: Open, folder: Path, cache: Path) -> None:
        before = saved(cache, "base").read_bytes()
        for number in range(5, 40):
            write(folder / f"{number}.md", "No ropes.\n")

        opened()
        index, report = opened()

        assert saved(cache, "base").read_bytes() != before
        assert len(note_store.NoteStore(saved(cache, "base").parent, "other").notes) == 0
        assert counts(report) == (0, 0, 0)
        assert_up_to_date(index)

    @pytest.mark.parametrize("name", ["base", "recent"])
    @pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign", "folder"])
    def test_a_damaged_file_costs_time_and_nothing_else(
        self, opened: Open, cache: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = saved(cache, name)
        data = path.read_bytes()
        path.unlink()
        match damage:
            case "empty":
                path.touch()
            case "cut":
                path.write_bytes(data[:-7])
            case "flipped":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            case "foreign":
                BilingualBM25Retriever.from_texts(["foreign"], metadatas=[{"source": "a"}]).save(path)
            case "folder":
                path.mkdir()

        index, _ = opened()

        assert_up_to_date(index)
        assert (str(path) in caplog.text) == (damage != "foreign")

    def test_an_older_state_of_either_file_is_never_mistaken(
        self, opened: Open, folder: Path, cache: Path, tmp_path: Path
    ) -> None:
        states = tmp_path / "states"
        for number in range(4):
            shutil.copytree(saved(cache, "base").parent, states / str(number))
            for changed in range(number * 5, number * 5 + 5):
                write(folder / f"{changed}.md", f"State {number} of the ropes.\n")
            opened()

        for base in states.iterdir():
            for recent in states.iterdir():
                shutil.copy(base / "base.safetensors", saved(cache, "base"))
                shutil.copy(recent / "recent.safetensors", saved(cache, "recent"))
                assert_up_to_date(opened()[0])

    def test_another_version_reads_all_notes_again(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notes, "LAYOUT", "another")

        index, report = opened()

        assert report.new == report.notes
        assert_up_to_date(index)

    def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_answer(
        self, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "full").write_text("in the way")

        index, _ = open_notes(folder, cache_dir=tmp_path / "full")

        assert index.retriever.invoke("sextant")
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert "could not be saved" in caplog.text

    def test_two_at_once_do_each_other_no_harm(self, opened: Open, folder: Path) -> None:
        failures: list[BaseException] = []

        def follow(name: str) -> None:
            try:
                for number in range(8):
                    write(folder / f"{name}{number}.md", f"Note {number} of {name} on ropes.\n")
                    index, _ = opened()
                    assert f"{name}{number}.md" in index.notes
            except BaseException as error:  # noqa: BLE001 - told below
                failures.append(error)

        threads = [threading.Thread(target=follow, args=(name,)) for name in ("left", "right")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert_up_to_date(opened()[0])


class TestSearch:
    def test_each_note_comes_once_with_its_best_sentence_and_where_it_stands(self, opened: Open) -> None:
        index, _ = opened()

        hits = search(index.retriever, index.notes, "灯塔 oil boats pay", 10)

        assert {(hit["source"], hit["line"], hit["quote"]) for hit in hits} == {
            ("town/灯塔.md", 1, "# 灯塔\n\n灯塔每年用油三百升。"),
            ("diary.txt", 1, "She asked for oil."),
            ("town/harbour.md", 9, "Boats pay two crowns a night."),
        }
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)

    def test_a_note_that_only_its_name_fits_shows_how_it_begins(self, folder: Path) -> None:
        index, _ = open_notes(folder, cache_dir=None)

        (hit,) = search(index.retriever, index.notes, "quay", 10)

        assert (hit["line"], hit["quote"]) == (7, "# Dues\r\n\r\nBoats pay two crowns a night.")
        assert (hit["title"], hit["tags"]) == ("Harbour book", ["town/harbour"])

    def test_no_more_come_than_are_wanted(self, opened: Open) -> None:
        index, _ = opened()

        assert len(search(index.retriever, index.notes, "灯塔 oil boats pay", 2)) == 2

    @pytest.mark.parametrize("query", ["", "？", "zebra"])
    def test_what_stands_nowhere_is_not_found(self, opened: Open, query: str) -> None:
        index, _ = opened()

        assert search(index.retriever, index.notes, query, 10) == []
