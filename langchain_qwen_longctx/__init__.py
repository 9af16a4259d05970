"""Question answering over documents far larger than a model's context, as one LangChain Runnable."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_qwen_longctx.chat_models import create_chat_model
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.document_loaders import load_documents, source_text
    from langchain_qwen_longctx.errors import LongContextError
    from langchain_qwen_longctx.graphs.forecast import Forecast, qa_forecast
    from langchain_qwen_longctx.graphs.long_context_qa import build_graph, create_long_context_qa
    from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen
    from langchain_qwen_longctx.milvus import MilvusBM25Retriever
    from langchain_qwen_longctx.persistence import ReplyCache, open_checkpointer, open_reply_cache
    from langchain_qwen_longctx.postgres import open_postgres_cache, open_postgres_checkpointer
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
    from langchain_qwen_longctx.schemas import Citation, Coverage, QAInput, QAOutput, Step, Usage
    from langchain_qwen_longctx.text_splitters import QwenTextSplitter

__version__ = "0.1.0"

__all__ = [
    "BilingualBM25Retriever",
    "ChatEmbeddedQwen",
    "Citation",
    "Coverage",
    "Forecast",
    "LongContextConfig",
    "LongContextError",
    "MilvusBM25Retriever",
    "QAInput",
    "QAOutput",
    "QwenTextSplitter",
    "ReplyCache",
    "Step",
    "Usage",
    "build_graph",
    "create_chat_model",
    "create_long_context_qa",
    "load_documents",
    "open_checkpointer",
    "open_postgres_cache",
    "open_postgres_checkpointer",
    "open_reply_cache",
    "qa_forecast",
    "source_text",
]

_MODULES = {
    "BilingualBM25Retriever": "retrievers",
    "ChatEmbeddedQwen": "llama_cpp",
    "Citation": "schemas",
    "Coverage": "schemas",
    "Forecast": "graphs.forecast",
    "LongContextConfig": "config",
    "LongContextError": "errors",
    "MilvusBM25Retriever": "milvus",
    "QAInput": "schemas",
    "QAOutput": "schemas",
    "QwenTextSplitter": "text_splitters",
    "ReplyCache": "persistence",
    "Step": "schemas",
    "Usage": "schemas",
    "build_graph": "graphs.long_context_qa",
    "create_chat_model": "chat_models",
    "create_long_context_qa": "graphs.long_context_qa",
    "load_documents": "document_loaders",
    "open_checkpointer": "persistence",
    "open_postgres_cache": "postgres",
    "open_postgres_checkpointer": "postgres",
    "open_reply_cache": "persistence",
    "qa_forecast": "graphs.forecast",
    "source_text": "document_loaders",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Loaded on first use: `qwen-longctx --help` must not wait for LangGraph.
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
