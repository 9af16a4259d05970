"""The whole method as one graph, and as one Runnable."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, cast, get_args

from langgraph.graph import END, START, StateGraph

from langchain_qwen_longctx.config import DEFAULT_CONTEXT_WINDOW, LongContextConfig
from langchain_qwen_longctx.errors import InputError, QuestionTooLongError
from langchain_qwen_longctx.graphs.analysis import analyze, route_translation, translate
from langchain_qwen_longctx.graphs.retrieval import build_retrieval_graph, room_for_evidence
from langchain_qwen_longctx.graphs.state import AnsweringLevel, QAResources, QAState, subtract_spent
from langchain_qwen_longctx.languages import detect_language, han_share
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.schemas import QAArguments, QAInput, QAOutput
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable
    from langgraph.checkpoint.base import BaseCheckpointSaver

LANGUAGE_SAMPLES = 50
MIN_LANGUAGE_SHARE = 0.1
"""A language counts as one of the documents' if at least this share of the sampled chunks is in it."""

MIN_CHINESE_SHARE = 0.1
"""A chunk counts as Chinese, whatever else it is, from this share of its letters on."""

MAX_RETRIEVED = 64
"""Chunks ranked per query; about twice what fills a window of 16k tokens."""


def create_long_context_qa(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BilingualBM25Retriever | None = None,
    config: LongContextConfig | None = None,
    checkpointer: BaseCheckpointSaver[str] | None = None,
) -> Runnable[QAInput, QAOutput]:
    """Return a Runnable that answers questions over documents of any size.

    Args:
        model: Any chat model; `ChatOllama(model="qwen2:7b", num_ctx=8192)` is what it was made for.
        documents: Documents as `load_documents` returns them. They are split and indexed here, once.
        retriever: An index made before, instead of documents; its documents are chunks of `QwenTextSplitter`.
        config: The knobs; by default the context window is the model's own `num_ctx`, or else 8192 tokens.
        checkpointer: Keeps the state of every thread; None keeps nothing.

    Returns:
        A Runnable from `QAInput` to `QAOutput`. `build_graph(...).compile()` gives the graph itself, with its state.

    Raises:
        InputError: Neither or both of documents and retriever are given, or they hold no text, or the context windows
            of model and config differ.

    Example:
        ```python
        from langchain_ollama import ChatOllama
        from langchain_qwen_longctx import create_long_context_qa, load_documents

        qa = create_long_context_qa(
            model=ChatOllama(model="qwen2:7b", num_ctx=8192), documents=load_documents("report.pdf")
        )
        qa.invoke({"question": "Who chaired the board in 2019?"})["answer"]
        ```
    """
    graph = build_graph(model=model, documents=documents, retriever=retriever, config=config)
    compiled = graph.compile(checkpointer=checkpointer, name="long_context_qa")
    # LangGraph's own input schema knows no defaults, so a tool made of it would demand every field.
    typed: Any = compiled.with_types(input_type=cast("Any", QAArguments))
    return cast("Runnable[QAInput, QAOutput]", typed)


def build_graph(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BilingualBM25Retriever | None = None,
    config: LongContextConfig | None = None,
) -> StateGraph[QAState, None, QAInput, QAOutput]:
    """Return the graph uncompiled, to compile it with a checkpointer or embed it in another graph.

    Arguments and errors are those of `create_long_context_qa`.
    """
    resources = gather_resources(model, documents, retriever, config)
    graph = StateGraph(QAState, input_schema=QAInput, output_schema=QAOutput)
    graph.add_node("accept", partial(accept, resources))
    graph.add_node("analyze", partial(analyze, resources))
    graph.add_node("translate", partial(translate, resources))
    graph.add_node("search", build_retrieval_graph(resources).compile(name="search"))
    graph.add_node("report", partial(report, resources))
    graph.add_edge(START, "accept")
    graph.add_edge("accept", "analyze")
    graph.add_conditional_edges("analyze", partial(route_translation, resources), ["translate", "search"])
    graph.add_edge("translate", "search")
    graph.add_edge("search", "report")
    graph.add_edge("report", END)
    return graph


def gather_resources(
    model: BaseChatModel,
    documents: Iterable[Document] | None,
    retriever: BilingualBM25Retriever | None,
    config: LongContextConfig | None,
) -> QAResources:
    """Check the parts against each other and prepare what the nodes need."""
    if (documents is None) == (retriever is None):
        msg = "give either documents or a retriever"
        raise InputError(msg)
    config = config or LongContextConfig.for_window(getattr(model, "num_ctx", None) or DEFAULT_CONTEXT_WINDOW)
    if retriever is None:
        splitter = QwenTextSplitter(chunk_tokens=config.chunk_tokens)
        retriever = BilingualBM25Retriever.from_documents(splitter.split_documents(documents or []))
    if not retriever.docs:
        msg = "the documents hold no text; give at least one that does"
        raise InputError(msg)
    chunks = {chunk.metadata["chunk_id"]: chunk for chunk in retriever.docs}
    return QAResources(
        model=_with_window(model, config),
        retriever=retriever.model_copy(update={"k": MAX_RETRIEVED}),
        chunks=chunks,
        languages=detect_languages(retriever.docs),
        config=config,
    )


def _with_window(model: BaseChatModel, config: LongContextConfig) -> BaseChatModel:
    """Give an Ollama model that has no `num_ctx` the configured one, or Ollama would cut prompts at its own default."""
    if not hasattr(model, "num_ctx"):
        return model
    if model.num_ctx is None:
        return model.model_copy(update={"num_ctx": config.context_window})
    if model.num_ctx < config.context_window:
        msg = f"context_window is {config.context_window}, the model's num_ctx {model.num_ctx}; make them equal"
        raise InputError(msg)
    return model


def detect_languages(chunks: Sequence[Document]) -> list[str]:
    """Return the languages of a sample of chunks spread evenly over the documents, the most frequent first.

    A chunk that is Chinese for the smaller part, such as a table with links and names in it, counts as Chinese as well.
    """
    sample = chunks[:: max(1, len(chunks) // LANGUAGE_SAMPLES)]
    counts: Counter[str] = Counter()
    for chunk in sample:
        partly_chinese = {"zh"} if han_share(chunk.page_content) >= MIN_CHINESE_SHARE else set()
        counts.update({detect_language(chunk.page_content)} | partly_chinese)
    return [code for code, count in counts.most_common() if count >= MIN_LANGUAGE_SHARE * len(sample)]


def accept(resources: QAResources, state: QAState) -> QAState:
    """Check the question before anything is paid for, and start the clock."""
    question, level = state.get("question"), state.get("level", "auto")
    if not isinstance(question, str) or not question.strip():
        msg = f"the question is {question!r}; ask something"
        raise InputError(msg)
    available = ("auto", *get_args(AnsweringLevel))
    if level not in available:
        msg = f"level is {level!r}; this version has {', '.join(available)}"
        raise InputError(msg)
    if state.get("history"):
        msg = "this version does not read the history; ask a question that stands on its own, without history"
        raise InputError(msg)
    state = {**state, "question": question.strip()}
    room = room_for_evidence(resources, state)
    if room < resources.config.chunk_tokens:
        tokens = count_tokens(question)
        msg = (
            f"the question has {tokens} tokens and leaves no room for evidence in a context window of "
            f"{resources.config.context_window}; shorten it to {tokens + room - resources.config.chunk_tokens} tokens"
        )
        raise QuestionTooLongError(msg)
    return {
        "question": question.strip(),
        "level": "retrieve",
        "started": time.time(),
        "spent_before": state.get("spent", {}),
    }


def report(resources: QAResources, state: QAState) -> QAState:
    """Say what was read and what it took."""
    total, shown = len(resources.chunks), len(state["evidence"])
    spent = subtract_spent(state["spent"], state["spent_before"])
    cited = len({citation["chunk_id"] for citation in state["citations"]})
    return {
        "steps": [],
        "stopped": None,
        "coverage": {
            "chunks_total": total,
            "chunks_read": shown,
            "chunks_relevant": cited,
            "chunks_failed": 0,
            "chunks_skipped": total - shown,
        },
        "usage": {
            "model_calls": spent.get("model_calls", 0),
            "cached_calls": spent.get("cached_calls", 0),
            "input_tokens": spent.get("input_tokens", 0),
            "output_tokens": spent.get("output_tokens", 0),
            "seconds": round(time.time() - state["started"], 3),
        },
    }
