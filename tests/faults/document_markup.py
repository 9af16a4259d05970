"""XML that would grow without end or have its reader open something, in every format that is made of XML; HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from document_archives import MAIN_PARTS, main_part, with_parts
from document_cases import Case
from fuzz_seeds import BOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

LAUGHS: Final = 12
PLACES: Final = {".docx": "cell 0", ".xlsx": "Name", ".pptx": "Results", ".epub": "First."}
XINCLUDE: Final = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{}" parse="text"/>'


def entities(secret: str, address: str) -> dict[str, str]:
    """Return document type declarations that give `&e;` a meaning, by what they do.

    Args:
        secret: URI of a file that must not be read.
        address: URL that must not be called.
    """
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, LAUGHS))
    return {
        "laughs": f'<!ENTITY l0 "ha">{laughs}<!ENTITY e "&l{LAUGHS - 1};">',
        "quadratic": f'<!ENTITY a "{"a" * 100_000}"><!ENTITY e "{"&a;" * 20_000}">',
        "itself": '<!ENTITY e "&f;"><!ENTITY f "&e;">',
        "file": f'<!ENTITY e SYSTEM "{secret}">',
        "address": f'<!ENTITY e SYSTEM "{address}">',
        "parameter": f'<!ENTITY % p SYSTEM "{address}"> %p; <!ENTITY e "x">',
    }


def attacks(secret: str, address: str, said: str) -> Iterator[Case]:
    """Yield documents of every format with these and some more; each may be refused, or read without what is said."""
    for name, data in _attacks(secret, address):
        yield Case(name, data, ".|", lacks=said)


def _attacks(secret: str, address: str) -> Iterator[tuple[str, bytes]]:
    for suffix in MAIN_PARTS:
        body = _without_declaration(main_part(suffix))
        for name, declared in entities(secret, address).items():
            prolog = f"<!DOCTYPE x [{declared}]>"
            yield (f"{name}{suffix}", with_parts(suffix, {"main": prolog + body.replace(PLACES[suffix], "&e;")}))
            attribute = body.replace("<", '<x a="&e;"/><', 3)[len('<x a="&e;"/>') :]
            yield (f"{name}-attribute{suffix}", with_parts(suffix, {"main": prolog + attribute}))
        fetched = f'<!DOCTYPE x SYSTEM "{address}">'
        yield (f"type{suffix}", with_parts(suffix, {"main": fetched + body}))
        for uri in (secret, address):
            included = body.replace(PLACES[suffix], PLACES[suffix] + XINCLUDE.format(uri))
            yield (f"include-{uri[:4]}{suffix}", with_parts(suffix, {"main": included}))
    for name, declared in entities(secret, address).items():
        prolog = f"<!DOCTYPE x [{declared}]>"
        for part in ("META-INF/container.xml", "OPS/b.opf"):
            xml = prolog + BOOK[part].replace("<rootfiles>", "<rootfiles>&e;").replace("<manifest>", "<manifest>&e;")
            yield (f"{name}-{part[-3:]}.epub", with_parts(".epub", {part: xml}))
        yield (f"{name}.html", f"{prolog}<p>&e; {XINCLUDE.format(secret)} text</p>".encode())
        yield (f"{name}.xhtml", f'<?xml version="1.0"?>{prolog}<html><p title="&e;">&e; text</p></html>'.encode())


def _without_declaration(xml: str) -> str:
    return xml[xml.index("?>") + 2 :] if xml.startswith("<?xml") else xml


def pages(size: int) -> Iterator[Case]:
    """Yield HTML that is nested, unclosed, or wide, of about so many tags; all of it is read."""
    opened = {
        "div": "<div>",
        "font": "<font>",
        "list": "<ul><li>",
        "table": "<table><tr><td>",
        "quote": "<blockquote><q>",
        "form": "<form><b><i>",
    }
    for name, tags in opened.items():
        yield Case(f"{name}.html", f"{tags * size}deep text".encode(), holds="deep text")
        yield Case(f"{name}-after.html", f"<p>x</p>{tags * size}a<p>deep text</p>".encode(), holds="deep text")
    closed = "<table><tr><td>" * size + "deep text" + "</td></tr></table>" * size
    yield Case("tables.html", closed.encode(), holds="deep text")
    yield Case("headings.html", f"<p>deep text</p>{'<h1 ' * size}".encode(), holds="deep text")
    yield Case("spaces.html", f"<pre>deep text a{' ' * size}b</pre>".encode(), holds="deep text")
    yield Case("bars.html", f"<pre>deep text\n{'|' * size}x</pre>".encode(), holds="deep text")
    yield Case("bold.html", f"<p>deep text {'<b>x</b>' * size}".encode(), holds="deep text xxx")
    yield Case("attributes.html", f"<p {' '.join(f'a{n}' for n in range(size))}>deep text".encode(), holds="deep text")
    rows = "<tr><td>deep text<td>c" * size
    yield Case("wide.html", f"<table>{rows}<tr><td>{'b' * size}</table>".encode(), holds="deep text | c")
    yield Case(
        "tall.html", f"<table><tr>{'<td>deep text' * size}<td>{'a<br>' * size}</table>".encode(), holds="deep text"
    )
    margin = "<p style='margin-top: 99999em; padding-left: 99999em'>deep text</p>"
    yield Case("margins.html", (margin * size).encode(), holds="deep text")
    yield Case("comments.html", f"deep text{'<!--' * size}".encode(), holds="deep text")
    yield Case("ampersands.html", f"deep text{'&' * size}".encode(), holds="deep text")
    charset = f'<meta charset="punycode"><p>deep text</p>-{"zzzzza9b" * size}'
    yield Case("punycode.html", charset.encode(), holds="deep text")
