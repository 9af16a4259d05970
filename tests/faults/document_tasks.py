"""What the bench has done with hostile documents. Every task takes and gives what JSON can carry."""

from __future__ import annotations

import io
import os
import random
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from bench import verdict_of
from fuzz_seeds import small_files

from langchain_qwen_longctx import cli, cli_parts, indexing, reading_apart
from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.document_loaders import load_bytes, load_documents, source_text
from langchain_qwen_longctx.errors import DocumentError, InputError
from langchain_qwen_longctx.html_pages import html_text
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.note_properties import read_front_matter, read_properties
from langchain_qwen_longctx.note_reading import read_note
from langchain_qwen_longctx.pdf_pages import _clean_pdf_text
from langchain_qwen_longctx.table_formats import read_csv
from langchain_qwen_longctx.text_encodings import decode_html, decode_text
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import Callable


def warm_up() -> None:
    """Load what each task would otherwise load for itself: parsers, the vocabulary, the dictionary."""
    assert cli_parts
    assert indexing
    reading_apart._is_apart = True
    for name, data in small_files().items():
        read_note(Path(name), name, data, [], QwenTextSplitter())
    reading_apart._is_apart = False


def chunked_each(inputs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Do `chunked` for several inputs, and return of each a verdict and what was said, as the bench does."""
    return [verdict_of(partial(chunked, path, name)) for path, name in inputs]


def chunked(path: str, name: str) -> str:
    """Read an input in this process, whatever its format."""
    reading_apart._is_apart = True
    return chunked_apart(path, name)


def chunked_apart(path: str, name: str) -> str:
    """Read an input up to its chunks, whose offsets must hold, and return how much came out."""
    data, splitter = Path(path).read_bytes(), QwenTextSplitter()
    documents = load_bytes(data, name)
    text = source_text(documents, name)
    chunks = splitter.split_documents(documents)
    for chunk in chunks:
        assert chunk.page_content == text[chunk.metadata["start"] : chunk.metadata["end"]]
    if PurePath(name).suffix in (".md", ".txt"):
        read_note(Path(name), name, data, [], splitter)
    return f"{len(text):,} characters"


def command(arguments: list[str], stdin: str = os.devnull) -> tuple[int, str]:
    """Run the command line as the console script does, and return its exit code and what it says on stderr.

    Args:
        arguments: Of the command line.
        stdin: Path of what it has on standard input.
    """
    sys.argv = ["qwen-longctx", *arguments]
    sys.stdin = open(stdin)  # noqa: PTH123, SIM115 - until the process ends
    sys.stdout = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace")
    said = io.BytesIO()
    sys.stderr = io.TextIOWrapper(said, encoding="utf-8", errors="backslashreplace")
    code: object = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = exit_.code or 0
    sys.stderr.flush()
    return int(str(code)), said.getvalue().decode()


def indexed(cache: str, path: str, holds: str) -> tuple[int, str, bool]:
    """Index a document, and return the exit code, what was said, and whether the text holds some text."""
    code, said = command(["index", "--cache-dir", cache, "--", path])
    is_held = not code and bool(holds) and any(holds in document.page_content for document in load_documents(path))
    return code, said, is_held


def loaded(path: str) -> tuple[str, list[str]]:
    """Load a folder or file, and return its text, and what was skipped."""
    skipped: list[DocumentError] = []
    documents = load_documents(path, on_error=skipped.append)
    return "\n".join(document.page_content for document in documents), [str(error) for error in skipped]


def loaded_as_nobody(path: str) -> tuple[str, list[str]]:
    """Load a folder with the rights of a user who owns nothing."""
    if not os.getuid():
        os.setgid(65534)
        os.setuid(65534)
    return loaded(path)


def counted(path: str) -> tuple[int, int]:
    """Load and split a document, and return how many characters and chunks it has."""
    documents = load_documents(path)
    chunks = QwenTextSplitter().split_documents(documents)
    return sum(len(document.page_content) for document in documents), len(chunks)


def loaded_while_changing(path: str, seconds: float) -> tuple[int, list[str]]:
    """Load a file over and over while it is written, cut and removed; return how often, and what was wrong."""
    file, end, tries, wrong = Path(path), time.monotonic() + seconds, 0, list[str]()
    is_over = threading.Event()
    changing = threading.Thread(target=_change, args=(file, is_over))
    changing.start()
    while time.monotonic() < end:
        tries += 1
        try:
            load_documents(path)
        except DocumentError:
            pass
        except Exception as error:  # noqa: BLE001 - what is looked for
            wrong.append(repr(error))
    is_over.set()
    changing.join()
    return tries, wrong


def _change(file: Path, is_over: threading.Event) -> None:
    chance = random.Random(1)
    while not is_over.is_set():
        content = "The lamp was lit. 灯亮了。" * chance.randrange(100_000)
        if chance.random() < 0.3:
            file.unlink(missing_ok=True)
        elif chance.random() < 0.3 and file.exists():
            os.truncate(file, chance.randrange(1000))
        elif chance.random() < 0.5:
            file.write_text(content)
        else:
            file.with_suffix(".part").write_text(content)
            file.with_suffix(".part").replace(file)


def _properties(text: str) -> None:
    try:
        fields = read_front_matter(f"---\n{text}\n---\n")
    except InputError:
        fields = {}
    read_properties(text, fields)


def _csv(text: str) -> None:
    with suppress(DocumentError):
        read_csv(text, "a.csv")


FUNCTIONS: Final[dict[str, Callable[[str], object]]] = {
    "split": QwenTextSplitter().chunk_spans,
    "analyze": analyze,
    "note": _properties,
    "csv": _csv,
    "html": html_text,
    "html tags": lambda text: html_text(f"<p {text}><pre>{text}"),
    "decode": lambda text: decode_text(text.encode("utf-8", "surrogatepass")),
    "decode html": lambda text: decode_html(text.encode("utf-8", "surrogatepass")),
    "decode damaged": lambda text: decode_text(text.encode("utf-8", "surrogatepass") + b"\xff\xfe\x81"),
    "pdf": lambda text: _clean_pdf_text(text, set()),
    "language": detect_language,
}


def disproportionate(function: str, units: list[str], size: int) -> list[str]:
    """Return the runs of units for which a function takes much more than twice the time if they are twice as long.

    Args:
        function: One of `FUNCTIONS`.
        units: What is repeated.
        size: Characters of a run.
    """
    found = []
    for unit in units:
        for last in ("", "1a"):
            once, twice = (_seconds(function, unit * (times * size // len(unit)) + last) for times in (1, 2))
            if twice > 3 * once + 0.1:
                found.append(f"{function} of {unit!r}: {once:.2f} s, then {twice:.2f} s")
    return found


def _seconds(function: str, text: str) -> float:
    began = time.process_time()
    FUNCTIONS[function](text)
    return time.process_time() - began
