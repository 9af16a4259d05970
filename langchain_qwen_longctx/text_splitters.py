"""Documents to chunks that fit a number of Qwen tokens, each a verbatim slice with stable offsets and id."""

from __future__ import annotations

import re
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.documents import Document
from langchain_text_splitters import TextSplitter

from langchain_qwen_longctx.config import MIN_CHUNK_TOKENS
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.sentences import Sentence, best_cut, iter_sentences, sentence_spans, skip_space, trim_end
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_qwen_longctx.text_blocks import Border

__all__ = ["QwenTextSplitter", "sentence_spans"]

# From this share of the limit on, a chunk ends at the best border there is instead of taking what still fits.
FULL_ENOUGH = 0.6

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _Piece(NamedTuple):
    """Text that is never divided between chunks; its tokens include the whitespace before it."""

    start: int
    end: int
    border: Border
    tokens: int


class QwenTextSplitter(TextSplitter):
    """Splits text into chunks of at most a number of Qwen tokens, without overlap.

    Chunks are verbatim slices that end, if possible, where a section, paragraph, line or sentence does, and keep a
    heading with the text below it. Together they hold every non-whitespace character, once and in order. The limit
    holds for any input: what has no borders is cut between words or characters.

    A lone surrogate, which no tokenizer can encode, stays in the text and counts as U+FFFD would.

    Args:
        chunk_tokens: Most tokens a chunk may have, at least 16. 512 is the chunk size of the Qwen-Agent article.

    Raises:
        InputError: `chunk_tokens` is below 16.
    """

    def __init__(self, chunk_tokens: int = 512) -> None:
        if chunk_tokens < MIN_CHUNK_TOKENS:
            msg = f"chunk_tokens is {chunk_tokens}, but a chunk needs at least {MIN_CHUNK_TOKENS}; 512 is the default."
            raise InputError(msg)
        super().__init__(chunk_size=chunk_tokens, chunk_overlap=0, length_function=count_tokens)
        self.chunk_tokens = chunk_tokens

    def split_text(self, text: str) -> list[str]:
        """Return the chunks of a text."""
        return [text[start:end] for start, end in self.chunk_spans(text)]

    def chunk_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the half-open character spans of a text's chunks, in order; none for a blank text."""
        # Same length, so offsets carry over.
        countable = _LONE_SURROGATE.sub("\ufffd", text)
        coming = _pieces(countable, self.chunk_tokens)
        pieces: list[_Piece] = []
        spans = []
        # Each of them has a token, so that these are enough to know where the chunk ends. A text may have millions.
        while pieces := [*pieces, *islice(coming, self.chunk_tokens + 1 - len(pieces))]:
            last = self._end_of_chunk(countable, pieces)
            spans.append((pieces[0].start, pieces[last - 1].end))
            pieces = pieces[last:]
        return spans

    def split_documents(self, documents: Iterable[Document]) -> list[Document]:
        """Return the chunks of documents, with where they come from.

        The text of a source is the concatenation of its documents' contents in the given order, and offsets count from
        its beginning; a chunk never crosses from one document into the next.

        Args:
            documents: Files, pages or sheets, with `source` and `page` in their metadata. One without a source is
                called `document-1`, `document-2` and so on by its place in the list. They are not changed.

        Returns:
            Chunks with their document's metadata and `source`, `page` (None if unknown), `start`, `end`, and
            `chunk_id`: 16 hexadecimal digits that depend on source, start and text alone.
        """
        lengths: dict[str, int] = {}
        chunks: list[Document] = []
        for position, document in enumerate(documents, start=1):
            source = str(document.metadata.get("source") or f"document-{position}")
            offset = lengths.get(source, 0)
            lengths[source] = offset + len(document.page_content)
            chunks.extend(self._chunks_of(document, source, offset))
        return chunks

    def create_documents(self, texts: list[str], metadatas: list[dict[Any, Any]] | None = None) -> list[Document]:
        """Return the chunks of texts, as `split_documents` does for documents with this metadata."""
        metadatas = metadatas or [{}] * len(texts)
        return self.split_documents(
            Document(page_content=text, metadata=metadata) for text, metadata in zip(texts, metadatas, strict=True)
        )

    def _chunks_of(self, document: Document, source: str, offset: int) -> Iterator[Document]:
        for start, end in self.chunk_spans(document.page_content):
            text = document.page_content[start:end]
            where = {
                "source": source,
                "page": document.metadata.get("page"),
                "start": offset + start,
                "end": offset + end,
                "chunk_id": _chunk_id(source, offset + start, text),
            }
            yield Document(page_content=text, metadata=document.metadata | where)

    def _end_of_chunk(self, text: str, pieces: list[_Piece]) -> int:
        """Return how many of the pieces make up the chunk that begins with the first."""
        start = pieces[0].start
        last, tokens = 1, count_tokens(text[start : pieces[0].end])
        while last < len(pieces) and tokens + pieces[last].tokens <= self.chunk_tokens:
            tokens += pieces[last].tokens
            last += 1
        if last < len(pieces):
            last = self._best_end(pieces, last, tokens)
        # Tokens merge differently in the whole than in its pieces, so only the slice itself is proof.
        while last > 1 and count_tokens(text[start : pieces[last - 1].end]) > self.chunk_tokens:
            last -= 1
        return last

    def _best_end(self, pieces: list[_Piece], last: int, tokens: int) -> int:
        """Return the latest of the best borders among those that leave the chunk full enough."""
        best = last
        while last > 1:
            last -= 1
            tokens -= pieces[last].tokens
            if tokens < FULL_ENOUGH * self.chunk_tokens:
                break
            if pieces[last].border > pieces[best].border:
                best = last
        return best


def _pieces(text: str, max_tokens: int) -> Iterator[_Piece]:
    """Yield the sentences of a text, divided where one alone exceeds the limit."""
    previous_end = 0
    for sentence in iter_sentences(text):
        tokens = count_tokens(text[previous_end : sentence.end])
        # Without the space before it, its first word may have more tokens; it cannot be as many as half of the limit.
        if tokens > max_tokens // 2 and count_tokens(text[sentence.start : sentence.end]) > max_tokens:
            yield from _divide(text, sentence, max_tokens)
        else:
            yield _Piece(*sentence, tokens)
        previous_end = sentence.end


def _divide(text: str, sentence: Sentence, max_tokens: int) -> Iterator[_Piece]:
    """Yield a sentence in parts that each fit the limit."""
    start, end, border = sentence
    while start < end:
        limit = end
        while (tokens := count_tokens(text[start:limit])) > max_tokens:
            limit = max(start + 1, start + (limit - start) * max_tokens // (tokens + 1))
        cut, next_border = (end, border) if limit == end else best_cut(text, start, limit)
        yield _Piece(start, trim_end(text, start, cut), border, tokens)
        start, border = skip_space(text, cut, end), next_border


def _chunk_id(source: str, start: int, text: str) -> str:
    identity = f"{source}\0{start}\0{text}".encode("utf-8", "surrogatepass")
    return blake2b(identity, digest_size=8).hexdigest()
