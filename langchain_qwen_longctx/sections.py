"""What the readers of all formats share: the sections that they give, the most text that they give, how they fail."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from langchain_qwen_longctx.errors import BrokenDocumentError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_CHARACTERS: Final = 100_000_000
"""Most text in a document, some 25 million tokens. A file need not be large to say more: a sheet may point at one long
text from a million cells, and a cell may be merged over a million rows."""

MAX_SAID: Final = 200
"""Characters of a parser's own message that are passed on."""


class Section(NamedTuple):
    """A page, a slide, a sheet, or a whole file, as plain text."""

    text: str
    page: int | None = None
    sheet: str | None = None


def limited(texts: Iterable[str], source: str) -> Iterator[str]:
    """Yield texts as they come, for as long as they fit in a document together.

    Raises:
        BrokenDocumentError: They do not.
    """
    left = MAX_CHARACTERS
    for text in texts:
        left -= len(text) + 1
        if left < 0:
            raise too_long(source)
        yield text


def too_long(source: str) -> BrokenDocumentError:
    """Return the error of a document with more text than `MAX_CHARACTERS`."""
    return BrokenDocumentError(source, f"has more than {MAX_CHARACTERS:,} characters of text; divide it")


@contextmanager
def damage_reported(source: str, kind: str) -> Iterator[None]:
    """Turn whatever a parser raises on a malformed file into a `BrokenDocumentError`.

    python-docx, python-pptx, openpyxl and lxml have no error tree: a damaged part surfaces as KeyError, TypeError,
    AttributeError, zlib.error, SyntaxError and more, so this is the one place that catches them all.
    """
    try:
        yield
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        # Parsers repeat what they did not like, which may be anything, and of any length.
        said = "".join(character if character.isprintable() else " " for character in str(error)[:MAX_SAID])
        problem = f"this {kind} is damaged ({type(error).__name__}: {said}); open it in its program and save it again"
        raise BrokenDocumentError(source, problem) from error
