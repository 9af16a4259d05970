"""A server of the Model Context Protocol: desktop assistants and agents ask the documents as a tool."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from anyio import to_thread
from langchain_core.callbacks import BaseCallbackHandler
from pydantic import Field
from typing_extensions import TypedDict

from langchain_qwen_longctx import __version__
from langchain_qwen_longctx.console import format_answer, place
from langchain_qwen_longctx.document_collections import DocumentSummary, chunks_by_source, summarise
from langchain_qwen_longctx.errors import LongContextError
from langchain_qwen_longctx.graphs.long_context_qa import create_long_context_qa
from langchain_qwen_longctx.graphs.reading import most_readings
from langchain_qwen_longctx.graphs.resources import default_config
from langchain_qwen_longctx.progress import Narrator
from langchain_qwen_longctx.schemas import Level, QAInput, QAOutput

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import CallToolResult, TextContent, ToolAnnotations
except ImportError as error:
    _MSG = 'the MCP server needs the SDK of the protocol; run: pip install "langchain-qwen-longctx[mcp]"'
    raise ImportError(_MSG) from error

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.cache.base import BaseCache

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

ValueT = TypeVar("ValueT")

MAX_CHUNKS: Final = 50
"""Most chunks of a search: some 25,000 tokens, all that is of use to the model of a client."""

READ_ONLY: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)

INSTRUCTIONS: Final = """\
Searches and reads the user's documents on your behalf; number of documents: {documents:,}, of characters: \
{characters:,}. Use ask_documents for an answer with verbatim citations, search_documents for passages to judge \
yourself, list_documents for what there is. Show the citations to the user, and say so where `found` is false."""


class FoundChunk(TypedDict):
    """A chunk that shares words with the query.

    Attributes:
        source: The source's path or name.
        page: 1-based page or slide, None where the format has none.
        start: Offset of the first character in the source's text.
        end: Offset after the last character.
        score: BM25 score; only the scores of one search compare.
        text: The chunk, verbatim.
    """

    source: str
    page: int | None
    start: int
    end: int
    score: float
    text: str


class SearchOutput(TypedDict):
    """The chunks found, best first."""

    chunks: list[FoundChunk]


class DocumentsOutput(TypedDict):
    """All documents, in the order in which they were given."""

    documents: list[DocumentSummary]


def create_mcp_server(
    *,
    model: BaseChatModel,
    retriever: BilingualBM25Retriever,
    config: LongContextConfig | None = None,
    cache: BaseCache[Any] | ReplyCache | None = None,
) -> MCPServer:
    """Return a server of the tools `ask_documents`, `search_documents` and `list_documents`.

    `run()` serves one client over standard input and output, `streamable_http_app()` any number over HTTP.

    Args:
        model: Any chat model.
        retriever: The index of the documents.
        config: The knobs, as for `create_long_context_qa`.
        cache: Keeps the model's replies, as for `create_long_context_qa`.

    Raises:
        InputError: The documents hold no text, or the context windows of model and config differ.

    Example:
        ```python
        index = BilingualBM25Retriever.load("report.index")
        create_mcp_server(model=ChatOllama(model="qwen2:7b", num_ctx=8192), retriever=index).run()
        ```
    """
    tools = DocumentTools(model, retriever, config, cache)
    documents = tools.documents
    characters = sum(document["characters"] for document in documents)
    server: MCPServer[Any] = MCPServer(
        "qwen-longctx",
        title="Documents",
        instructions=INSTRUCTIONS.format(documents=len(documents), characters=characters),
        version=__version__,
        log_level="WARNING",
    )
    for tool, title in (
        (tools.ask_documents, "Ask the documents"),
        (tools.search_documents, "Search the documents"),
        (tools.list_documents, "List the documents"),
    ):
        server.add_tool(tool, title=title, description=inspect.getdoc(tool), annotations=READ_ONLY)
    return server


class DocumentTools:
    """The tools; what their docstrings say is what clients are told.

    Args:
        model: As for `create_mcp_server`, like the others.
        retriever: The index.
        config: The knobs.
        cache: Keeps the replies.

    Attributes:
        documents: What the index is made of.
    """

    def __init__(
        self,
        model: BaseChatModel,
        retriever: BilingualBM25Retriever,
        config: LongContextConfig | None,
        cache: BaseCache[Any] | ReplyCache | None,
    ) -> None:
        self._qa = create_long_context_qa(model=model, retriever=retriever, config=config, cache=cache)
        self._retriever = retriever
        self._config = config or default_config(model)
        self.documents = [summarise(source, chunks) for source, chunks in chunks_by_source(retriever.docs).items()]

    async def ask_documents(
        self,
        context: Context[Any, Any],
        question: Annotated[
            str,
            Field(
                description="What to find and, if need be, how to answer, in any language. It must stand on its own: "
                "earlier questions are not remembered."
            ),
        ],
        level: Annotated[
            Level,
            Field(
                description="How hard to try: retrieve searches, read goes through chunk by chunk, reason asks "
                "sub-questions; auto goes as far as it must."
            ),
        ] = "auto",
    ) -> Annotated[CallToolResult, QAOutput]:
        """Answer a question from the documents, with citations that are verbatim spans of them.

        A language model of the server's own reads for it, so it takes from seconds to minutes; progress tells what it
        is at. `[n]` in the answer names the n-th citation. `found` is false if the documents do not hold the answer.
        """
        asked: QAInput = {"question": question, "level": level}
        progress, cancellation = Progress(), Cancellation()
        most = most_readings(self._config, is_tried=level == "auto")
        narrator = Narrator(progress, len(self._retriever.docs), replace(self._config, max_readings=most))
        invoke = partial(self._qa.invoke, asked, {"callbacks": [cancellation, narrator]})
        run = asyncio.ensure_future(to_thread.run_sync(invoke, abandon_on_cancel=True))
        run.add_done_callback(progress.end)
        try:
            await progress.report(context)
            result = await run
        except LongContextError as error:
            raise ToolError(sendable(str(error))) from error
        finally:
            cancellation.is_cancelled = True
            run.cancel()
        return tool_result(format_answer(result), result)

    def search_documents(
        self,
        query: Annotated[
            str, Field(description="Words that the passages would hold, in the language of the documents.")
        ],
        k: Annotated[int, Field(ge=1, le=MAX_CHUNKS, description="How many chunks at most.")] = 5,
    ) -> Annotated[CallToolResult, SearchOutput]:
        """Return the chunks of the documents that match some words best, by BM25 in Chinese and English.

        At once, and without a language model. A chunk is a few paragraphs long; fewer than `k` may share a word with
        the query.
        """
        chunks: list[FoundChunk] = [
            {
                "source": document.metadata["source"],
                "page": document.metadata["page"],
                "start": document.metadata["start"],
                "end": document.metadata["end"],
                "score": round(document.metadata["score"], 3),
                "text": document.page_content,
            }
            for document in self._retriever.invoke(query, k=k)
        ]
        text = "\n\n".join(f"[{number}] {describe(chunk)}" for number, chunk in enumerate(chunks, 1))
        return tool_result(text or "No chunk shares a word with the query.", SearchOutput(chunks=chunks))

    def list_documents(self) -> Annotated[CallToolResult, DocumentsOutput]:
        """List the documents with their numbers of chunks and characters."""
        lines = [f"{d['source']}: {d['chunks']:,} chunks, {d['characters']:,} characters" for d in self.documents]
        return tool_result("\n".join(lines), DocumentsOutput(documents=self.documents))


class Progress:
    """A display whose statuses and lines go to the client, as far as it asked for them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[str | None] = asyncio.Queue()

    def show(self, text: str, done: int = 0, expected: int | None = None) -> None:  # noqa: ARG002 - `text` has both
        """Send a status; this may be called from any thread."""
        self._loop.call_soon_threadsafe(self._messages.put_nowait, text)

    def tell(self, line: str) -> None:
        """Send a line, likewise."""
        self.show(line)

    def end(self, _: object) -> None:
        """Let `report` end, once it has sent all."""
        self._messages.put_nowait(None)

    async def report(self, context: Context[Any, Any]) -> None:
        """Send what comes, until the end.

        How much there is to do is not known beforehand, so that the number is the message's own.
        """
        for number in count(1):
            message = await self._messages.get()
            if message is None:
                return
            await context.report_progress(number, message=sendable(message))


class Cancellation(BaseCallbackHandler):
    """Ends the run of a cancelled question in its threads, with the model's next token or before its next call.

    Attributes:
        is_cancelled: Whether it is to end.
    """

    def __init__(self) -> None:
        self.is_cancelled = False

    def _check(self, *_: object, **__: object) -> None:
        if self.is_cancelled:
            # Not an `Exception`, which LangChain would log, and retry or take for the model's failure.
            raise asyncio.CancelledError

    on_chat_model_start = _check
    on_llm_new_token = _check
    on_custom_event = _check


def describe(chunk: FoundChunk) -> str:
    """Return a chunk below the place where it stands."""
    where = place(chunk["source"], chunk["page"])
    return f"{where}, characters {chunk['start']}-{chunk['end']}, score {chunk['score']}:\n{chunk['text']}"


def tool_result(text: str, structured: QAOutput | SearchOutput | DocumentsOutput) -> CallToolResult:
    """Return a result for people and models to read, and for programs."""
    return CallToolResult(
        content=[TextContent(type="text", text=sendable(text))], structured_content=sendable(dict(structured))
    )


def sendable(value: ValueT) -> ValueT:
    """Return a value as JSON can carry it: half a character, as an odd file name may have, becomes a question mark."""
    sent: ValueT = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return sent
