"""A document may cost the process that reads it, and never the one that asked."""

from __future__ import annotations

import ctypes
import os
import sys
import time

import pytest
from document_pdfs import bombs

from langchain_qwen_longctx import reading_apart
from langchain_qwen_longctx.document_loaders import load_bytes
from langchain_qwen_longctx.errors import BrokenDocumentError, DocumentError, EncryptedDocumentError
from langchain_qwen_longctx.reading_apart import read_apart
from langchain_qwen_longctx.sections import Section

# What follows runs in the other process, which imports this module.


def echo(data: bytes, source: str) -> list[Section]:
    print("a library has something to say")  # noqa: T201
    return [Section(f"{source} {os.getpid()}"), Section(data.decode("utf-8", "surrogatepass"), 2, "sheet")]


def refuse(data: bytes, source: str) -> list[Section]:
    raise EncryptedDocumentError(source, "a password: needed")


def crash(data: bytes, source: str) -> list[Section]:
    ctypes.string_at(0)
    return []


def run_out_of_memory(data: bytes, source: str) -> list[Section]:
    return [Section(str(len(bytearray(1 << 40))))]


def go_on_for_ever(data: bytes, source: str) -> list[Section]:
    while True:
        time.sleep(0.1)


def say_too_much(data: bytes, source: str) -> list[Section]:
    return [Section("word " * 1_000_000, page) for page in range(30)]


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the other process find this module under the name that it has here."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))  # noqa: PTH120
    for reader in (echo, refuse, crash, run_out_of_memory, go_on_for_ever, say_too_much):
        monkeypatch.setattr(reader, "__module__", "test_reading_apart")


def test_sections_come_from_another_process_as_they_are() -> None:
    first, second = read_apart(echo, "灯 \ud800\r\n".encode("utf-8", "surrogatepass"), "a\udcff\n.pdf")

    assert first.text.startswith("a\udcff\n.pdf ")
    assert first.text != f"a\udcff\n.pdf {os.getpid()}"
    assert second == Section("灯 \ud800\r\n", 2, "sheet")


def test_errors_come_from_another_process_as_they_are() -> None:
    with pytest.raises(EncryptedDocumentError, match=r"^a: b\.pdf: a password: needed$") as caught:
        read_apart(refuse, b"", "a: b.pdf")

    assert caught.value.source == "a: b.pdf"


@pytest.mark.parametrize("reader", [crash, run_out_of_memory])
def test_a_crash_is_the_documents_fault(reader: reading_apart.Reader) -> None:
    with pytest.raises(
        BrokenDocumentError, match=r"a\.pdf: reading it took more than .* memory, or crashed its reader"
    ):
        read_apart(reader, b"", "a.pdf")


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_apart, "MAX_SECONDS", 1)

    with pytest.raises(BrokenDocumentError, match="more than 1 seconds"):
        read_apart(go_on_for_ever, b"", "a.pdf")


def test_more_text_than_fits_is_refused() -> None:
    with pytest.raises(BrokenDocumentError, match="more than 100,000,000 characters"):
        read_apart(say_too_much, b"", "a.pdf")


def test_a_process_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nothing/here")

    with pytest.raises(DocumentError, match="no process could be started"):
        read_apart(echo, b"", "a.pdf")


def test_a_frozen_program_reads_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert read_apart(echo, b"", "a.pdf")[0].text == f"a.pdf {os.getpid()}"


def test_a_pdf_that_draws_itself_twice_costs_its_reader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_apart, "MAX_MEMORY", 400_000_000)

    with pytest.raises(BrokenDocumentError, match="crashed its reader"):
        load_bytes(bombs(1)["a form that draws itself twice"], "a.pdf")
