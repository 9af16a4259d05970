"""Chunks fit, lose nothing, say where they come from, and end where a reader would pause."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.tokens import count_tokens

WORDS = st.sampled_from(["他说：“好。”", "公司章程", "；", "……", "Mr. Wu ", "The end. ", "3.14", "hello ", "# Title\n"])
LAYOUT = st.sampled_from(["\n", "\r\n", "\n\n", " ", "\t", "\u3000", "\n" * 60, "\n- ", "\n| a | b |\n"])
ODDITIES = st.sampled_from(["e\u0301\u0302", "👨\u200d👩\u200d👧\u200d👦", "🇨🇳", "x" * 99, "\u0301" * 40])
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
    st.lists(WORDS | LAYOUT | ODDITIES, max_size=60).map("".join),
)
LIMITS = st.sampled_from([16, 17, 40, 128])


@settings(deadline=None, max_examples=300)
@example("0:. Wu " + 91 * "x" + "🇨🇳", 16)
@example("0:. Wu " + 88 * "x" + "🇨🇳", 16)
@given(TEXTS, LIMITS)
def test_no_chunk_ever_exceeds_the_limit(text: str, chunk_tokens: int) -> None:
    assert all(count_tokens(chunk) <= chunk_tokens for chunk in QwenTextSplitter(chunk_tokens).split_text(text))


@settings(deadline=None, max_examples=300)
@given(TEXTS, LIMITS)
def test_chunks_are_trimmed_slices_in_order_that_hold_every_visible_character(text: str, chunk_tokens: int) -> None:
    position = 0
    for start, end in QwenTextSplitter(chunk_tokens).chunk_spans(text):
        assert not text[position:start].strip()
        assert text[start:end].strip() == text[start:end] != ""
        position = end
    assert not text[position:].strip()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["a.pdf", "b.txt", None]), TEXTS), max_size=5), LIMITS)
def test_offsets_count_from_the_beginning_of_the_source(pages: list[tuple[str | None, str]], chunk_tokens: int) -> None:
    documents = [Document(page_content=text, metadata={"source": source} if source else {}) for source, text in pages]
    chunks = QwenTextSplitter(chunk_tokens).split_documents(documents)
    for chunk in chunks:
        source = chunk.metadata["source"]
        whole = "".join(
            text for position, (name, text) in enumerate(pages, 1) if source in (name, f"document-{position}")
        )
        assert whole[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content
    for before, after in pairwise(chunks):
        assert before.metadata["source"] != after.metadata["source"] or (
            before.metadata["end"] <= after.metadata["start"]
        )


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_the_same_input_gives_the_same_distinct_ids(text: str) -> None:
    documents = [Document(page_content=text, metadata={"source": "a"}), Document(page_content=text)]
    ids = [chunk.metadata["chunk_id"] for chunk in QwenTextSplitter(16).split_documents(documents)]
    again = [chunk.metadata["chunk_id"] for chunk in QwenTextSplitter(16).split_documents(documents)]
    assert ids == again
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("chunk_tokens", [15, 0, -1])
def test_a_limit_below_sixteen_is_refused(chunk_tokens: int) -> None:
    with pytest.raises(InputError, match=f"chunk_tokens is {chunk_tokens},"):
        QwenTextSplitter(chunk_tokens)


def test_the_default_limit_is_that_of_the_article() -> None:
    assert QwenTextSplitter().chunk_tokens == 512


@pytest.mark.parametrize("text", ["", " \n\t\u3000\r\n"])
def test_a_blank_document_gives_no_chunks(text: str) -> None:
    assert QwenTextSplitter().split_documents([Document(page_content=text)]) == []


def test_a_short_text_is_one_chunk() -> None:
    assert QwenTextSplitter().split_text("\n One. \n\n二。\n") == ["One. \n\n二。"]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5000,
        "中" * 3000,
        "👨\u200d👩\u200d👧\u200d👦" * 300,
        "\u0301" * 3000,
        "𠮷" * 999,
        "\x00" * 999,
        ".," * 3000,
    ],
)
def test_text_without_borders_is_cut_to_fit(text: str) -> None:
    chunks = QwenTextSplitter(64).split_text(text)
    assert "".join(chunks) == text
    assert all(count_tokens(chunk) <= 64 for chunk in chunks)


def test_a_cut_keeps_what_looks_like_one_character() -> None:
    family = "👨\u200d👩\u200d👧\u200d👦"
    assert all(len(chunk) % len(family) == 0 for chunk in QwenTextSplitter(64).split_text(family * 300))


def test_a_lone_surrogate_stays_in_its_chunk() -> None:
    text = "坏的 \ud800 字符。" * 40
    (chunk, *rest) = QwenTextSplitter(64).split_documents([Document(page_content=text)])
    assert "".join([chunk.page_content, *(other.page_content for other in rest)]) == text
    assert len(chunk.metadata["chunk_id"]) == 16


@pytest.mark.parametrize("sentence", ["The committee met again in the evening. ", "委员会在晚上又开了一次会。"])
def test_a_nearly_full_chunk_ends_with_its_paragraph(sentence: str) -> None:
    first, second = sentence * 5, sentence * 5
    limit = count_tokens(first) * 4 // 3
    chunks = QwenTextSplitter(limit).split_text(f"{first.strip()}\n\n{second.strip()}")
    assert chunks == [first.strip(), second.strip()]


@pytest.mark.parametrize("sentence", ["The committee met again in the evening. ", "委员会在晚上又开了一次会。"])
def test_a_paragraph_that_does_not_fit_is_cut_between_sentences(sentence: str) -> None:
    chunks = QwenTextSplitter(64).split_text(sentence * 40)
    assert len(chunks) > 1
    assert all(chunk.endswith(sentence.strip()) and chunk.startswith(sentence[:5]) for chunk in chunks)


@pytest.mark.parametrize(
    "heading", ["# Evening", "Chapter 2", "第二章 总则", "The evening session", "有下列情形之一的："]
)
def test_a_heading_goes_with_the_text_that_follows(heading: str) -> None:
    paragraph = "The committee met again in the evening. " * 6
    text = f"{paragraph.strip()}\n\n{heading}\n\n{paragraph.strip()}"
    limit = count_tokens(f"{paragraph.strip()}\n\n{heading}\n\n") + 3
    assert QwenTextSplitter(limit).split_text(text) == [paragraph.strip(), f"{heading}\n\n{paragraph.strip()}"]


def test_a_chunk_carries_its_documents_metadata_and_its_own_place() -> None:
    pages = [
        Document(page_content="Page one.\n", metadata={"source": "a.pdf", "page": 1, "title": "A"}),
        Document(page_content=" Page two.", metadata={"source": "a.pdf", "page": 2, "title": "A"}),
    ]
    chunk = QwenTextSplitter().split_documents(pages)[1]
    assert chunk.page_content == "Page two."
    assert chunk.metadata == {
        "source": "a.pdf",
        "page": 2,
        "title": "A",
        "start": 11,
        "end": 20,
        "chunk_id": "d75eaf84c1d4d4bd",
    }


def test_a_document_without_a_source_is_called_by_its_place_in_the_list() -> None:
    documents = [
        Document(page_content="一。"),
        Document(page_content="b", metadata={"source": "b.txt"}),
        Document(page_content="c"),
    ]
    chunks = QwenTextSplitter().split_documents(documents)
    assert [chunk.metadata["source"] for chunk in chunks] == ["document-1", "b.txt", "document-3"]
    assert [chunk.metadata["page"] for chunk in chunks] == [None, None, None]


def test_the_input_is_not_changed() -> None:
    documents = [Document(page_content="一。", metadata={"page": 1})]
    before = copy.deepcopy(documents)
    QwenTextSplitter().split_documents(documents)
    assert documents == before


def test_create_and_transform_documents_give_the_same_chunks_as_split_documents() -> None:
    splitter = QwenTextSplitter(16)
    texts = ["One two three. " * 9, "一二三。" * 9]
    documents = [Document(page_content=text, metadata={"source": "a"}) for text in texts]
    expected = splitter.split_documents(documents)
    assert splitter.create_documents(texts, [{"source": "a"}] * 2) == expected
    assert list(splitter.transform_documents(documents)) == expected


def test_texts_without_metadata_are_called_by_their_place() -> None:
    chunks = QwenTextSplitter().create_documents(["one", "two"])
    assert [chunk.metadata["source"] for chunk in chunks] == ["document-1", "document-2"]
