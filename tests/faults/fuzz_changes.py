"""Documents changed by chance: their bytes, and the files inside of those that are archives."""

from __future__ import annotations

import io
import random
import re
import zipfile
import zlib
from typing import Final

from fuzz_seeds import archive

SUFFIXES: Final = (
    *(".pdf", ".docx", ".xlsx", ".pptx", ".epub", ".html", ".xhtml", ".csv", ".tsv", ".md", ".txt", ".json", ".doc"),
    "",
)
MAGIC: Final = {
    ".pdf": b"%PDF-1.7\n",
    ".docx": b"PK\x03\x04",
    ".xlsx": b"PK\x03\x04",
    ".pptx": b"PK\x03\x04",
    ".epub": b"PK\x03\x04",
    ".doc": bytes.fromhex("D0CF11E0A1B11AE1"),
    ".html": b"<!doctype html>",
    ".txt": b"\xff\xfe",
    ".md": b"---\n",
}
ODD: Final = (
    *(b"\0", b"\xff" * 4, b"\x80", b"-1", b"0", b"65536", b"2147483648", b"18446744073709551616", b"9" * 400, b"1e309"),
    *(b"<", b">", b"&", b"&a;", b"]]>", b"<!--", b"\"'", b"{", b"[" * 300, b"<div>" * 300, b"\xf0\x9f\x98", b"../../x"),
    *(b"endobj", b"stream\n", b"obj <<", b"/Length 1", b"/Filter/LZWDecode", b"1 0 R", b"%%EOF", b"\r", b"\xc2\x85"),
)


def flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 4, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut_off(data: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.7:
        del data[chance.randrange(len(data)) :]
    else:
        del data[: chance.randrange(len(data))]


def repeat_block(data: bytearray, chance: random.Random) -> None:
    start, end = _span(data, chance)
    data[start:start] = data[start:end] * chance.choice((1, 1, 3, 50))


def drop_block(data: bytearray, chance: random.Random) -> None:
    start, end = _span(data, chance)
    del data[start:end]


def insert_oddity(data: bytearray, chance: random.Random) -> None:
    start, end = _span(data, chance)
    data[start : chance.choice((start, end))] = chance.choice(ODD)


def replace_number(data: bytearray, chance: random.Random) -> None:
    found = list(re.finditer(rb"[0-9]+", data[:200_000]))
    if found:
        start, end = chance.choice(found).span()
        data[start:end] = chance.choice(ODD[3:10]) if chance.random() < 0.6 else b"%d" % chance.randrange(300)


def swap_names(data: bytearray, chance: random.Random) -> None:
    """Put one of the file's own names, of tags, attributes, or PDF's, in place of another."""
    found = list(re.finditer(rb"[A-Za-z:/]{2,24}", data[:200_000]))
    if found:
        (start, end), other = chance.choice(found).span(), chance.choice(found)[0]
        data[start:end] = other


def splice(data: bytearray, chance: random.Random, other: bytes) -> None:
    start, end = _span(data, chance)
    first, last = _span(bytearray(other), chance)
    data[start:end] = other[first:last]


CHANGES: Final = (flip_bits, cut_off, repeat_block, drop_block, insert_oddity, replace_number, swap_names)


def _span(data: bytearray, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + int(2 ** chance.uniform(0, 14)))


def changed(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return data after one to four changes."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if chance.random() < 0.1:
            splice(result, chance, chance.choice(others))
        elif result:
            chance.choice(CHANGES)(result, chance)
    return bytes(result)


def changed_within(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return an archive with something changed in the files that it holds, packed again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = {name: old.read(name) for name in old.namelist()}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError):
        return changed(data, others, chance)
    marked_up = [name for name in members if members[name].lstrip()[:1] == b"<"] or list(members)
    for name in chance.choices(marked_up, k=chance.choice((1, 1, 2))):
        members[name] = changed(members[name], list(members.values()), chance)
    if chance.random() < 0.1:
        del members[chance.choice(marked_up)]
    return archive(members)


def make(number: int, seed: int, seeds: dict[str, bytes]) -> tuple[str, bytes]:
    """Return the name and content of an input; the same for the same numbers."""
    chance = random.Random(f"{seed} {number}")
    name = chance.choice(list(seeds))
    others = list(seeds.values())
    if chance.random() < 0.03:
        suffix = chance.choice(list(MAGIC))
        return f"random{suffix}", MAGIC[suffix] + chance.randbytes(chance.randrange(4_000))
    is_archive = seeds[name].startswith(b"PK")
    change = changed_within if is_archive and chance.random() < 0.8 else changed
    if chance.random() < 0.05:
        name += chance.choice(SUFFIXES)
    return name, change(seeds[name] if name in seeds else chance.choice(others), others, chance)
