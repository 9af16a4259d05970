"""BM25 in a real Milvus: Milvus Lite, within this process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests
from scripted import RuleChatModel

from langchain_qwen_longctx import (
    BilingualBM25Retriever,
    MilvusBM25Retriever,
    QwenTextSplitter,
    create_long_context_qa,
    milvus,
)
from langchain_qwen_longctx.errors import IndexFileError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ODD_NAME = "a\"b'\\]\n镇 or true.txt"

TEXTS = {
    "harbour.txt": "The harbour was built in 1887 by the town council.",
    "港口.txt": "港口由鎮議會於1887年建造。",
    ODD_NAME: "Boats carry salt; the salt comes from num_ctx 3.5 marshes.",
    "island.txt": "A lighthouse keeper lives on the island. " * 3,
}


def chunks_of(texts: dict[str, str]) -> list[Document]:
    documents = [Document(text, metadata={"source": source, "page": 7}) for source, text in texts.items()]
    return QwenTextSplitter().split_documents(documents)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("milvus") / "index.db"


@pytest.fixture
def retriever(path: Path) -> MilvusBM25Retriever:
    """Return a collection of its own for each test, with the four texts."""
    opened = MilvusBM25Retriever.open(path, collection=f"c{uuid4().hex}")
    opened.add_documents(chunks_of(TEXTS))
    return opened


def sources_of(found: Sequence[Document]) -> list[str]:
    return [document.metadata["source"] for document in found]


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("Who builds harbours?", "harbour.txt"),
        ("港口是谁建的？", "港口.txt"),
        ("镇议会", "港口.txt"),
        ("What is num_ctx?", ODD_NAME),
        ("version 3.5", ODD_NAME),
    ],
    ids=["stems", "Chinese", "simplified for traditional", "identifier", "number"],
)
def test_terms_are_those_of_the_own_analyzer(retriever: MilvusBM25Retriever, query: str, source: str) -> None:
    assert sources_of(retriever.invoke(query))[0] == source


def test_a_result_is_the_chunk_with_its_score_and_rank(retriever: MilvusBM25Retriever) -> None:
    chunk = chunks_of(TEXTS)[1]

    found = retriever.invoke("港口 1887")

    assert found[0].page_content == chunk.page_content
    assert found[0].metadata == {**chunk.metadata, "score": found[0].metadata["score"], "rank": 0}
    assert [document.metadata["rank"] for document in found] == [0, 1]
    assert found[0].metadata["score"] > found[1].metadata["score"] > 0


def test_what_shares_no_word_is_not_found(retriever: MilvusBM25Retriever) -> None:
    assert retriever.invoke("zebra") == retriever.invoke("的 ?!") == retriever.invoke("") == []


def test_how_many_and_of_what_sources_may_be_said_with_each_call(retriever: MilvusBM25Retriever) -> None:
    query = "1887 salt island"

    assert len(retriever.invoke(query)) == 4
    assert len(retriever.invoke(query, k=2)) == 2
    assert sources_of(retriever.invoke(query, sources=[ODD_NAME])) == [ODD_NAME]
    assert sources_of(retriever.invoke(query, sources="harbour.txt")) == ["harbour.txt"]
    assert retriever.invoke(query, sources=[]) == retriever.invoke(query, sources=["none"]) == []
    with pytest.raises(InputError, match="k is 0"):
        retriever.invoke(query, k=0)


async def test_and_when_it_is_awaited(retriever: MilvusBM25Retriever) -> None:
    assert sources_of(await retriever.ainvoke("1887", k=1, sources=["港口.txt"])) == ["港口.txt"]


def test_a_source_that_is_added_again_gives_way_to_what_it_is_now(retriever: MilvusBM25Retriever) -> None:
    retriever.add_documents(chunks_of({ODD_NAME: "Boats carry tea."}))

    assert retriever.invoke("salt num_ctx") == []
    assert sources_of(retriever.invoke("boat")) == [ODD_NAME]


def test_a_deleted_source_is_not_found_and_the_others_are(retriever: MilvusBM25Retriever) -> None:
    retriever.delete([ODD_NAME, "no such source"])

    assert retriever.invoke("salt") == []
    assert len(retriever.invoke("1887 island")) == 3


def test_what_is_added_is_there_when_it_is_opened_again(retriever: MilvusBM25Retriever, path: Path) -> None:
    again = MilvusBM25Retriever.open(path, collection=retriever.store.collection_name, k=1)

    assert sources_of(again.invoke("1887 lighthouse")) == ["island.txt"]


def test_what_is_added_is_there_for_who_has_opened_it_before(path: Path) -> None:
    before, adding = (MilvusBM25Retriever.open(path, collection="later") for _ in range(2))
    assert before.invoke("harbour") == []

    adding.add_documents(chunks_of(TEXTS))

    assert sources_of(before.invoke("harbour")) == ["harbour.txt"]


def test_an_empty_collection_finds_nothing(path: Path) -> None:
    empty = MilvusBM25Retriever.open(path, collection="empty")

    empty.add_documents([])
    empty.delete(["a"])

    assert empty.invoke("harbour") == []


def test_scores_are_those_of_bm25_in_memory_but_for_the_weight_of_terms(path: Path) -> None:
    chunks = chunks_of({"镇志.txt": chronicle(200, {4: TOWN_FACT, 11: BIRTH_FACT})})
    memory = BilingualBM25Retriever.from_documents(chunks, k=10)
    counts, total = np.diff(memory.vectorizer.postings.offsets), len(chunks)
    memory.vectorizer.weights = np.log1p((total - counts + 0.5) / (counts + 0.5))
    there = MilvusBM25Retriever.open(path, collection="chronicle", k=10)

    there.add_documents(chunks)

    for query in (TOWN_QUESTION, "毛一清 毛一清", "裱画的铺子 181"):
        ours, theirs = memory.invoke(query), there.invoke(query)
        assert [chunk.page_content for chunk in theirs] == [chunk.page_content for chunk in ours]
        assert [chunk.metadata["score"] for chunk in theirs] == pytest.approx(
            [chunk.metadata["score"] for chunk in ours], rel=1e-5
        )


def test_a_corpus_is_narrowed_down_to_the_sources_worth_reading(path: Path) -> None:
    towns = {f"{seed}.txt": chronicle(12, {}, seed=seed) for seed in range(12)}
    towns["5.txt"] = chronicle(12, {4: TOWN_FACT}, seed=5)
    corpus = MilvusBM25Retriever.open(path, collection="corpus")
    corpus.add_documents(chunks_of(towns))

    best = corpus.best_sources(TOWN_QUESTION, n=3)
    documents = [Document(towns[source], metadata={"source": source}) for source in best]
    qa = create_long_context_qa(model=RuleChatModel(respond=EXPERT), documents=documents)
    result = qa.invoke({"question": TOWN_QUESTION})

    assert len(best) == 3
    assert [citation["source"] for citation in result["citations"]] == ["5.txt"]
    assert result["answer"] == "毛一清 [1]"


def test_the_graph_takes_it_with_its_chunks(path: Path) -> None:
    chunks = chunks_of({"镇志.txt": chronicle(40, {4: TOWN_FACT})})
    retriever = MilvusBM25Retriever.open(path, collection="graph", k=16)
    retriever.add_documents(chunks)
    qa = create_long_context_qa(model=RuleChatModel(respond=EXPERT), documents=chunks, retriever=retriever)

    result = qa.invoke({"question": TOWN_QUESTION})

    assert result["answer"] == "毛一清 [1]"
    assert [citation["quote"] for citation in result["citations"]] == [TOWN_FACT]


@pytest.mark.parametrize(
    ("chunk", "complaint"),
    [
        (Document("text", metadata={"source": "a"}), "no source or no chunk_id: 'text'"),
        (Document("text", metadata={"chunk_id": "a"}), "no source or no chunk_id"),
        (Document("港" * 30_000, metadata={"source": "a", "chunk_id": "b"}), "more than 65535 bytes"),
    ],
    ids=["no id", "no source", "large"],
)
def test_what_is_no_chunk_is_refused(retriever: MilvusBM25Retriever, chunk: Document, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        retriever.add_documents([chunk])

    assert len(retriever.invoke("1887 salt island")) == 4


def test_a_collection_of_another_version_is_refused(
    retriever: MilvusBM25Retriever, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "TERMS", "qwen_longctx_0")

    with pytest.raises(IndexFileError, match="has no field qwen_longctx_0; drop it and index again, or name another"):
        MilvusBM25Retriever.open(path, collection=retriever.store.collection_name)


def test_a_file_that_another_process_has_open_is_an_error_that_says_so(
    retriever: MilvusBM25Retriever, path: Path
) -> None:
    script = f"from langchain_qwen_longctx import MilvusBM25Retriever\nMilvusBM25Retriever.open({str(path)!r})"

    other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, text=True)  # noqa: S603

    assert "another process may have it open" in other.stderr


def test_a_server_that_is_not_there_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"Milvus at http://127.0.0.1:1 cannot be used .*; start it, or check address"):
        MilvusBM25Retriever.open("http://anna:Rhabarber@127.0.0.1:1")


def test_without_the_extra_the_error_names_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_milvus", None)

    with pytest.raises(InputError, match=r'pip install "langchain-qwen-longctx\[milvus\]"'):
        MilvusBM25Retriever.open(path)


@pytest.mark.anyio
class TestStandards(RetrieversIntegrationTests):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    def _filled(self, path: Path) -> None:
        TestStandards.store = MilvusBM25Retriever.open(path, collection="standard").store
        MilvusBM25Retriever(store=self.store).add_documents(chunks_of(TEXTS))

    store: Any = None

    @property
    def retriever_constructor(self) -> type[MilvusBM25Retriever]:
        return MilvusBM25Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "1887, 港口, salt, island"
