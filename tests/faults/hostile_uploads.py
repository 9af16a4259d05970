"""Uploads that are too large, too many, of a thousand parts, packed a thousandfold, or oddly named."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from hostile_documents import TYPES, WORD
from hostile_server import REFUSED, SMALL, Expected, attempt, is_well, town
from outcomes import Outcome, trial, wrong
from raw_http import BOUNDARY, Request, of_file, of_parts, send, text_of

from langchain_qwen_longctx.server import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials import Trial

LARGEST: Final = SMALL.max_files * SMALL.max_file_bytes
OUR_SIDE: Final = frozenset({201, *REFUSED})

NAMES: Final = (
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "/dev/null",
    "C:\\con.txt",
    "file:///etc/passwd",
    "a\0b.txt",
    "a\r\nSet-Cookie: x=1\r\n.txt",
    "\x1b[31mred\x07.txt",
    "\u202etxt.exe",
    "<script>alert(1)</script>.txt",
    '"; filename="b.txt',
    "\ud800.txt",
    "x" * 3000 + ".txt",
    "",
    " ",
    ".",
    "..",
    "-rf.txt",
    "%2e%2e%2f.txt",
    "{{7*7}}.txt",
)


def try_uploads(*, is_short: bool) -> Iterator[Trial]:
    """Send all of them."""
    with town(ServerSettings(upload=SMALL)) as url:
        yield trial("too large, too many, declared so or not", [_judged(url, r, {413, 422}) for r in _too_much()])
        forms = _bad_forms(is_short=is_short)
        yield trial("forms of a hundred thousand parts, without end, without names", [_judged(url, r) for r in forms])
        yield trial("names with folders, control characters, scripts", [_named(url, name) for name in NAMES])
        yield trial("archives that unpack to gigabytes, and archives in archives", [_judged(url, r) for r in _bombs()])
    yield _crowd(is_short=is_short)


def _judged(url: str, request: Request | bytes, statuses: set[int] | frozenset[int] = OUR_SIDE) -> Outcome:
    outcome = attempt(url, request, Expected(statuses, unspoken=b"Traceback"))
    return outcome if outcome.is_right and is_well(url) else wrong(f"{outcome.verdict}, and nobody else is answered")


def _too_much() -> Iterator[Request | bytes]:
    large = b"x" * (SMALL.max_file_bytes + 1)
    yield of_parts([of_file("a.txt", large)])
    yield of_parts(of_file(f"{n}.txt", b"A word.") for n in range(SMALL.max_files + 1))
    yield of_parts(of_file(f"{n}.txt", b"x" * (LARGEST // 4)) for n in range(10))
    yield of_parts([of_file("a.txt", b"x" * SMALL.max_file_bytes) for _ in range(SMALL.max_files)])
    yield Request("/collections", b"", headers={"Content-Length": "99999999999999999999"})
    head = b"POST /collections HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
    begin = f"--{BOUNDARY}\r\n".encode() + of_file("a.txt", b"")
    chunks = [begin, *[b"x" * 65536] * (LARGEST // 65536 + 40)]
    yield head + kind + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def _bad_forms(*, is_short: bool) -> Iterator[Request | bytes]:
    many = 2_000 if is_short else 100_000
    yield of_parts(of_file(f"{n}.txt", b"") for n in range(many))
    yield of_parts(b'Content-Disposition: form-data; name="files"\r\n\r\nx' for _ in range(many))
    yield of_parts(b"Content-Disposition: form-data\r\n\r\nx" for _ in range(10))
    yield of_parts([b"\r\n\r\nx"])
    yield of_parts([b'Content-Disposition: form-data; name="other"; filename="a.txt"\r\n\r\nx'])
    yield of_parts([b"Content-Disposition: form-data; name=\"files\"; filename*=utf-8''%FF%FE\r\n\r\nx"])
    yield of_parts([b"X: y\r\n" * 50_000 + of_file("a.txt", b"A word.")])
    yield of_parts([b"X: " + b"y" * 900_000 + b"\r\n" + of_file("a.txt", b"A word.")])
    whole = bytes(of_parts([of_file("a.txt", b"A word.")]))
    body = whole.partition(b"\r\n\r\n")[2]
    for kind in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 5000}",
        f"multipart/form-data; boundary={BOUNDARY}; charset=utf-7",
        f"multipart/form-data; boundary={BOUNDARY}; charset=unicode_escape",
        f"multipart/form-data; boundary={BOUNDARY}; charset=undefined",
        f"multipart/form-data; boundary={BOUNDARY}; charset=zlib",
        f"multipart/mixed; boundary={BOUNDARY}",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
    ):
        yield Request("/collections", body, headers={"Content-Type": kind})
    for cut in (1, len(body) // 2, len(body) - 3):
        yield Request("/collections", body[:cut], headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})


def _named(url: str, name: str) -> Outcome:
    reply = send(url, of_parts([of_file(name, b"A word of no interest.")]))
    if reply.status in REFUSED:
        return Outcome(str(reply.status))
    if reply.status != 201:
        return wrong(f"{name!r}: {reply.status} {reply.body[:80]!r}")
    told = text_of(reply)
    kept = told["documents"][0]["source"]
    send(url, Request(f"/collections/{told['id']}", method="DELETE"))
    is_safe = kept and kept.isprintable() and not set(kept) & set("/\\") and len(kept) <= 200
    is_its_header = "set-cookie" in reply.headers
    return Outcome("201, safely named") if is_safe and not is_its_header else wrong(f"{name!r} became {kept!r}")


def _bombs() -> Iterator[Request]:
    begin = f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>'.encode()
    types = {"[Content_Types].xml": TYPES.encode()}
    yield of_parts([of_file("bomb.docx", packed({**types, "word/document.xml": begin}, 100_000_000))])
    yield of_parts([of_file("bomb.xlsx", packed({**types, "xl/workbook.xml": b"<workbook/>"}, 150_000_000))])
    yield of_parts([of_file("bomb.epub", packed({"META-INF/container.xml": b"<container/>"}, 150_000_000))])
    inner = packed({"a.txt": b"x" * 100_000}, 0)
    for _ in range(4):
        inner = packed({f"{n}.zip": inner for n in range(10)}, 0)
    yield of_parts([of_file("nest.zip", inner)])
    lies = bytearray(packed({**types, "word/document.xml": begin}, 0))
    place = lies.rindex(b"PK\x01\x02")
    # It says that it packs four gigabytes into as many.
    lies[place + 20 : place + 28] = b"\xfe" * 8
    yield of_parts([of_file("lies.docx", bytes(lies))])


def packed(members: dict[str, bytes], further: int) -> bytes:
    """Return an archive, the last member with so many spaces more."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            is_last = name == list(members)[-1]
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(data)
                for _ in range(further // 1_000_000 if is_last else 0):
                    member.write(b" " * 1_000_000)
    return buffer.getvalue()


def _crowd(*, is_short: bool) -> Trial:
    """Upload far more than there is room for, side by side, and see that the limits hold."""
    text = b"The tide stood at four feet. " * (SMALL.max_file_bytes // 30)
    request = of_parts([of_file(f"{n}.txt", text) for n in range(2)])
    count = 9 if is_short else 60
    with town(ServerSettings(upload=SMALL)) as url:
        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(lambda _: send(url, request, timeout=120), range(count)))
            wells = list(pool.map(lambda _: is_well(url), range(4)))
        figures = send(url, Request("/metrics", method="GET")).body.decode()
    kept = float(figures.partition("\nlongctx_collections ")[2].split("\n")[0])
    outcomes = [
        Outcome(str(reply.status))
        if reply.status == 201 or (reply.status == 503 and "retry-after" in reply.headers)
        else wrong(f"{reply.status} {reply.body[:80]!r}")
        for reply in replies
    ]
    outcomes += [Outcome("others answered") if well else wrong("others not answered") for well in wells]
    size = sum(len(json.dumps(text.decode())) for _ in range(2))
    if kept > min(SMALL.max_collections, SMALL.max_total_bytes // size + 1):
        outcomes.append(wrong(f"{kept:g} collections are kept"))
    return trial(f"{count} uploads at once, several times the room that there is", outcomes)
