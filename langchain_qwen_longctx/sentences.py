"""Where sentences begin and end in Chinese and English text, as character spans.

Rules instead of a model: they run at several million characters a second and the same text always gives the same
spans. Text is taken line by line first (`text_blocks`), and then sentence by sentence inside the lines that belong
together.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

from langchain_qwen_longctx.text_blocks import Border, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

# About 200 Qwen tokens in either language: 800 English or 270 Chinese characters.
MAX_SENTENCE_BYTES = 800
# From this many characters on, a full-width semicolon ends a sentence; before, it only separates its clauses.
LONG_ENOUGH_FOR_SEMICOLON = 100
MAX_NUMBERING = 24


class Sentence(NamedTuple):
    """A sentence, or a clause of a very long one, without surrounding whitespace.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last character.
        border: What separates it from the sentence before.
    """

    start: int
    end: int
    border: Border


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the character spans of a text's sentences.

    Each list item, table row and heading is a sentence of its own; so is each clause group of a sentence beyond
    `MAX_SENTENCE_BYTES`. A line break inside hard-wrapped prose does not end a sentence; a blank line always does.

    Args:
        text: Chinese, English or mixed text, with any kind of line ends.

    Returns:
        Half-open spans in order, without overlap or surrounding whitespace, covering every non-whitespace character.
    """
    return [(sentence.start, sentence.end) for sentence in iter_sentences(text)]


def iter_sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text together with the borders between them.

    Args:
        text: Chinese, English or mixed text.

    Yields:
        The sentences of `sentence_spans`, in order.
    """
    for block in blocks(text):
        border = block.border
        for start, end in [block[:2]] if block.is_whole else _sentences_of_block(text, block.start, block.end):
            for clause_start, clause_end in _clauses(text, start, end):
                yield Sentence(clause_start, clause_end, border)
                border = Border.CLAUSE
            border = Border.SENTENCE


_STOP = re.compile(
    r"(?P<mark>[.!?。！？｡．…;；]+)(?P<close>(?:\r?\n(?=[”’」』）]))?[\"'”’」』）)\]】〕》〉»*`]*)(?:\[\d{1,3}\])*"
    r"(?=(?P<space>\s*)[\"'“‘(\[«*「『（【《]*(?P<first>.?))",
    re.DOTALL,
)
"""Marks that may end a sentence, what closes after them, and, of what follows, the space and the first character."""
_CHINESE_STOPS = frozenset("。！？｡")
_WORD_CHARACTER = re.compile(r"\w")
_NON_SPACE = re.compile(r"\S")
_WORD_BEFORE = re.compile(r"(?:(?![\u2e80-\uffef])[\w.&’'-])*\Z")
_NUMBERING = re.compile(
    r"[-*+•#\s(（]*(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[ivxIVX]{1,5}"
    r"|(?:Figure|Fig\.|Table|Chapter|Section|Part|Appendix|Example|Box)\s+[\w.–-]{1,8})"
)


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# A name or an explanation follows: never the end of a sentence.
_TITLES = _words("""
    mr mrs ms dr drs prof gen col capt cpt lt sgt maj cmdr adm rev hon sen rep gov pres messrs mme mlle
    vs cf viz eg e.g ie i.e approx
""")
# A number follows.
_NUMBERED = _words("no nos fig figs eq eqs sec secs vol vols ch p pp art arts tab ref refs nr ca op cl para")
# These may end a sentence, and do before a word that often starts one. So may initials.
_SHORTENED = _words("""
    st mt ft al inc ltd co corp jr sr bros dept univ assn ave blvd rd est
    jan feb mar apr jun jul aug sep sept oct nov dec ph.d
""")
_INITIALS = re.compile(r"(?:[a-z]\.)*[a-z]\Z", re.IGNORECASE)
_STARTER = re.compile(
    r"(?:The|An?|He|She|It|They|We|You|I|This|That|These|Those|There|Then|In|On|At|By|For|From|With|Without|As|After"
    r"|Before|During|Since|While|When|Where|Who|What|Why|How|If|Although|Though|Because|But|And|Or|So|Yet|However"
    r"|Its|His|Her|Their|Our|Your|My|Some|Many|Most|All|Both|Each|Such|Other|One|Two|No|Not|Now|Here|According)\b(?!\.)"
)


def _sentences_of_block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the sentences of a block; leftovers without a word, such as a stray bracket, stay with the one before."""
    pending = start, start
    for begin, stop in pairwise(chain((start,), _stops(text, start, end), (end,))):
        if _WORD_CHARACTER.search(text, begin, stop) and pending[0] < pending[1]:
            yield pending
            pending = skip_space(text, begin, stop), pending[1]
        pending = pending[0], max(pending[1], trim_end(text, begin, stop))
    yield pending


def skip_space(text: str, start: int, end: int) -> int:
    """Return the offset of the first non-whitespace character in a span, or its end."""
    match = _NON_SPACE.search(text, start, end)
    return match.start() if match else end


def trim_end(text: str, start: int, end: int) -> int:
    """Return the end of a span without its trailing whitespace."""
    return start + len(text[start:end].rstrip())


def _stops(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the offsets after each stop that ends a sentence."""
    begin = start
    opened = _Opened(text, start)
    for match in _STOP.finditer(text, start, end):
        stop = _stop_end(text, begin, match, end, opened)
        if stop is not None:
            yield stop
            begin = skip_space(text, stop, end)


class _Opened:
    """The marks that open and close with the same character, counted along a text."""

    def __init__(self, text: str, start: int) -> None:
        self._text, self._counted = text, start
        self._quotes = self._bolds = 0

    def at(self, offset: int) -> str:
        """Return which of them are open at an offset, none before the last one asked for."""
        self._quotes += self._text.count('"', self._counted, offset)
        self._bolds += self._text.count("**", self._counted, offset)
        self._counted = offset
        return '"' * (self._quotes % 2) + "*" * (self._bolds % 2)


def _stop_end(text: str, begin: int, match: re.Match[str], end: int, opened: _Opened) -> int | None:
    """Return where the sentence that ends at a stop ends, or None if it goes on."""
    mark = match["mark"]
    if not _CHINESE_STOPS.isdisjoint(mark):
        return _chinese_stop_end(text, match, end, opened)
    if mark.strip(";；") == "":
        is_long = match.start() - begin >= LONG_ENOUGH_FOR_SEMICOLON
        return match.end("mark") if "；" in mark and is_long else None
    return match.end() if _english_stop_ends(text, begin, match) else None


def _english_stop_ends(text: str, begin: int, match: re.Match[str]) -> bool:
    """Tell by what follows whether an English stop ends its sentence: space, and no lower-case letter after a dot."""
    mark, close, space, first = match.groups()
    if not first or first in ".,;:!?，、；：)]" or not (space or _is_wide(first)):
        return False
    if not space and (close or mark.strip("…") == ""):
        return False
    if first.islower() and (close or mark[-1] in ".…．"):
        return False
    return mark != "." or bool(close) or not _is_abbreviation(text, begin, match)


def _chinese_stop_end(text: str, match: re.Match[str], end: int, opened: _Opened) -> int | None:
    first = match["close"].lstrip()[:1]
    if first and first in "》〉":
        return None
    # Marks that open and close with the same character belong to the next sentence unless one is open.
    if first and first in '"*' and first not in opened.at(match.start()):
        return match.end("mark")
    goes_on = match.end() < end and text[match.end()] in "，、；：,"
    return None if goes_on else match.end()


def _is_abbreviation(text: str, begin: int, match: re.Match[str]) -> bool:
    """Tell whether the dot belongs to the word before it instead of ending a sentence."""
    dot = match.start()
    found = _WORD_BEFORE.search(text, max(begin, dot - 24, text.rfind(" ", begin, dot) + 1), dot)
    word = found[0].casefold() if found else ""
    if word in _TITLES:
        return True
    if word in _NUMBERED:
        return match["first"].isdigit()
    if word in _SHORTENED or _INITIALS.match(word):
        return not _STARTER.match(text, skip_space(text, match.end(), len(text)))
    return dot - begin <= MAX_NUMBERING and _NUMBERING.fullmatch(text, begin, dot) is not None


def _is_wide(character: str) -> bool:
    return "\u2e80" <= character <= "\ua4cf" or "\uf900" <= character <= "\uffef" or character >= "\U00020000"


_CLAUSE_ENDS = (
    (Border.CLAUSE, re.compile(r"(?:[;:](?=\s)|[；：]|——)[”’」』）\"')]*")),
    (Border.CLAUSE, re.compile(r"(?:,(?=\s)|，|[.!?](?=\s)|…+)[”’」』）\"')]*")),
    (Border.WORD, re.compile(r"\s+|、")),
)


def _clauses(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a sentence whole, or cut at clause borders if it is too long to be a useful citation."""
    while (limit := _prefix_within(text, start, end)) < end:
        cut, _ = best_cut(text, start, limit)
        yield start, trim_end(text, start, cut)
        start = skip_space(text, cut, end)
    if start < end:
        yield start, end


def _prefix_within(text: str, start: int, end: int) -> int:
    if (end - start) * 4 <= MAX_SENTENCE_BYTES:
        return end
    window = text[start : min(end, start + MAX_SENTENCE_BYTES)]
    size = len(window.encode("utf-8", "surrogatepass"))
    return start + len(window) * min(MAX_SENTENCE_BYTES, size) // size


def best_cut(text: str, start: int, limit: int) -> tuple[int, Border]:
    """Return the best place to cut a piece of text in two, late in `text[start:limit]`.

    Args:
        text: The whole text.
        start: Where the piece begins.
        limit: The latest offset to cut at, at least `start + 1`.

    Returns:
        An offset in `(start, limit]` and what it cuts: a clause, a word border, or a run of characters, in which case
        it keeps what a reader sees as one character together wherever there is room to.
    """
    middle = (start + limit) // 2
    for border, pattern in _CLAUSE_ENDS:
        cut = max((match.end() for match in pattern.finditer(text, middle, limit) if match.end() > start), default=0)
        if cut > start:
            return cut, border
    cut = limit
    while cut > start and _is_inside_grapheme(text, start, cut):
        cut -= 1
    return (cut if cut > start else limit), Border.CHARACTER


# Zero-width joiner, skin tones, tags, and the vowels and final consonants of Hangul syllables.
_JOINED = re.compile("[\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u1160-\u11ff]")


def _is_inside_grapheme(text: str, start: int, cut: int) -> bool:
    """Tell whether a cut would divide what a reader sees as one character (a simple form of UAX #29)."""
    if cut >= len(text):
        return False
    before, after = text[cut - 1], text[cut]
    if _is_regional(before) and _is_regional(after):
        run = cut
        while run > start and _is_regional(text[run - 1]):
            run -= 1
        return (cut - run) % 2 == 1
    return (
        before == "\u200d"
        or (before == "\r" and after == "\n")
        or unicodedata.category(after) in ("Mn", "Mc", "Me")
        or _JOINED.match(after) is not None
    )


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
