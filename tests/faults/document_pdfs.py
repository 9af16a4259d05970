"""PDFs that are written by hand, most of them to do harm."""

from __future__ import annotations

import zlib
from typing import Final

CATALOG: Final = b"<< /Type /Catalog /Pages 2 0 R >>"
FONT: Final = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
FLATE: Final = b"/Filter /FlateDecode"
FORM: Final = b"/Type /XObject /Subtype /Form /BBox [0 0 600 700] "
ENCRYPT: Final = b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%b> /U <%b> >>" % (b"41" * 32, b"42" * 32)


def pdf(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """Return a file of objects, numbered from 1, of which the first is the catalog."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, start)
    return bytes(out)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object."""
    return b"<< /Length %d %b >> stream\n%b\nendstream" % (len(content), entries, content)


def packed(unit: bytes, size: int) -> bytes:
    """Return a stream object that unpacks to so many bytes of one unit after the other."""
    piece, packer = unit * max(1, (1 << 20) // len(unit)), zlib.compressobj(9)
    pieces = [packer.compress(piece) for _ in range(max(1, size // len(piece)))]
    return stream(b"".join([*pieces, packer.flush()]), FLATE)


def words(text: str) -> bytes:
    """Return the drawing of a text, a line of Helvetica for each of its lines."""
    lines = b"".join(b"(%b) Tj T* " % line.encode() for line in text.split("\n") if line)
    return b"BT /F1 12 Tf 14 TL 50 700 Td %bET" % lines


def page(content: int, resources: bytes = b"") -> bytes:
    """Return a page object with the content of another object."""
    fonts = b"/Resources << /Font << /F1 3 0 R >> %b >>" % resources
    return b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R %b >>" % (content, fonts)


def tree(kids: bytes, count: int) -> bytes:
    """Return the object of the page tree."""
    return b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, count)


def hello(*texts: str, encrypt: bool = False) -> bytes:
    """Return a harmless file with a page for each text."""
    objects = [CATALOG, b"", FONT]
    for text in texts:
        objects += [stream(words(text)), page(len(objects) + 1)]
    objects[1] = tree(b" ".join(b"%d 0 R" % (5 + 2 * number) for number in range(len(texts))), len(texts))
    if not encrypt:
        return pdf(objects)
    return pdf([*objects, ENCRYPT], b"/Encrypt %d 0 R /ID [<00><00>]" % (len(objects) + 1))


def one_page(content: bytes, *more: bytes, resources: bytes = b"") -> bytes:
    """Return a file of one page with a stream object, number 4, as its content, and further objects from 6 on."""
    return pdf([CATALOG, tree(b"5 0 R", 1), FONT, content, page(4, resources), *more])


def many_pages(count: int) -> bytes:
    """Return a file of as many pages with one content."""
    pages = [page(4)] * count
    kids = b" ".join(b"%d 0 R" % (5 + number) for number in range(count))
    return pdf([CATALOG, tree(kids, count), FONT, stream(words("A page of text.")), *pages])


def bombs(size: int) -> dict[str, bytes]:
    """Return files that take far more to read than they weigh, by what they do.

    Args:
        size: Bytes to which streams unpack.
    """
    drawing = words("deep") + b" /X Do /X Do"
    itself = b"<< %b/Resources << /Font << /F1 3 0 R >> /XObject << /X 6 0 R >> >> /Length %d >> stream\n%b\nendstream"
    return {
        "a form that draws itself twice": one_page(
            stream(b"/X Do"), itself % (FORM, len(drawing), drawing), resources=b"/XObject << /X 6 0 R >>"
        ),
        "spaces": one_page(packed(b" ", size)),
        "texts": one_page(packed(words("deep") + b"\n", size)),
        "saved states": one_page(packed(b"q ", size)),
        "lines": one_page(packed(b"0 0 m 1 1 l S\n", size)),
        "a stream packed twice": one_page(
            stream(zlib.compress(zlib.compress(b" " * size, 9), 9), b"/Filter [/FlateDecode /FlateDecode]")
        ),
    }


def oddities() -> dict[str, bytes]:
    """Return files with a structure that leads nowhere, by what is odd."""
    content = stream(words("A page of text."))
    nested = b"<< /Type /Catalog /Pages 2 0 R /X %b%b >>" % (b"[" * 100_000, b"]" * 100_000)
    return {
        "a page tree that has itself as a page": pdf(
            [CATALOG, tree(b"2 0 R 5 0 R " * 50, 100), FONT, content, page(4)]
        ),
        "one page a hundred thousand times": pdf([CATALOG, tree(b"5 0 R " * 10_000, 10_000), FONT, content, page(4)]),
        "a million pages that are not there": pdf([CATALOG, tree(b"5 0 R", 1_000_000), FONT, content, page(4)]),
        "two billion pages": pdf([CATALOG, tree(b"5 0 R", 2_000_000_000), FONT, content, page(4)]),
        "arrays in arrays": pdf([nested, tree(b"5 0 R", 1), FONT, content, page(4)]),
        "a hundred thousand filters": one_page(
            stream(words("deep"), b"/Filter [ %b]" % (b"/ASCIIHexDecode " * 100_000))
        ),
        "no objects": pdf([CATALOG]),
        "a trailer alone": b"%PDF-1.7\ntrailer << /Root 1 0 R >>\nstartxref\n0\n%%EOF",
        "a password": hello("secret", encrypt=True),
    }
