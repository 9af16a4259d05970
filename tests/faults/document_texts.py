"""Texts in damaged encodings, files that are not what their names say, and front matter that would do something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from document_cases import Case
from fuzz_seeds import small_files

from langchain_qwen_longctx.document_loaders import READABLE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_TEXT: Final = "neither text nor a type"
PROGRAM: Final = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0" + bytes(range(256)) * 8
SAID: Final = "The lamp was lit. 灯亮了。"


def encodings() -> Iterator[Case]:
    """Yield texts that are damaged, or in an encoding in which text can be."""
    yield Case("surrogate.txt", "\ufeffa".encode("utf-16-le") + b"\x00\xd8" + "b".encode("utf-16-le"), NOT_TEXT)
    yield Case("overlong.txt", b"The lamp was lit. \xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf\n" * 9, holds="The lamp")
    yield Case("beyond.txt", SAID.encode() * 99 + b"\xf4\x90\x80\x80", holds=SAID)
    yield Case("half.txt", SAID.encode()[:-1] * 1 + b"\n" + SAID.encode() * 9, holds=SAID)
    yield Case(
        "newlines.txt", b"one\rtwo\r\nthree\nfour\x0bfive\xe2\x80\xa8six\xc2\x85seven", holds="one\rtwo\r\nthree\nfour"
    )
    yield Case("marks.txt", b"\xef\xbb\xbf" * 3 + SAID.encode(), holds=SAID)
    yield Case("mark-alone.txt", b"\xef\xbb\xbf", "empty|no text")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        text = "\ufeff" * encoding.endswith("e") + SAID * 3
        yield Case(f"{encoding}.txt", text.encode(encoding), holds=SAID)
        yield Case(f"{encoding}-odd.txt", text.encode(encoding)[:-1], NOT_TEXT)
        yield Case(
            f"{encoding}-mark.txt", text.encode(encoding)[: 4 if "32" in encoding else 2], "no text|empty|neither"
        )
    yield Case("nul.txt", b"The lamp\0was lit." * 99, holds="The lamp\0was")
    yield Case("nuls.txt", bytes(10_000), NOT_TEXT)
    yield Case("controls.txt", bytes(range(1, 32)) * 99, holds="\x07")
    yield Case("wrong.html", b'<meta charset="utf-32"><p>The lamp was lit.</p>', holds="The lamp")
    yield Case("unknown.html", b'<meta charset="no such \xff"><p>The lamp was lit.</p>', holds="The lamp")
    yield Case("half-characters.html", rb'<meta charset="unicode_escape"><p>The lamp \ud800</p>', holds="The lamp")


def misnamed() -> Iterator[Case]:
    """Yield an empty file of every suffix, and contents under the names of others."""
    for suffix in sorted(READABLE_SUFFIXES):
        yield Case(f"empty{suffix}", b"", "the file is empty")
        yield Case(f"blank{suffix}", b" \r\n\t\n", "the file is empty")
    for suffix in (".pdf", ".docx", ".xlsx", ".pptx", ".epub"):
        yield Case(f"program{suffix}", PROGRAM, f"program{suffix}: not a")
        yield Case(f"text{suffix}", SAID.encode(), f"text{suffix}: not a")
        yield Case(
            f"cut{suffix}",
            next(data for name, data in small_files().items() if name.endswith(suffix))[:700],
            "not a|text layer",
        )
    for suffix in (".txt", ".md", ".csv", ".html", ""):
        yield Case(f"program{suffix}", PROGRAM, NOT_TEXT)
    for name, data in small_files().items():
        if data.startswith(b"PK"):
            yield Case(f"{Path(name).suffix[1:]}.txt", data, NOT_TEXT)
            yield Case(f"{Path(name).suffix[1:]}.pdf", data, "not a PDF")
            yield Case(f"{Path(name).stem}.unknown", data, holds="")
    yield Case("pdf.docx", small_files()["paper.pdf"], "not a DOCX")


def tables(size: int, field: int) -> Iterator[Case]:
    """Yield delimited texts with a field of so many characters, and with rows and names of about so many."""
    yield Case("field.csv", b"a,b\n1," + b"x" * field + b"\n", r"not a delimited table.*rename it to \.txt")
    yield Case("quoted.csv", b'a,b\n1,"' + b"x\n" * (field // 2), r"not a delimited table.*rename it to \.txt")
    yield Case("columns.csv", b"a," * (size // 20), holds="row 1 | a | a")
    names = ",".join(f"name{number}" for number in range(min(size // 100, 16_000)))
    yield Case("names.csv", f"{names}\n1,2\n".encode() + b"1\n" * (size // 20), holds="name0: 1")
    # A name of sixty characters before each cell of one makes a hundred million of three.
    long = ",".join(f"{'n' * 55}{number}" for number in range(16_000))
    row = ",".join(["1"] * 16_000)
    yield Case("repeated.csv", "\n".join([long, *[row] * 100]).encode(), "more than 100,000,000 characters")


def front_matter(size: int) -> Iterator[Case]:
    """Yield notes whose front matter is a bomb, makes objects, or has keys that are none; every note is read."""
    lists = "a: &a [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1 or str()}, ' * 9}]\n" for n in range(1, 30))
    tried = {
        "laughs": f"{lists}tags: *a29",
        "objects": "title: !!python/object/apply:os.system ['exit 1']\ntags: !!python/name:os.system",
        "module": "title: !!python/module:os\naliases: [!!python/object:os.system {}]",
        "new": "title: !!python/object/new:os.system ['exit 1']",
        "numbers": f"title: {'9' * size}\ndate: 99999-99-99\nyear: !!int x\nfloat: !!float y",
        "list-key": "? [a, b]\n: c\ntags: x",
        "mapping-key": "? {a: b}\n: c",
        "itself": "a: &a [*a]\ntags: *a",
        "flow": "x: " + "[" * size,
        "block": "- " * size,
        "merged": "a: &a {x: 1}\n<<: [*a, *a, *a]\ntags: [1]",
        "binary": "title: !!binary zz\ntags: !!set {a, b}",
        "controls": "title: a\x07b\x00c",
        "names": f"aliases: [{', '.join(f'n{n}' for n in range(size // 10))}]",
        "tags": f"tags: {'#a ' * (size // 4)}",
        "long": "title: " + "word " * size,
        "never closed": "title: x\n" + "key: value\n" * size,
    }
    for name, yaml in tried.items():
        end = "" if name == "never closed" else "---\n"
        yield Case(f"{name}.md", f"---\n{yaml}\n{end}{SAID}\n{'#tag [[a|b]] ' * (size // 100)}".encode(), holds=SAID)
