"""Hostile and broken documents: time and memory have bounds, and out comes text, or an error that names the cause."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import document_archives
import document_folders
import document_markup
import document_pdfs
import document_tasks
import document_texts
from bench import Bench
from document_cases import Case
from document_trials import BAD_INPUT, Trials, figures
from loader_fuzz import fuzz
from trials import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

MEGABYTES: Final = 6_000
"""What a task gets before the machine would come to harm."""

SECONDS: Final = 1_800
"""By the clock, for what waits for ever; the trials count the processor's."""

UNITS: Final = (
    *(
        "a",
        ".",
        "（",
        "“",
        '"',
        "'",
        " ",
        "\n",
        "\t",
        "1",
        "，",
        "。",
        "-",
        "#",
        "*",
        "|",
        "`",
        "[",
        "(",
        "<",
        "&",
        "\x02",
    ),
    *("1,", "a. ", "1.", "1/", "[[", "[1]", ".)", "**", "a\n", "1. \n", "- ", "Mr. ", "<h1 ", "\u0301", "\u200d", "🇨🇳"),
    *("```\n", "~~~", "#a", "[[a|", "a-", "a'", "A.", "年", "一", "x\x02", "---\n", " \n", "\r\n", "\u2028", "\ud800"),
)


def run(*, is_short: bool) -> Iterator[Trial]:
    """Try everything that a document may be, but for what it says. Seconds are the processor's."""
    with (
        tempfile.TemporaryDirectory(prefix="documents-") as folder,
        Bench(seconds=SECONDS, megabytes=MEGABYTES) as bench,
    ):
        trials = Trials(bench, Path(folder), is_short=is_short)
        for suite in (_archives, _markup, _pdfs, _texts, _large_files, _folders, _growth, _fuzzed):
            yield from suite(trials)


def _archives(trials: Trials) -> Iterator[Trial]:
    yield trials.cases(
        "Zip bombs as DOCX, XLSX, PPTX and EPUB: flat, lying about their size, overlapping, nested",
        trials.some(document_archives.bombs(), 5),
        seconds=10,
        megabytes=500,
    )
    yield trials.cases(
        "Office files and books that ask for much: cells in far corners, loops of styles and chapters, merged cells",
        trials.some(document_archives.greedy(is_short=trials.is_short), 4),
        seconds=320,
        megabytes=3_000,
    )


def _markup(trials: Trials) -> Iterator[Trial]:
    secret = trials.folder() / "secret.txt"
    secret.write_text(document_folders.SECRET)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        trial = trials.cases(
            "Entities in every format that is XML: bombs, files, addresses, foreign types, themselves; XInclude",
            trials.some(document_markup.attacks(secret.as_uri(), address, document_folders.SECRET), 8),
            seconds=10,
            megabytes=600,
        )
        is_called = bool(select.select([listener], [], [], 0)[0])
    yield replace(trial, held=trial.held - is_called, outcome=f"{trial.outcome}; nothing opened, {is_called:d} called")
    size = 10_000 if trials.is_short else 100_000
    yield trials.cases(
        f"HTML of {size:,} tags: nested, unclosed, wide, tall; margins, attributes, odd encodings",
        trials.some(document_markup.pages(size), 4),
        seconds=5 if trials.is_short else 30,
        megabytes=1_500,
    )


def _pdfs(trials: Trials) -> Iterator[Trial]:
    says = "bytes of memory|seconds|no page has a text layer|"
    bombs = document_pdfs.bombs(10**7 if trials.is_short else 10**9)
    yield trials.cases(
        "PDF bombs: packed streams, and a form that draws itself twice",
        trials.some([Case("bomb.pdf", data, says) for data in bombs.values()], 6),
        seconds=320,
        megabytes=3_000,
    )
    odd = [Case("odd.pdf", data, "PDF|password|text layer|") for data in document_pdfs.oddities().values()]
    pages = 2_000 if trials.is_short else 100_000
    yield trials.cases(
        f"PDFs with loops, pages that are not there, a password, {pages:,} pages of one content",
        [*odd, Case("pages.pdf", document_pdfs.many_pages(pages), holds="A page of text.")],
        seconds=10 if trials.is_short else 120,
        megabytes=600 if trials.is_short else 2_000,
    )


def _texts(trials: Trials) -> Iterator[Trial]:
    yield trials.cases(
        "Texts in damaged encodings: half characters, odd lengths, marks, NULs",
        trials.some(document_texts.encodings(), 2),
        seconds=3,
        megabytes=400,
    )
    yield trials.cases(
        "Files that are empty or not what their names say",
        trials.some(document_texts.misnamed(), 8),
        seconds=3,
        megabytes=400,
    )
    size, field = (10**6, 10**6) if trials.is_short else (10**7, 99 * 10**6)
    yield trials.cases(
        f"Tables with a field of {field:,} characters, and rows and names of {size:,}",
        document_texts.tables(size, field),
        seconds=200,
        megabytes=4_000,
    )
    yield trials.cases(
        "Notes whose front matter is a bomb, makes objects, or never ends",
        document_texts.front_matter(10**4 if trials.is_short else 10**6),
        seconds=20,
        megabytes=1_000,
    )


def _large_files(trials: Trials) -> Iterator[Trial]:
    folder = trials.folder()
    nul = "neither text nor a type" if trials.is_short else "100,000,000 characters"
    expected = {"nul.txt": nul, "more.txt": "1,073,741,824 bytes"}
    expected |= {} if trials.is_short else {"nul.pdf": "not a PDF", "nul.docx": "not a DOCX"}
    size = 1 << (26 if trials.is_short else 30)
    for name in expected:
        (folder / name).touch()
        os.truncate(folder / name, size if name != "more.txt" else (1 << 30) + 1)
    yield trials.paths(
        f"Files of {size >> 20:,} MB of NULs, as text, PDF and DOCX, and of a gigabyte and one byte",
        {folder / name: says for name, says in expected.items()},
        seconds=30,
        megabytes=4_500,
    )
    for name in expected:
        (folder / name).unlink()
    yield from _long_lines(trials, folder / "line.txt")
    outcome = trials.bench.run(document_tasks.command, ["index", "-"], "/dev/zero")
    is_right = outcome.verdict == "done" and outcome.value[0] == BAD_INPUT and "1,073,741,824" in outcome.value[1]
    yield Trial("Zeros without end on standard input", 1, is_right, f"1 refused; {figures(outcome)}")
    outcome = trials.bench.run(
        document_tasks.loaded_while_changing, str(folder / "changing.txt"), 1 if trials.is_short else 20
    )
    tries, wrong = outcome.value if outcome.verdict == "done" else (1, [outcome.verdict])
    said = "; ".join(["text or an error", figures(outcome), *wrong[:5]])
    yield Trial("A file that grows, shrinks, is replaced and removed while it is read", tries, tries - len(wrong), said)


def _long_lines(trials: Trials, line: Path) -> Iterator[Trial]:
    line.write_text("word " * ((1 << 26) // 5))
    outcome = trials.bench.run(document_tasks.counted, str(line))
    is_right = outcome.verdict == "done" and outcome.value[0] == line.stat().st_size and outcome.megabytes < 1_500
    yield Trial("A text of 64 MB in one line, loaded and divided", 1, is_right, f"1 read; {figures(outcome)}")
    if not trials.is_short:
        yield trials.paths("The same, indexed", {line: ""}, seconds=300, megabytes=2_500)
        line.write_text("word " * ((1 << 30) // 5))
        says = {line: "100,000,000 characters"}
        yield trials.paths("A text of one gigabyte in one line", says, seconds=30, megabytes=4_000)
    line.unlink()


def _folders(trials: Trials) -> Iterator[Trial]:
    folder = trials.folder()
    named = dict.fromkeys(document_folders.named_oddly(folder), "")
    title = "Files whose names hold newlines, control characters, bytes that are no UTF-8, marks, options"
    yield trials.paths(title, named, seconds=3, megabytes=400)
    yield trials.inside("The same in one folder", folder, read=len(named), reported=0)
    special = document_folders.special(trials.folder())
    yield trials.paths("Devices, pipes, sockets and paths that lead nowhere", special, seconds=3, megabytes=400)
    folder = trials.folder()
    document_folders.tangled(folder / "inside", folder / "outside")
    title = "Links in circles, out of the folder, and to devices; pipes and sockets"
    yield trials.inside(title, folder / "inside", read=1, reported=7)
    folder = trials.folder()
    document_folders.forbidden(folder)
    title = "Files and folders without permission"
    yield trials.inside(title, folder, read=1, reported=3, task=document_tasks.loaded_as_nobody)
    for levels, read in ((1_900, 2), (5_000, 1)):
        folder = trials.folder()
        document_folders.deep(folder, levels)
        yield trials.inside(f"Folders {levels:,} deep", folder, read=read, reported=2 - read)
        document_folders.remove_deep(folder, levels)


def _growth(trials: Trials) -> Iterator[Trial]:
    size, units = (10_000, UNITS[::2]) if trials.is_short else (200_000, UNITS)
    wrong: list[str] = []
    for function in document_tasks.FUNCTIONS:
        outcome = trials.bench.run(document_tasks.disproportionate, function, units, size)
        wrong += outcome.value if outcome.verdict == "done" else [f"{function}: {outcome.verdict}"]
    tries = 2 * len(units) * len(document_tasks.FUNCTIONS)
    title = f"Runs of {size:,} and {2 * size:,} characters through every function that takes a text"
    yield Trial(title, tries, tries - len(wrong), "; ".join(wrong[:5]) or "twice the text, twice the time")


def _fuzzed(trials: Trials) -> Iterator[Trial]:
    seconds = 5 if trials.is_short else 120
    findings = fuzz(trials.bench, seconds=seconds, seed=1, keep=trials.folder(), with_real=not trials.is_short)
    tries, wrong = findings.counts.total(), findings.defects
    yield Trial("Documents changed by chance", tries, tries - len(wrong), "; ".join([str(findings), *wrong[:5]]))
