"""Bytes to text: whichever encoding a file is in, the right one is found or none is.

UTF-8 is what most files are in and comes back character for character; the others are recognised by their marks, by
what a web page declares, and at last by what the result reads like.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

# Browsers look for a declaration in the first 1024 bytes; long comments push it further down.
_DECLARATION_BYTES = 4096
_HTML_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]+?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
# What browsers read for these names: https://encoding.spec.whatwg.org/#names-and-labels
_BROWSER_ENCODINGS = {
    **dict.fromkeys(("gb2312", "gbk", "gb_2312-80", "x-gbk"), "gb18030"),
    **dict.fromkeys(("iso-8859-1", "latin1", "ascii", "us-ascii"), "cp1252"),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be"), "utf-8"),
}
# Python knows more than the web: one takes a time that grows with the square of the length, some give half characters.
_NOT_ON_THE_WEB = frozenset(("idna", "punycode", "raw_unicode_escape", "unicode_escape", "utf_7"))
_UNICODE_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)

# More NULs than this are UTF-16 or no text; UTF-16 of Latin text without a mark comes near a half.
_MAX_NUL_SHARE = 0.1
_MIN_UTF16_NUL_SHARE = 0.3
_MAX_CONTROL_SHARE = 0.05
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\b\x1b"))


def decode_text(data: bytes) -> str | None:
    """Return the text that bytes hold, byte order mark and line ends included, or None if they are no text."""
    for decode in (_decode_utf8, _decode_utf16, _decode_damaged_utf8, _decode_gb18030, _decode_by_statistics):
        if (text := decode(data)) is not None:
            return text
    return None


def decode_html(data: bytes) -> str | None:
    """Return the text of an HTML page, in the encoding that it declares if that fits, or None if it is no text."""
    declared = None if data.startswith(_UNICODE_MARKS) else _HTML_CHARSET.search(data[:_DECLARATION_BYTES])
    if declared:
        encoding = declared[1].decode().lower()
        with suppress(LookupError, UnicodeError):
            known = codecs.lookup(_BROWSER_ENCODINGS.get(encoding, encoding)).name
            if known.replace("-", "_") not in _NOT_ON_THE_WEB:
                return data.decode(known)
    return decode_text(data)


def looks_binary(data: bytes) -> bool:
    """Tell whether the bytes at the beginning of a file are of a picture, a program and the like, not of text."""
    if b"\0" in data:
        return not _decode_utf16(data[: len(data) // 4 * 4])
    return len(data) - len(data.translate(None, _CONTROLS)) > _MAX_CONTROL_SHARE * len(data)


def _decode_utf8(data: bytes) -> str | None:
    if data.count(0) > _MAX_NUL_SHARE * len(data):
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _decode_utf16(data: bytes) -> str | None:
    """Decode UTF-16 or UTF-32 by its mark, or UTF-16 by the NULs in every other byte of Latin text."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        encoding = "utf-32"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        even, odd = data[::2].count(0), data[1::2].count(0)
        if max(even, odd) < _MIN_UTF16_NUL_SHARE * len(data) or min(even, odd) * 10 > max(even, odd):
            return None
        encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if any(control in text for control in "\0\x01\x02\x03") else text


def _decode_damaged_utf8(data: bytes) -> str | None:
    """Decode UTF-8 of which a few bytes are lost, as in logs that are cut: most other characters must be intact."""
    if looks_binary(data):
        return None
    text = data.decode("utf-8", errors="replace")
    others = sum(character > "\x7f" for character in text)
    return text if text.count("\ufffd") * 20 < others else None


# The commonest characters of modern Chinese, simplified: they make up a third of any longer text.
_COMMON_HANZI = frozenset(
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下过天能对小多然于"
)


def _decode_gb18030(data: bytes) -> str | None:
    """Decode GB18030 where the result reads like Chinese, as nearly any bytes decode to some Chinese characters."""
    if looks_binary(data):
        return None
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    others = [character for character in text[:100_000] if character > "\x7f"]
    # The first plane of GB2312, without its rare characters, has both bytes above A0 and the first below D8.
    usual = sum("\xa1" <= character.encode("gb18030").decode("latin-1")[0] <= "\xd7" for character in others)
    common = sum(character in _COMMON_HANZI for character in others)
    is_short = len(others) < 50  # noqa: PLR2004
    return text if usual >= 0.9 * len(others) and (is_short or common >= 0.05 * len(others)) else None


def _decode_by_statistics(data: bytes) -> str | None:
    if looks_binary(data):
        return None
    from charset_normalizer import from_bytes  # noqa: PLC0415

    best = from_bytes(data).best()
    return None if best is None else str(best)
