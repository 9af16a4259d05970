"""What the commands work with: a model, the documents, what is kept between runs, and a way to ask."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import click

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.console import counted, format_gaps, format_index, shown, status
from langchain_qwen_longctx.errors import InputError, LongContextError
from langchain_qwen_longctx.persistence import CANNOT_KEEP, ItemT, ReplyCache

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from langchain_qwen_longctx.chat import ChatInput
    from langchain_qwen_longctx.cli_options import Settings
    from langchain_qwen_longctx.indexing import IndexReport
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
    from langchain_qwen_longctx.schemas import QAInput, QAOutput

logger = logging.getLogger(__name__)

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

UNNAMED_THREAD: Final = "unnamed"

POSTGRES: Final = "QWEN_LONGCTX_POSTGRES"
"""The address of a database is in the environment alone: it has a password, and other users may see the options."""


class KeptReplies(ReplyCache):
    """Replies that outlast the run, and how many of them it has used or added."""

    def __init__(self, replies: ReplyCache) -> None:
        self._replies = replies
        self._keys: set[str] = set()

    @property
    def count(self) -> int:
        """How many replies the same command would find."""
        return len(self._keys)

    def find(self, key: str) -> str | None:
        """Return the reply kept under a key, or None."""
        text = self._replies.find(key)
        if text is not None:
            self._keys.add(key)
        return text

    @contextmanager
    def claimed(self, key: str, seconds: float) -> Iterator[str | None]:
        """Yield the reply kept under a key, or None if it is the caller's to make."""
        with self._replies.claimed(key, seconds) as text:
            if text is not None:
                self._keys.add(key)
            yield text

    def in_own_order(self, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """Return things to be asked about in the order in which this worker does that."""
        return self._replies.in_own_order(items)

    def keep(self, key: str, text: str) -> bool:
        """Keep a reply, and tell whether it could be."""
        is_kept = self._replies.keep(key, text)
        if is_kept:
            self._keys.add(key)
        return is_kept


def base_folder(cache_dir: Path | None) -> Path:
    """Return the folder for everything that is kept between runs.

    The user's cache folder is for nobody else to read; what an earlier version left open is closed.
    """
    from langchain_qwen_longctx.model_files import default_cache_dir
    from langchain_qwen_longctx.private_files import close_to_others

    if cache_dir:
        return cache_dir
    close_to_others(default_cache_dir())
    return default_cache_dir()


def index_folder(cache_dir: Path | None) -> Path:
    """Return the folder of the saved indexes."""
    return base_folder(cache_dir) / "index"


@contextmanager
def opened_replies(settings: Settings, thread: str | None = None) -> Iterator[KeptReplies | None]:
    """Open the kept replies, and say what is kept if the work with them is interrupted.

    Yields:
        The replies; None if none are to be kept, or cannot be.

    Raises:
        click.Abort: It was interrupted; the message says what is kept.
    """
    replies = None if settings.no_cache else open_replies(base_folder(settings.cache_dir) / "replies")
    try:
        yield replies
    except KeyboardInterrupt as error:
        click.echo(err=True)  # the terminal has put ^C on this line
        raise click.Abort(what_is_kept(replies, settings, thread)) from error


def open_replies(folder: Path) -> KeptReplies | None:
    """Return the replies kept in a folder, or in the PostgreSQL database that the environment names.

    None if they cannot be used, which costs later runs time and no answer.
    """
    from langchain_qwen_longctx.persistence import open_reply_cache
    from langchain_qwen_longctx.postgres import open_postgres_cache

    url = os.environ.get(POSTGRES)
    try:
        return KeptReplies(open_postgres_cache(url) if url else open_reply_cache(folder))
    except (OSError, InputError) as error:
        logger.warning(CANNOT_KEEP, error)
        return None


def what_is_kept(replies: KeptReplies | None, settings: Settings, thread: str | None) -> str:
    """Return what an interrupted command says."""
    said = ["Interrupted."]
    if thread:
        said.append(f"Thread {thread} is kept, without the question under way.")
    if settings.no_cache:
        said.append("No index and no reply is kept, because of --no-cache; the same command begins anew.")
    elif replies and replies.count:
        kept = "1 reply of the model is" if replies.count == 1 else f"{replies.count:,} replies of the model are"
        said.append(f"{kept} kept; the same command goes on from there.")
    else:
        said.append("Saved indexes are kept; the same command goes on from them.")
    return " ".join(said)


def open_model(settings: Settings) -> BaseChatModel:
    """Return the named model, or the best there is, and say which it is."""
    return open_named_model(settings)[1]


def open_named_model(settings: Settings) -> tuple[str, BaseChatModel]:
    """Return what `--model` would call the model, and the model."""
    from langchain_qwen_longctx.doctor import TRACED, check_model, choose_model, tracing_address

    with status("Looking for a model"):
        name = settings.model or choose_model(settings.base_url)
        check_model(name, settings.base_url)
        model = make_model(name, settings)
    click.echo(f"Model: {name}", err=True)
    if address := tracing_address():
        click.echo(f"LangSmith tracing is on (LANGSMITH_TRACING): {TRACED} go to {address}", err=True)
    return name, model


def make_model(name: str, settings: Settings) -> BaseChatModel:
    """Return the model of a name, which the options say the rest of."""
    from langchain_qwen_longctx.chat_models import create_chat_model

    config = settings.config()
    return create_chat_model(
        name,
        context_window=config.context_window,
        answer_tokens=config.answer_tokens,
        base_url=settings.base_url,
        api_key=settings.api_key,
        cache_dir=settings.cache_dir,
    )


def open_documents(paths: tuple[str, ...], settings: Settings) -> BilingualBM25Retriever:
    """Return the index of the documents that the options name."""
    folder = None if settings.no_cache else index_folder(settings.cache_dir)
    return read_documents(paths, settings.glob, settings.exclude, folder)


def read_documents(
    paths: tuple[str, ...], glob: str, exclude: tuple[str, ...], folder: Path | None
) -> BilingualBM25Retriever:
    """Index the documents behind a progress bar and say what became of them."""
    from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES
    from langchain_qwen_longctx.indexing import open_index

    with counted("Indexing") as on_file:
        retriever, report = open_index(
            paths,
            cache_dir=folder,
            chunk_tokens=LongContextConfig().chunk_tokens,
            glob=glob,
            exclude=(*DEFAULT_EXCLUDES, *exclude),
            on_file=on_file,
        )
    tell_index(report)
    return retriever


def index_on_ray(paths: tuple[str, ...], glob: str, exclude: tuple[str, ...], folder: Path) -> None:
    """Index the documents as `read_documents` does, each file in a task of Ray, and hold none in memory.

    Raises:
        InputError: One of them is standard input, or Ray cannot be used.
    """
    from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES, STDIN_PATH
    from langchain_qwen_longctx.indexing import index_files
    from langchain_qwen_longctx.ray_tasks import in_tasks, opened_ray

    if str(STDIN_PATH) in paths:
        msg = "standard input ('-') is this process's alone; with --ray, give the documents as files or folders"
        raise InputError(msg)

    def index_each(files: Sequence[Path]) -> Generator[tuple[int, IndexReport], None, None]:
        shares = ((number, path, folder) for number, path in enumerate(files))
        with opened_ray(), counted("Indexing") as on_file:
            on_file("", 0, len(files))
            for done, numbered in enumerate(in_tasks(index_share, shares), 1):
                on_file("", done, len(files))
                yield numbered

    tell_index(index_files(paths, index_each, cache_dir=folder, glob=glob, exclude=(*DEFAULT_EXCLUDES, *exclude)))


def index_share(number: int, path: Path, folder: Path) -> Iterator[tuple[int, IndexReport]]:
    """Index a file in a worker, and yield its number and what became of it."""
    from langchain_qwen_longctx.indexing import index_file

    yield number, index_file(path, folder, LongContextConfig().chunk_tokens)[1]


def tell_index(report: IndexReport) -> None:
    """Say on stderr what became of the files."""
    for error in report.failed:
        click.echo(f"Skipped {shown(str(error))}", err=True)
    click.echo(format_index(report), err=True)
    if report.gaps:
        click.echo(format_gaps(report.gaps), err=True)


def open_qa(paths: tuple[str, ...], settings: Settings, replies: KeptReplies | None) -> Callable[[str], QAOutput]:
    """Return a function that answers a question and says on stderr what it is at."""
    from langchain_qwen_longctx.graphs.long_context_qa import build_graph

    model, retriever, config = open_model(settings), open_documents(paths, settings), settings.config()
    qa = build_graph(model=model, retriever=retriever, config=config, cache=replies).compile(name="long_context_qa")

    def invoke(turn: ChatInput, run_config: RunnableConfig) -> QAOutput:
        return cast("QAOutput", qa.invoke(cast("QAInput", turn), run_config))

    return partial(run, invoke, settings, len(retriever.docs))


def open_conversation(
    paths: tuple[str, ...], settings: Settings, replies: KeptReplies | None, thread: str | None
) -> Callable[[str], QAOutput]:
    """Return a function that answers questions which may refer to earlier ones.

    Args:
        paths: The documents.
        settings: The options.
        replies: Where replies are kept.
        thread: The conversation to go on with; None begins one that is not kept.
    """
    checkpointer = open_threads(base_folder(settings.cache_dir) / "threads" if thread else None)
    model, retriever = open_model(settings), open_documents(paths, settings)
    graph = build_conversation(model, retriever, settings, replies, checkpointer)
    place: RunnableConfig = {"configurable": {"thread_id": thread or UNNAMED_THREAD}}
    if thread:
        earlier = len(graph.get_state(place).values.get("messages", [])) // 2
        click.echo(f"Thread: {thread}, {earlier} earlier question{'s' * (earlier != 1)}", err=True)
    return partial(run, partial(take_turn, graph, place), settings, len(retriever.docs))


def build_conversation(
    model: BaseChatModel,
    retriever: BilingualBM25Retriever,
    settings: Settings,
    replies: KeptReplies | None,
    checkpointer: BaseCheckpointSaver[Any],
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the graph of conversations about documents."""
    from langchain_qwen_longctx.chat import build_chat_graph
    from langchain_qwen_longctx.graphs.long_context_qa import build_graph

    qa = build_graph(model=model, retriever=retriever, config=settings.config(), cache=replies)
    compiled = qa.compile(checkpointer=False, name="long_context_qa")
    return build_chat_graph(compiled).compile(checkpointer=checkpointer)


def take_turn(
    graph: CompiledStateGraph[Any, Any, Any, Any], place: RunnableConfig, turn: ChatInput, run_config: RunnableConfig
) -> QAOutput:
    """Answer a question of a conversation; only what it has come to is kept, not that it was asked.

    Nor are the states before: each holds the conversation up to then, so that together they grow with its square.
    """
    from langchain_qwen_longctx.threads import ThreadSaver

    result = graph.invoke(turn, {**run_config, **place}, durability="exit")["result"]
    if isinstance(graph.checkpointer, ThreadSaver):
        graph.checkpointer.prune([place["configurable"]["thread_id"]])
    return cast("QAOutput", result)


def answer_each(answer: Callable[[str], object]) -> None:
    """Answer the questions of standard input, one a line; an error ends one of them, not the rest."""
    from langchain_qwen_longctx.chat import questions

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    for question in questions():
        try:
            answer(question)
        except LongContextError as error:
            click.echo(f"Error: {shown(str(error))}", err=True)


def open_threads(folder: Path | None) -> BaseCheckpointSaver[Any]:
    """Return the checkpointer of a folder, or without one, of this run.

    Raises:
        InputError: The folder cannot be used.
    """
    from langgraph.checkpoint.memory import InMemorySaver

    from langchain_qwen_longctx.persistence import open_checkpointer

    if folder is None:
        return InMemorySaver()
    saver = open_checkpointer(folder)
    saver.is_forgiving = True
    return saver


def run(
    invoke: Callable[[ChatInput, RunnableConfig], QAOutput], settings: Settings, chunks: int, question: str
) -> QAOutput:
    """Answer a question, saying on stderr what is going on.

    Args:
        invoke: A graph's `invoke`.
        settings: The options.
        chunks: Chunks of the documents.
        question: The question.
    """
    from langchain_qwen_longctx.graphs.reading import most_readings
    from langchain_qwen_longctx.progress import narrating
    from langchain_qwen_longctx.transport import within

    turn: ChatInput = {"question": question, "level": settings.level}
    config = settings.config()
    # Left to itself, a question is read for only where level 1 has found nothing.
    most = most_readings(config, is_tried=settings.level == "auto")
    with narrating(chunks, replace(config, max_readings=most), is_verbose=settings.verbose) as narrator:
        # LangGraph holds an interruption back until the calls under way have ended, which on a slow model takes
        # minutes. In a thread of its own it does not hold back the one that hears of the interruption.
        return within(threading.TIMEOUT_MAX, invoke, turn, {"callbacks": [narrator]})
