"""Passages: every one a verbatim slice of a chunk, and so of its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.passages import (
    Passage,
    around_sentences,
    around_span,
    divide,
    join,
    rank_passages,
    split_passages,
    text_of,
    to_document,
)
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.tokens import count_tokens

ENGLISH = (
    "The board met on 3 May. Ada Brook took the chair. Tea was served at four. Dr. Lee paid 3.50 for it. All went home."
)
CHINESE = "望月桥建于1713年。主持修造的是石匠鲁守砚。桥长三十丈！两岸的人都来看了。"
CRLF = "The board met on 3 May.\r\nAda Brook took the chair.\r\nTea was served at four.\r\nAll went home."
TOWN, MILL = ENGLISH, "The mill stands by the river. It was sold in 1834. Its wheel no longer turns."
TOWN_ZH, MILL_ZH = f"{CHINESE}桥上还有一座亭子。", "磨坊在河边。1834年它被卖掉了。水轮早就不转了。"
TEXTS = st.text(alphabet="ab。.！ \r\n桥年", min_size=1, max_size=200).filter(str.strip)


def chunk_of(text: str, identifier: str = "a", start: int = 0) -> Document:
    return Document(text, metadata={"chunk_id": identifier, "source": "a.txt", "page": 3, "start": start})


def texts(passages: list[Passage], *chunks: Document) -> list[str]:
    return [text_of(passage, by_id(*chunks)) for passage in passages]


def by_id(*chunks: Document) -> dict[str, Document]:
    return {chunk.metadata["chunk_id"]: chunk for chunk in chunks}


@pytest.mark.parametrize(
    ("text", "max_tokens", "expected"),
    [
        (ENGLISH, 1000, [ENGLISH]),
        (
            ENGLISH,
            19,
            [
                "The board met on 3 May. Ada Brook took the chair.",
                "Tea was served at four. Dr. Lee paid 3.50 for it.",
                "All went home.",
            ],
        ),
        (CHINESE, 1, ["望月桥建于1713年。", "主持修造的是石匠鲁守砚。", "桥长三十丈！", "两岸的人都来看了。"]),
        (
            CRLF,
            14,
            ["The board met on 3 May.\r\nAda Brook took the chair.", "Tea was served at four.\r\nAll went home."],
        ),
    ],
    ids=["whole", "english", "single sentences", "windows newlines"],
)
def test_a_chunk_is_divided_between_sentences(text: str, max_tokens: int, expected: list[str]) -> None:
    chunk = chunk_of(text)

    assert texts(split_passages(chunk, max_tokens), chunk) == expected


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \n\n"])
@pytest.mark.parametrize(("first", "second"), [(TOWN, MILL), (TOWN_ZH, MILL_ZH)])
def test_no_passage_goes_from_a_paragraph_on_into_the_next(first: str, second: str, gap: str) -> None:
    chunk = chunk_of(first + gap + second)

    assert texts(split_passages(chunk), chunk) == [first, second]


@pytest.mark.parametrize(("first", "second"), [(TOWN, MILL), (TOWN_ZH, MILL_ZH)])
def test_a_passage_is_divided_between_its_paragraphs(first: str, second: str) -> None:
    chunk = chunk_of(f"{first}\r\n\r\n{second}")
    both: Passage = {"chunk_id": "a", "start": 4, "end": len(chunk.page_content) - 3}

    assert texts(divide(both, by_id(chunk)), chunk) == [first[4:], second[:-3]]
    assert divide({"chunk_id": "a", "start": 4, "end": 9}, by_id(chunk)) == [{"chunk_id": "a", "start": 4, "end": 9}]


def test_a_heading_goes_with_what_is_below_it() -> None:
    chunk = chunk_of(f"Not so.\n\nOld Mill\n{MILL}\n\n# The town\n\n{TOWN}")

    assert texts(split_passages(chunk), chunk) == ["Not so.", f"Old Mill\n{MILL}", f"# The town\n\n{TOWN}"]


def test_short_paragraphs_are_taken_together() -> None:
    dialogue = "“你来吗？”\n\n“来。”\n\n“那么明天见。”"
    chunk = chunk_of(dialogue)

    assert texts(split_passages(chunk), chunk) == [dialogue]


@given(text=TEXTS, max_tokens=st.integers(1, 60))
def test_passages_hold_all_of_a_chunk_once_in_whole_sentences_and_within_the_limit(text: str, max_tokens: int) -> None:
    chunk = chunk_of(text)
    single = split_passages(chunk, 0)

    passages = split_passages(chunk, max_tokens)

    assert "".join("".join(texts(passages, chunk)).split()) == "".join(text.split())
    for part in texts(passages, chunk):
        assert count_tokens(part) <= max_tokens or part in texts(single, chunk)


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        (CHINESE, [2], ["望月桥建于1713年。主持修造的是石匠鲁守砚。桥长三十丈！"]),
        (CHINESE, [1], ["望月桥建于1713年。主持修造的是石匠鲁守砚。"]),
        (CHINESE, [4, 4], ["桥长三十丈！两岸的人都来看了。"]),
        (
            ENGLISH,
            [1, 5],
            ["The board met on 3 May. Ada Brook took the chair.", "Dr. Lee paid 3.50 for it. All went home."],
        ),
        (ENGLISH, [1, 3], [ENGLISH.removesuffix(" All went home.")]),
        (ENGLISH, [0, -1, 6, 99], []),
        (ENGLISH, [], []),
        (CRLF, [2], ["The board met on 3 May.\r\nAda Brook took the chair.\r\nTea was served at four."]),
        (f"{ENGLISH}\r\n\r\n{MILL}", [5, 8], ["Dr. Lee paid 3.50 for it. All went home.", MILL[MILL.index("It") :]]),
        (f"{TOWN_ZH}\n\n{MILL_ZH}", [6], [MILL_ZH[: MILL_ZH.index("水轮")]]),
    ],
)
def test_a_sentence_comes_with_its_neighbours_in_the_paragraph(
    text: str, numbers: list[int], expected: list[str]
) -> None:
    chunk = chunk_of(text)

    assert texts(around_sentences(chunk, numbers), chunk) == expected


@pytest.mark.parametrize(
    ("text", "quote", "expected"),
    [
        (CHINESE, "主持修造的是石匠鲁守砚。", "望月桥建于1713年。主持修造的是石匠鲁守砚。桥长三十丈！"),
        (CHINESE, "望月", "望月桥建于1713年。主持修造的是石匠鲁守砚。"),
        (CRLF, "chair.\r\nTea", CRLF),
        (ENGLISH, ENGLISH, ENGLISH),
        (f"{ENGLISH}\n\n{MILL}", "The mill stands by the river.", MILL[: MILL.index(" Its")]),
        (
            f"{ENGLISH}\n\n{MILL}",
            "home.\n\nThe mill",
            f"{ENGLISH[ENGLISH.index('Dr.') :]}\n\n{MILL[: MILL.index(' Its')]}",
        ),
    ],
)
def test_a_span_comes_with_the_sentences_around_it(text: str, quote: str, expected: str) -> None:
    chunk, start = chunk_of(text), text.index(quote)

    assert texts([around_span(chunk, start, start + len(quote))], chunk) == [expected]


def test_the_passage_that_holds_the_terms_comes_first() -> None:
    chunks = [chunk_of("港口的墙又刷了一遍。" * 20, "harbour"), chunk_of("天气很好。" * 40 + CHINESE, "bridge")]

    passages = rank_passages(chunks, [1.0, 0.9], analyze("望月桥的石匠是谁？"), analyze)

    assert "石匠鲁守砚" in texts(passages, *chunks)[0]


def test_among_passages_with_the_same_terms_that_with_the_same_neighbours_comes_first() -> None:
    hunter = chunk_of("The ruler of the Andromeda star system is Orion the Hunter.", "hunter")
    voyager = chunk_of("The ruler of the Orion star system is Voyager of the Stars.", "voyager")

    others = [chunk_of("All went home.", "home"), chunk_of("Tea was served at four.", "tea")]
    chunks = [hunter, voyager, *others]

    ranked = rank_passages(chunks, [1] * 4, analyze("Who is the ruler of the Orion star system?"), analyze)

    assert texts(ranked[:2], *chunks) == [voyager.page_content, hunter.page_content]


def test_among_equal_passages_that_of_the_better_chunk_comes_first() -> None:
    chunks = [chunk_of(ENGLISH, "worse"), chunk_of(ENGLISH, "better")]

    passages = rank_passages(chunks, [0.5, 1.0], analyze("Who took the chair?"), analyze)

    assert [passage["chunk_id"] for passage in passages] == ["better", "worse"]


@pytest.mark.parametrize("query", [[], ["xylophone"]])
def test_without_a_common_term_the_order_is_that_of_the_chunks(query: list[str]) -> None:
    chunks = [chunk_of(ENGLISH, "a"), chunk_of(CHINESE, "b")]

    assert [passage["chunk_id"] for passage in rank_passages(chunks, [1.0, 0.5], query, analyze)] == ["a", "b"]
    assert rank_passages([], [], query, analyze) == []


def test_overlapping_and_adjoining_passages_become_one_and_chunks_keep_their_order() -> None:
    chunks = [chunk_of(CHINESE, "a"), chunk_of(CRLF, "b")]
    first, second, third = split_passages(chunks[1], 1)[:3]
    whole: Passage = {"chunk_id": "a", "start": 0, "end": 5}

    joined = join([third, whole, {**first, "end": first["end"] - 4}, second], by_id(*chunks))

    assert joined == [{**first, "end": first["end"] - 4}, {**second, "end": third["end"]}, whole]


SPANS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 200), st.integers(0, 200)), max_size=8)


@given(text=TEXTS, spans=SPANS)
def test_joining_loses_and_adds_nothing_but_whitespace(text: str, spans: list[tuple[str, int, int]]) -> None:
    chunks = by_id(chunk_of(text, "a"), chunk_of(text[::-1], "b"))
    passages = [
        Passage(chunk_id=name, start=min(left, right), end=max(left, right))
        for name, left, right in spans
        if left != right and max(left, right) <= len(text)
    ]

    joined = join(passages, chunks)

    def covered(passages: list[Passage]) -> set[tuple[str, int]]:
        return {
            (passage["chunk_id"], place)
            for passage in passages
            for place in range(passage["start"], passage["end"])
            if chunks[passage["chunk_id"]].page_content[place].strip()
        }

    assert covered(joined) == covered(passages)
    assert sum(len("".join(text_of(passage, chunks).split())) for passage in joined) == len(covered(passages))
    assert list(dict.fromkeys(p["chunk_id"] for p in joined)) == list(dict.fromkeys(p["chunk_id"] for p in passages))


@given(text=TEXTS, before=st.text(max_size=20), numbers=st.lists(st.integers(-1, 12), max_size=4))
def test_a_passage_stands_in_its_source_where_it_says(text: str, before: str, numbers: list[int]) -> None:
    documents = [Document(before, metadata={"source": "a"}), Document(text, metadata={"source": "a", "page": 2})]
    chunks = by_id(*QwenTextSplitter(16).split_documents(documents))
    source = before + text

    for chunk in chunks.values():
        parts = [*split_passages(chunk, 8), *around_sentences(chunk, numbers), around_span(chunk, 0, 1)]
        for document in (to_document(part, chunks) for part in parts):
            where = document.metadata
            assert document.page_content == source[where["start"] : where["end"]] != ""
            assert where["chunk_id"] == chunk.metadata["chunk_id"]
            assert where["page"] == chunk.metadata["page"]
