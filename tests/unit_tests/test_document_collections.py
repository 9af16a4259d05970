from __future__ import annotations

import pytest
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from scripted import RuleChatModel

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.document_collections import (
    MAX_RUNNABLES,
    SERVED,
    Answerer,
    Collection,
    Shelf,
    UploadLimits,
    safe_name,
    text_between,
    unique_names,
)
from langchain_qwen_longctx.errors import CollectionError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

NOTE = ("note.txt", b"The tide stood at four feet.\r\n\r\nThe ship left at noon.\r\n")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shelf(*, clock: Clock | None = None, **limits: float) -> Shelf:
    return Shelf(None, UploadLimits(**limits), 512, clock or Clock())  # type: ignore[arg-type]


def answerer(**knobs: int) -> Answerer:
    return Answerer(model=RuleChatModel(respond=EXPERT), config=LongContextConfig(**knobs))  # type: ignore[arg-type]


def test_an_upload_can_be_asked() -> None:
    collection = shelf().add([("镇志.txt", TOWN_FACT.encode())])

    result = collection.runnable(answerer()).invoke({"question": TOWN_QUESTION, "level": "retrieve"})

    assert result["answer"] == "毛一清 [1]"
    assert result["citations"][0]["source"] == "镇志.txt"


def test_what_cannot_be_read_is_told_beside_what_can() -> None:
    on = shelf()

    told = on.describe(on.add([NOTE, ("scan.pdf", b"no pdf"), ("empty.txt", b"")]))

    assert [document["source"] for document in told["documents"]] == ["note.txt"]
    assert [failure["source"] for failure in told["failed"]] == ["scan.pdf", "empty.txt"]
    assert told["failed"][1]["problem"] == "the file is empty"


def test_files_of_which_none_can_be_read_are_refused_with_each_reason() -> None:
    with pytest.raises(CollectionError, match=r"empty\.txt: the file is empty; blank\.md: ") as caught:
        shelf().add([("empty.txt", b""), ("blank.md", b" \n")])

    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ([], 422, "there are 0 files; send between 1 and 2"),
        ([NOTE] * 3, 422, "there are 3 files"),
        ([("a/big.txt", b"x" * 101)], 413, "big.txt has 101 bytes, more than 100; divide it"),
    ],
)
def test_too_much_is_refused(files: list[tuple[str, bytes]], status: int, message: str) -> None:
    with pytest.raises(CollectionError, match=message) as caught:
        shelf(max_files=2, max_file_bytes=100).add(files)

    assert caught.value.status == status


def test_an_upload_is_forgotten_after_its_time_and_kept_by_each_use() -> None:
    clock = Clock()
    on = shelf(clock=clock, lifetime_seconds=60)
    used, unused = on.add([NOTE]), on.add([NOTE])

    clock.now += 50
    on.get(used.id)
    clock.now += 50

    assert on.get(used.id) is used
    assert len(on) == 1
    with pytest.raises(CollectionError, match="its time is over") as caught:
        on.get(unused.id)
    assert caught.value.status == 404


def test_no_more_collections_are_kept_than_the_limit_until_one_is_removed() -> None:
    on = shelf(max_collections=1)
    first = on.add([NOTE])
    with pytest.raises(CollectionError, match="1 collections are kept already") as caught:
        on.add([NOTE])
    assert caught.value.status == 503

    on.remove(first.id)

    assert on.add([NOTE]).id != first.id


def test_the_servers_own_documents_stay() -> None:
    index = BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents([Document("The tide is high.")]))
    on = Shelf(Collection(SERVED, index), UploadLimits(), 512)

    with pytest.raises(CollectionError, match="cannot be removed"):
        on.remove(SERVED)
    assert on.describe(on.get(SERVED))["expires_in"] is None


def test_a_server_without_documents_says_so() -> None:
    with pytest.raises(CollectionError, match="no documents of its own; upload some first"):
        shelf().get(SERVED)


def test_a_budget_lowers_the_servers_and_cannot_raise_it() -> None:
    collection = shelf().add([("镇志.txt", TOWN_FACT.encode())])
    question = {"question": TOWN_QUESTION, "level": "retrieve"}

    lower = collection.runnable(answerer(max_model_calls=5), max_calls=0).invoke(question)  # type: ignore[arg-type]
    higher = collection.runnable(answerer(max_model_calls=0), max_calls=5)

    assert lower["stopped"] == "budget"
    assert higher.invoke(question)["stopped"] == "budget"  # type: ignore[arg-type]


def test_a_budget_has_its_graph_made_once_and_only_a_few_are_kept() -> None:
    collection, by = shelf().add([NOTE]), answerer()

    first = collection.runnable(by, max_calls=1)

    assert collection.runnable(by, max_calls=1) is first
    for calls in range(MAX_RUNNABLES):
        collection.runnable(by, max_calls=calls + 2)
    assert collection.runnable(by, max_calls=1) is not first


def test_a_passage_has_the_text_around_it() -> None:
    collection = shelf().add([NOTE])

    passage = collection.passage("note.txt", 9, 14, around=4)

    assert (passage["before"], passage["quote"], passage["after"]) == ("ide ", "stood", " at ")
    assert not passage["is_start"]
    assert not passage["is_end"]
    assert collection.passage("note.txt", 0, 8, around=1000)["is_end"]


@pytest.mark.parametrize(
    ("source", "start", "end", "status"),
    [("other.txt", 0, 4, 404), ("note.txt", 4, 4, 422), ("note.txt", -1, 4, 422), ("note.txt", 0, 10_000, 422)],
)
def test_a_passage_that_is_not_there_is_an_error(source: str, start: int, end: int, status: int) -> None:
    with pytest.raises(CollectionError) as caught:
        shelf().add([NOTE]).passage(source, start, end, around=10)

    assert caught.value.status == status


@given(st.text(alphabet="ab 。.\n\r中", min_size=1, max_size=200), st.data())
def test_a_passage_is_the_text_but_for_whitespace(text: str, data: st.DataObject) -> None:
    chunks = QwenTextSplitter(chunk_tokens=16).split_documents([Document(text)])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))

    shown = text_between(chunks, start, end)

    assert "".join(shown.split()) == "".join(text[start:end].split())


def test_the_page_of_a_passage_is_where_it_begins() -> None:
    pages = [Document(f"Page {n} speaks of tides. ", metadata={"source": "book.pdf", "page": n}) for n in (1, 2)]
    index = BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents(pages))

    assert Collection("x", index).passage("book.pdf", 26, 30, around=5)["page"] == 2
    assert Collection("x", index).documents()[0]["pages"] == 2


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\nb\u202e.txt", "a_b_.txt"),
        ("", "document"),
        ("论文 1.pdf", "论文 1.pdf"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_two_files_of_one_name_are_told_apart() -> None:
    assert unique_names(["a.txt", "b/a.txt", "a.txt", "README", "README"]) == [
        "a.txt",
        "a (2).txt",
        "a (3).txt",
        "README",
        "README (2)",
    ]
