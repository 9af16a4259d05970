from __future__ import annotations

from io import BytesIO

import pytest
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from scripted import RuleChatModel

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.document_collections import (
    MAX_RUNNABLES,
    Answerer,
    Collection,
    text_between,
)
from langchain_qwen_longctx.errors import CollectionError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.uploads import Shelf, UploadLimits

NOTE = ("note.txt", b"The tide stood at four feet.\r\n\r\nThe ship left at noon.\r\n")


def uploaded(*files: tuple[str, bytes]) -> Collection:
    return Shelf(None, UploadLimits(), 512).add([(name, BytesIO(data)) for name, data in files])


def answerer(**knobs: int) -> Answerer:
    return Answerer(model=RuleChatModel(respond=EXPERT), config=LongContextConfig(**knobs))  # type: ignore[arg-type]


def test_a_budget_lowers_the_servers_and_cannot_raise_it() -> None:
    collection = uploaded(("镇志.txt", TOWN_FACT.encode()))
    question = {"question": TOWN_QUESTION, "level": "retrieve"}

    lower = collection.runnable(answerer(max_model_calls=5), max_calls=0).invoke(question)  # type: ignore[arg-type]
    higher = collection.runnable(answerer(max_model_calls=0), max_calls=5)

    assert lower["stopped"] == "budget"
    assert higher.invoke(question)["stopped"] == "budget"  # type: ignore[arg-type]


def test_a_budget_has_its_graph_made_once_and_only_a_few_are_kept() -> None:
    collection, by = uploaded(NOTE), answerer()

    first = collection.runnable(by, max_calls=1)

    assert collection.runnable(by, max_calls=1) is first
    for calls in range(MAX_RUNNABLES):
        collection.runnable(by, max_calls=calls + 2)
    assert collection.runnable(by, max_calls=1) is not first


def test_a_passage_has_the_text_around_it() -> None:
    collection = uploaded(NOTE)

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
        uploaded(NOTE).passage(source, start, end, around=10)

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
