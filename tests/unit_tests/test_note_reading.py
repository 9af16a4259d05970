"""What a note is found by has bounds, whoever wrote it and whoever links to it."""

from __future__ import annotations

import time
from pathlib import Path

from langchain_qwen_longctx.note_reading import MAX_NAME_TERMS, nicknames, read_note, unread
from langchain_qwen_longctx.text_splitters import QwenTextSplitter


def test_a_note_with_many_names_is_found_by_the_first_of_them() -> None:
    aliases = ", ".join(f"alias{number}" for number in range(MAX_NAME_TERMS * 2))
    data = f"---\ntitle: Lamp\naliases: [{aliases}]\n---\nText.".encode()

    read = read_note(Path("note.md"), "note.md", data, [], QwenTextSplitter())

    terms = read.terms_by([])[-1]
    assert {"note", "lamp", "alias0", "text"} <= set(terms)
    assert len(terms) == len(read.terms[-1]) + MAX_NAME_TERMS


def test_front_matter_that_is_too_long_is_text_and_no_more() -> None:
    data = f"---\ntitle: {'long ' * 30_000}\n---\nText.".encode()

    read = read_note(Path("note.md"), "note.md", data, [], QwenTextSplitter())

    assert read.note.title == ""
    assert read.chunks[-1].page_content.endswith("Text.")


def test_many_notes_of_one_name_with_many_links_take_little_time() -> None:
    notes = {f"{number}/index.md": unread([], "", "note") for number in range(1_000)}
    linking = unread([], "", "note")._replace(links=[["index", f"name {number}"] for number in range(10_000)])
    started = time.process_time()

    called = nicknames(notes | {"link.md": linking})

    assert [(source, len(names)) for source, names in called.items()] == [("0/index.md", 10_000)]
    assert time.process_time() - started < 1
