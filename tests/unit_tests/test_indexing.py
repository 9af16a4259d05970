"""From paths to a retriever: nothing is read twice, and nothing that goes wrong is kept quiet."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from langchain_qwen_longctx.document_loaders import load_documents, source_text
from langchain_qwen_longctx.errors import BrokenDocumentError, DocumentNotFoundError, EmptyDocumentError
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from pathlib import Path

HARBOUR = "The harbour was built in 1887 by the town council.\r\n\r\nBoats carry salt from the marsh.\r\n"
LIGHTHOUSE = "灯塔的看守人住在岛上。\n港口由镇议会于1887年建造。\n"
NOT_A_PDF = b"\x00\x01\x02 no pdf at all"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "harbour.txt").write_bytes(HARBOUR.encode())
    (folder / "lighthouse.md").write_bytes(LIGHTHOUSE.encode())
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(sources: list[str]) -> list[str]:
    return [source.rpartition("/")[2] for source in sources]


class TestReuse:
    def test_the_first_time_every_file_is_read(self, folder: Path, cache: Path) -> None:
        _, report = open_index([folder], cache_dir=cache)

        assert names(report.read) == ["harbour.txt", "lighthouse.md"]
        assert report.reused == []

    def test_the_second_time_no_file_is_read(self, folder: Path, cache: Path) -> None:
        open_index([folder], cache_dir=cache)

        _, report = open_index([folder], cache_dir=cache)

        assert report.read == []
        assert names(report.reused) == ["harbour.txt", "lighthouse.md"]

    def test_a_saved_index_gives_the_same_chunks_and_scores(self, folder: Path, cache: Path) -> None:
        made, _ = open_index([folder], cache_dir=cache)

        loaded, report = open_index([folder], cache_dir=cache)

        assert loaded.docs == made.docs
        assert loaded.invoke("harbour 1887 港口") == made.invoke("harbour 1887 港口")
        assert report.chunks == len(made.docs)

    def test_a_changed_file_is_read_again_and_only_it(self, folder: Path, cache: Path) -> None:
        open_index([folder], cache_dir=cache)
        (folder / "harbour.txt").write_text("The harbour was closed in 1990.")

        retriever, report = open_index([folder], cache_dir=cache)

        assert (names(report.read), names(report.reused)) == (["harbour.txt"], ["lighthouse.md"])
        assert [doc.page_content for doc in retriever.invoke("closed harbour")] == ["The harbour was closed in 1990."]

    def test_a_file_of_the_same_content_and_another_name_keeps_its_own_source(self, folder: Path, cache: Path) -> None:
        open_index([folder / "harbour.txt"], cache_dir=cache)
        copy = (folder / "harbour.txt").rename(folder / "port.txt")

        retriever, report = open_index([copy], cache_dir=cache)

        assert report.read == [str(copy)]
        assert {doc.metadata["source"] for doc in retriever.docs} == {str(copy)}

    def test_another_chunk_size_makes_a_new_index(self, folder: Path, cache: Path) -> None:
        open_index([folder], cache_dir=cache)

        retriever, report = open_index([folder], cache_dir=cache, chunk_tokens=16)

        assert len(report.read) == 2
        assert len(retriever.docs) > 2

    def test_without_a_cache_folder_nothing_is_written(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        before = sorted(tmp_path.rglob("*"))

        open_index([folder], cache_dir=None)

        assert sorted(tmp_path.rglob("*")) == before


class TestBadCache:
    @pytest.mark.parametrize("kept", [0, 100, -1], ids=["empty", "cut early", "cut late"])
    def test_a_truncated_index_is_made_again_and_that_is_logged(
        self, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture, kept: int
    ) -> None:
        path = folder / "harbour.txt"
        open_index([path], cache_dir=cache)
        (saved,) = cache.iterdir()
        saved.write_bytes(saved.read_bytes()[:kept])

        retriever, report = open_index([path], cache_dir=cache)

        assert report.read == [str(path)]
        assert retriever.invoke("harbour")
        assert str(saved) in caplog.text
        assert f"indexing {path} again" in caplog.text

    def test_an_index_with_a_flipped_bit_is_made_again(self, folder: Path, cache: Path) -> None:
        path = folder / "harbour.txt"
        open_index([path], cache_dir=cache)
        (saved,) = cache.iterdir()
        data = bytearray(saved.read_bytes())
        data[-1] ^= 1
        saved.write_bytes(data)

        _, report = open_index([path], cache_dir=cache)

        assert report.read == [str(path)]

    def test_an_index_of_another_document_under_the_name_of_this_one_is_made_again(
        self, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_index([folder], cache_dir=cache)
        one, other = sorted(cache.iterdir())[:2]
        one.write_bytes(other.read_bytes())

        retriever, report = open_index([folder], cache_dir=cache)

        assert len(report.read) == 1
        assert len({chunk.metadata["chunk_id"] for chunk in retriever.docs}) == len(retriever.docs)
        assert f"{one}: an index of something else; indexing {report.read[0]} again" in caplog.text

    def test_what_a_killed_process_has_left_is_removed_once_nobody_can_be_writing_it(
        self, folder: Path, cache: Path
    ) -> None:
        cache.mkdir(exist_ok=True)
        left, fresh, foreign = (cache / name for name in ("0.safetensorsab.part", "1.safetensorscd.part", "film.part"))
        for path in (left, fresh, foreign):
            path.write_bytes(b"half")
        for path in (left, foreign):
            os.utime(path, (time.time() - 4000,) * 2)

        open_index([folder], cache_dir=cache)

        assert [path.exists() for path in (left, fresh, foreign)] == [False, True, True]

    def test_an_index_made_again_is_good_the_next_time(self, folder: Path, cache: Path) -> None:
        open_index([folder / "harbour.txt"], cache_dir=cache)
        (saved,) = cache.iterdir()
        saved.write_bytes(b"")
        open_index([folder / "harbour.txt"], cache_dir=cache)

        _, report = open_index([folder / "harbour.txt"], cache_dir=cache)

        assert len(report.reused) == 1

    def test_a_file_in_place_of_the_cache_folder_costs_a_warning_and_no_answer(
        self, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache.write_text("in the way")

        retriever, _ = open_index([folder], cache_dir=cache)

        assert retriever.invoke("harbour")
        assert {record.levelno for record in caplog.records} == {logging.WARNING}
        assert "could not be saved" in caplog.text

    def test_a_cache_folder_that_may_not_be_looked_into_costs_a_warning_and_no_answer(
        self, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        # To root everything is open; a name that no file system takes fails in the same way.
        retriever, _ = open_index([folder], cache_dir=tmp_path / ("x" * 300))

        assert retriever.invoke("harbour")
        assert "could not be saved" in caplog.text


class TestFailingFiles:
    def test_one_in_a_folder_is_reported_and_the_others_are_indexed(self, folder: Path) -> None:
        (folder / "broken.pdf").write_bytes(NOT_A_PDF)

        _, report = open_index([folder], cache_dir=None)

        assert [type(error) for error in report.failed] == [BrokenDocumentError]
        assert report.failed[0].source == str(folder / "broken.pdf")
        assert names(report.read) == ["harbour.txt", "lighthouse.md"]

    def test_one_given_by_name_ends_it(self, folder: Path) -> None:
        broken = folder / "broken.pdf"
        broken.write_bytes(NOT_A_PDF)

        with pytest.raises(BrokenDocumentError, match=r"broken\.pdf"):
            open_index([folder / "harbour.txt", broken], cache_dir=None)

    def test_a_folder_in_which_all_fail_ends_it_with_the_first_reason(self, tmp_path: Path) -> None:
        for name in ("a.pdf", "b.pdf"):
            (tmp_path / name).write_bytes(NOT_A_PDF)

        with pytest.raises(DocumentNotFoundError, match=r"none of its 2 files can be read; the first: .*a\.pdf"):
            open_index([tmp_path], cache_dir=None)

    def test_an_empty_file_given_by_name_ends_it(self, tmp_path: Path) -> None:
        (tmp_path / "empty.txt").touch()

        with pytest.raises(EmptyDocumentError, match=r"empty\.txt"):
            open_index([tmp_path / "empty.txt"], cache_dir=None)

    @pytest.mark.parametrize("name", ["nothing.txt", "When was the harbour built? " * 20])
    def test_a_path_to_nothing_ends_it(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DocumentNotFoundError, match="there is no such file"):
            open_index([tmp_path / name], cache_dir=None)

    def test_a_failed_file_leaves_no_index_behind(self, folder: Path, cache: Path) -> None:
        (folder / "broken.pdf").write_bytes(NOT_A_PDF)

        open_index([folder], cache_dir=cache)

        assert len(list(cache.iterdir())) == 2


class TestChunks:
    def test_each_is_a_verbatim_span_of_its_source(self, folder: Path, cache: Path) -> None:
        open_index([folder], cache_dir=cache, chunk_tokens=16)

        retriever, _ = open_index([folder], cache_dir=cache, chunk_tokens=16)

        texts = {str(folder / "harbour.txt"): HARBOUR, str(folder / "lighthouse.md"): LIGHTHOUSE}
        assert len(retriever.docs) > 2
        for doc in retriever.docs:
            start, end = doc.metadata["start"], doc.metadata["end"]
            assert texts[doc.metadata["source"]][start:end] == doc.page_content

    def test_they_are_those_that_loader_and_splitter_make_without_an_index(self, folder: Path, cache: Path) -> None:
        documents = load_documents(folder)

        retriever, _ = open_index([folder], cache_dir=cache)

        assert retriever.docs == QwenTextSplitter().split_documents(documents)
        assert source_text(documents, str(folder / "harbour.txt")) == HARBOUR

    def test_their_ids_are_unique_over_all_files(self, folder: Path) -> None:
        retriever, _ = open_index([folder], cache_dir=None, chunk_tokens=16)

        identifiers = [doc.metadata["chunk_id"] for doc in retriever.docs]
        assert len(set(identifiers)) == len(identifiers)

    def test_a_file_given_twice_is_indexed_once(self, folder: Path) -> None:
        _, report = open_index([folder, folder / "harbour.txt"], cache_dir=None)

        assert names(report.read) == ["harbour.txt", "lighthouse.md"]


def test_each_file_is_announced_with_its_number_and_how_many_there_are(folder: Path) -> None:
    announced: list[tuple[str, int, int]] = []

    open_index([folder], cache_dir=None, on_file=lambda *progress: announced.append(progress))

    assert announced == [(str(folder / "harbour.txt"), 0, 2), (str(folder / "lighthouse.md"), 1, 2)]


def test_patterns_choose_the_files_of_a_folder(folder: Path) -> None:
    (folder / "draft.txt").write_text("Not yet.")

    _, report = open_index([folder], cache_dir=None, glob="*.txt", exclude=["draft*"])

    assert names(report.read) == ["harbour.txt"]


def test_standard_input_is_a_source_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HARBOUR.encode())))

    retriever, report = open_index(["-"], cache_dir=cache)

    assert report.read == ["stdin"]
    assert {doc.metadata["source"] for doc in retriever.docs} == {"stdin"}
