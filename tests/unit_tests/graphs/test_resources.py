"""What goes into the graphs: checked against each other, and made to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_ollama import ChatOllama
from scripted import RuleChatModel, ScriptedChatModel, expert

from langchain_qwen_longctx import BilingualBM25Retriever, LongContextConfig, QwenTextSplitter, create_long_context_qa
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.graphs.resources import detect_languages, gather_resources

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun

    from langchain_qwen_longctx.schemas import Level

FACT = "In 2019 the chair of the trust was Rosalind Thackwell."
FACTS = {"chair": (FACT, "Rosalind Thackwell")}
FILLER = "The harbour wall was painted again, and the gulls came back to pier {}."
NOTES = [Document(FILLER.format(number)) for number in range(80)]
NOTES[70] = Document(f"Of the minutes, page 4. {FACT}", metadata={"source": "minutes.txt", "page": 4, "start": 1000})
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=512)


class Shelf(BaseRetriever):
    """Returns the same notes for every query, as copies without metadata."""

    notes: list[str]
    score: float | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        metadata = {} if self.score is None else {"score": self.score}
        return [Document(note, metadata=metadata) for note in self.notes]


def test_an_ollama_model_without_num_ctx_gets_the_configured_window() -> None:
    resources = gather_resources(ChatOllama(model="qwen2:7b"), NOTES, None, None)

    assert isinstance(resources.model, ChatOllama)
    assert resources.model.num_ctx == resources.config.context_window == 8192


def test_the_window_is_the_models_own_unless_configured() -> None:
    resources = gather_resources(ChatOllama(model="qwen2:7b", num_ctx=4096), NOTES, None, None)

    assert resources.config.context_window == 4096


def test_a_window_larger_than_the_models_is_refused() -> None:
    with pytest.raises(InputError, match="num_ctx 1024"):
        gather_resources(ChatOllama(model="qwen2:7b", num_ctx=1024), NOTES, None, CONFIG)


def test_a_window_larger_than_the_readers_is_refused_as_well() -> None:
    reader = ChatOllama(model="qwen2:0.5b", num_ctx=1024)

    with pytest.raises(InputError, match="num_ctx 1024"):
        gather_resources(ChatOllama(model="qwen2:7b"), NOTES, None, CONFIG, reader_model=reader)


def test_one_model_reads_and_answers_unless_another_is_given() -> None:
    model, reader = ScriptedChatModel(), ScriptedChatModel()

    assert gather_resources(model, NOTES, None, CONFIG).reader_model is model
    assert gather_resources(model, NOTES, None, CONFIG, reader_model=reader).reader_model is reader


def test_the_languages_of_the_documents_are_told_apart() -> None:
    chunks = [Document("The harbour wall was painted again.")] * 3 + [Document("港口的墙又刷了一遍。")] * 2

    assert detect_languages(chunks) == ["en", "zh"]


def test_a_chinese_table_full_of_links_counts_as_chinese_too() -> None:
    row = "title: 检索的效果如何优化 | url: https://example.org/issues/14 | file: 2023-04-04 | detail: as shown above"

    assert "zh" in detect_languages([Document(row)])


def test_documents_without_text_are_refused() -> None:
    with pytest.raises(InputError, match="hold no text"):
        create_long_context_qa(model=ScriptedChatModel(), documents=[Document(" \n")])


def test_documents_or_a_retriever_must_be_given() -> None:
    with pytest.raises(InputError, match="give documents, or a retriever"):
        create_long_context_qa(model=ScriptedChatModel())


def test_an_index_of_ours_has_its_own_documents() -> None:
    retriever = BilingualBM25Retriever.from_documents(QwenTextSplitter(128).split_documents(NOTES))

    with pytest.raises(InputError, match="either documents or a BilingualBM25Retriever"):
        gather_resources(ScriptedChatModel(), NOTES, retriever, CONFIG)


def test_another_retriever_needs_the_documents_that_it_searches() -> None:
    with pytest.raises(InputError, match=r"give the documents that Shelf searches as well, as documents="):
        gather_resources(ScriptedChatModel(), None, Shelf(notes=[]), CONFIG)


def test_an_index_made_before_serves_as_well_as_documents() -> None:
    retriever = BilingualBM25Retriever.from_documents(QwenTextSplitter(128).split_documents(NOTES))
    qa = create_long_context_qa(model=RuleChatModel(respond=expert(FACTS)), retriever=retriever, config=CONFIG)

    result = qa.invoke({"question": "Who was the chair of the trust?", "level": "retrieve"})

    assert [citation["quote"] for citation in result["citations"]] == [FACT]


@pytest.mark.parametrize("level", ["retrieve", "read"])
def test_a_retriever_of_another_package_serves_as_well(level: Level) -> None:
    retriever = BM25Retriever.from_documents(NOTES, k=8)
    model = RuleChatModel(respond=expert(FACTS))
    qa = create_long_context_qa(model=model, retriever=retriever, documents=NOTES, config=CONFIG)

    result = qa.invoke({"question": "Who was the chair of the trust?", "level": level})

    [citation] = result["citations"]
    assert (citation["quote"], citation["source"], citation["page"]) == (FACT, "minutes.txt", 4)
    assert NOTES[70].page_content[citation["start"] - 1000 : citation["end"] - 1000] == FACT
    assert result["coverage"]["chunks_total"] == len(NOTES)


def test_results_of_another_retriever_are_recognised_by_their_text() -> None:
    shelf = Shelf(notes=[NOTES[70].page_content, NOTES[3].page_content], score=7.5)
    resources = gather_resources(ScriptedChatModel(), NOTES, shelf, CONFIG)

    found = resources.retriever.invoke("chair")

    assert [resources.numbers[document.metadata["chunk_id"]] for document in found] == [70, 3]
    assert [document.metadata["score"] for document in found] == [7.5, 7.5]
    assert found[0].metadata["page"] == 4


def test_a_result_that_is_none_of_the_documents_is_an_error_that_quotes_it() -> None:
    resources = gather_resources(ScriptedChatModel(), NOTES, Shelf(notes=["Of unknown origin."]), CONFIG)

    with pytest.raises(InputError, match=r"Shelf returned a text .*'Of unknown origin\.'; give all that it searches"):
        resources.retriever.invoke("chair")


def test_metadata_that_a_document_lacks_is_made_up() -> None:
    documents = [Document("One."), Document("Two.", id="second", metadata={"source": "b.txt", "start": 7, "tag": "x"})]

    first, second = gather_resources(ScriptedChatModel(), documents, Shelf(notes=[]), CONFIG).ordered

    assert first.metadata == {
        "source": "document-1",
        "page": None,
        "start": 0,
        "end": 4,
        "chunk_id": first.metadata["chunk_id"],
    }
    assert len(first.metadata["chunk_id"]) == 16
    assert second.metadata == {
        "source": "b.txt",
        "page": None,
        "start": 7,
        "end": 11,
        "chunk_id": "second",
        "tag": "x",
    }


def test_what_the_caller_gave_is_not_changed() -> None:
    documents = [Document("One.", metadata={"tag": "x"})]

    gather_resources(ScriptedChatModel(), documents, Shelf(notes=[]), CONFIG)

    assert documents == [Document("One.", metadata={"tag": "x"})]
