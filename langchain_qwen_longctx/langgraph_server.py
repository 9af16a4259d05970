"""The graph for a LangGraph server, which finds it by `langgraph.json`: `langgraph dev`, `langgraph up`.

Nobody gives it options, so that it reads them from the environment:

| variable                      | what                                                                            |
|-------------------------------|---------------------------------------------------------------------------------|
| `QWEN_LONGCTX_DOCUMENTS`      | files and folders, with `:` between them, on Windows `;`                        |
| `QWEN_LONGCTX_MODEL`          | as `qwen-longctx ask --model`; by default the one that it would take            |
| `QWEN_LONGCTX_BASE_URL`       | address of the model's server                                                   |
| `QWEN_LONGCTX_API_KEY`        | key for an `openai:` server                                                     |
| `QWEN_LONGCTX_CONTEXT_WINDOW` | tokens of prompt and answer together; default 8192                              |
| `QWEN_LONGCTX_CACHE_DIR`      | folder of saved indexes, replies and the embedded model; default the shell's    |

Progress comes in the server's stream mode `events`, as the custom events of `langchain_qwen_longctx.events`.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.cli_options import Settings
from langchain_qwen_longctx.cli_parts import base_folder, open_documents, open_model, open_replies
from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.graphs.long_context_qa import AnsweringState, build_graph

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

    from langchain_qwen_longctx.schemas import QAInput, QAOutput

DOCUMENTS: Final = "QWEN_LONGCTX_DOCUMENTS"
CONTEXT_WINDOW: Final = "QWEN_LONGCTX_CONTEXT_WINDOW"

_opening: Final = Lock()


async def make_graph() -> CompiledStateGraph[AnsweringState, None, QAInput, QAOutput]:
    """Return the graph of `build_graph`, the same one for the whole life of the process.

    The server asks for it at every request, and within its event loop, which the first time would wait for the model
    and the index; so that is done in a thread.

    Raises:
        InputError: There are no documents, or an option is out of range.
        DocumentError: They cannot be read.
        ModelError: The model is not there.
    """
    return await asyncio.to_thread(open_graph_once)


def open_graph_once() -> CompiledStateGraph[AnsweringState, None, QAInput, QAOutput]:
    """Return the graph; several threads that want it at once wait for the first of them."""
    with _opening:
        return open_graph()


@cache
def open_graph() -> CompiledStateGraph[AnsweringState, None, QAInput, QAOutput]:
    """Make the graph of the model, the saved index and the kept replies that `qwen-longctx ask` would use."""
    paths, settings = document_paths(), settings_of_environment()
    settings.check(paths)
    graph = build_graph(
        model=open_model(settings),
        retriever=open_documents(paths, settings),
        config=settings.config(),
        cache=open_replies(base_folder(settings.cache_dir) / "replies"),
    )
    return graph.compile(name="long_context_qa")


def document_paths() -> tuple[str, ...]:
    """Return the files and folders to answer from.

    Raises:
        InputError: There are none.
    """
    paths = tuple(path for path in os.environ.get(DOCUMENTS, "").split(os.pathsep) if path)
    if not paths:
        msg = f"{DOCUMENTS} is not set; name files or folders to answer from, with {os.pathsep!r} between them"
        raise InputError(msg)
    return paths


def settings_of_environment() -> Settings:
    """Return the options that the environment sets, and for the rest the shell's defaults.

    Raises:
        InputError: The context window is no number.
    """
    defaults = LongContextConfig()
    window = os.environ.get(CONTEXT_WINDOW) or str(defaults.context_window)
    if not window.isdecimal():
        msg = f"{CONTEXT_WINDOW} is {window!r}; it must be a number of tokens"
        raise InputError(msg)
    folder = os.environ.get("QWEN_LONGCTX_CACHE_DIR")
    return Settings(
        model=os.environ.get("QWEN_LONGCTX_MODEL") or None,
        base_url=os.environ.get("QWEN_LONGCTX_BASE_URL") or None,
        api_key=os.environ.get("QWEN_LONGCTX_API_KEY") or None,
        context_window=int(window),
        cache_dir=Path(folder) if folder else None,
        coverage=defaults.coverage,
        concurrency=defaults.concurrency,
        max_calls=None,
        max_tokens=None,
        max_seconds=None,
    )
