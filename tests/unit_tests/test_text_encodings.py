"""From the bytes of any text to its chunks: nothing is lost, and every offset holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_qwen_longctx.document_loaders import load_bytes, source_text
from langchain_qwen_longctx.errors import DocumentError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_encodings import decode_html, decode_text
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

PIECES = st.sampled_from(
    [
        "The lamp. ",
        "灯亮了。",
        "\r\n",
        "\n\n",
        "\t",
        "\ufeff",
        "e\u0301",
        "🇨🇳",
        "\u2028",
        "\x0c",
        "# Head\n",
        "a,b;c\n",
        "x" * 99,
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
)
NAMES = st.sampled_from(["a.txt", "a.md", "a.csv", "a.html", "stdin", "a.json"])


def indexed(data: bytes, name: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Return the text of a document, and its chunks with their offsets, as an index has them."""
    documents = load_bytes(data, name)
    index = BilingualBM25Retriever.from_documents(QwenTextSplitter(16).split_documents(documents))
    return source_text(documents, name), [
        (chunk.page_content, chunk.metadata["start"], chunk.metadata["end"]) for chunk in index.docs
    ]


@settings(deadline=None, max_examples=300)
@given(TEXTS, NAMES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030"]))
def test_the_offsets_of_chunks_hold_for_any_text(text: str, name: str, encoding: str) -> None:
    try:
        whole, chunks = indexed(text.encode(encoding), name)
    except DocumentError:
        return
    assert all(whole[start:end] == chunk for chunk, start, end in chunks)
    assert "".join("".join(chunk for chunk, _, _ in chunks).split()) == "".join(whole.split())


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), NAMES)
def test_any_bytes_are_text_or_a_typed_error(data: bytes, name: str) -> None:
    try:
        whole, chunks = indexed(data, name)
    except DocumentError:
        return
    assert all(whole[start:end] == chunk for chunk, start, end in chunks)


@settings(deadline=None, max_examples=200)
@given(TEXTS.filter(lambda text: text.strip("\ufeff \t\r\n") != "" and "\0" not in text))
def test_utf_8_comes_back_as_it_was(text: str) -> None:
    assert decode_text(text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_text_of_which_a_byte_is_lost_is_no_text(encoding: str) -> None:
    assert decode_text("The lamp was lit.".encode(encoding)[:-1]) is None


def test_half_a_pair_of_utf_16_is_no_text() -> None:
    assert decode_text("\ufeffab".encode("utf-16-le") + b"\x00\xd8") is None


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "raw-unicode-escape", "utf-7", "idna", "PUNYCODE", "base64", "x" * 99]
)
def test_a_page_is_read_in_encodings_of_the_web_alone(charset: str) -> None:
    page = rf'<meta charset="{charset}">caf\ud800 +AGE-'

    assert decode_html(page.encode()) == page
