"""`qwen-longctx notes`: search a folder of notes and ask it questions, in whatever state the notes are by then."""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from langchain_qwen_longctx.cli_options import Settings, cache_option, effort_options, model_options
from langchain_qwen_longctx.cli_parts import (
    UNNAMED_THREAD,
    answer_each,
    base_folder,
    build_conversation,
    open_model,
    open_threads,
    opened_replies,
    run,
    take_turn,
)
from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.console import (
    EXIT_ANSWERED,
    EXIT_NOT_FOUND,
    counted,
    format_answer,
    one_line,
    shown,
    tell_outcome,
)
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableConfig

    from langchain_qwen_longctx.cli_parts import KeptReplies
    from langchain_qwen_longctx.note_search import Hit, NoteCitation
    from langchain_qwen_longctx.notes import NotesReport
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
    from langchain_qwen_longctx.schemas import Citation, QAOutput

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx notes ~/notes "What did we agree on with the harbour office?"
  qwen-longctx notes ~/notes --folder projects --tag 灯塔 "预算是多少？"
  qwen-longctx notes ~/notes --search "lamp oil"
  qwen-longctx notes ~/notes
"""

MAX_SNIPPET: Final = 160
"""Characters of a sentence that are shown of a note that was found; `--json` has the whole."""


@click.command("notes", epilog=EXAMPLES, short_help="Search a folder of notes and ask it questions")
@click.argument("directory", metavar="DIR", type=click.Path())
@click.argument("question", required=False)
@click.option("--folder", metavar="SUB", help="Only notes in this folder of DIR.")
@click.option(
    "--tag", multiple=True, metavar="TAG", help="Only notes with this tag, or one below it; repeatable: all of them."
)
@click.option("--search", is_flag=True, help="List the notes that fit, with the place in each; no model is asked.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="With --search: notes at most.",
)
@click.option("--json", "as_json", is_flag=True, envvar="QWEN_LONGCTX_NOTES_JSON", help="Print JSON instead of text.")
@effort_options
@model_options
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out files and folders of DIR; repeatable.")
@cache_option
def notes_command(
    *,
    directory: str,
    question: str | None,
    folder: str | None,
    tag: tuple[str, ...],
    search: bool,
    limit: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Answer QUESTION from the notes in DIR, or one question after another, one a line of standard input.

    The notes are Markdown as Obsidian writes it, and whatever else lies beside them that `ask` can read. Their index is
    kept in the cache folder, and brought up to date before every question: only new and changed files are read.

    What is found is told with file and line. Front matter (title, aliases, tags), tags in the text and the names of
    links help to find it.

    Exit codes: 0 answered or found, 1 not in the notes, 2 bad input, 3 no model, 4 the budget ran out before any
    answer, 130 interrupted.
    """
    if question is not None and not question.strip():
        msg = "the question is empty; ask something, or leave it out to ask one after another"
        raise InputError(msg)
    settings = Settings(**options)
    settings.config()
    notes, gap = Notes(directory, settings, folder, tag), "" if as_json else "\n"
    if search:
        respond(notes, partial(show_hits, notes, limit=limit, as_json=as_json), question, gap=gap)
        return
    with opened_replies(settings) as replies:
        converse = Conversation(notes, settings, replies)
        respond(notes, partial(show_answer, converse, as_json=as_json), question, gap=gap)


class Notes:
    """The part of a folder of notes that is asked, and what to say about it on stderr.

    Args:
        directory: The folder.
        settings: The options.
        subfolder: Only notes in this folder of it.
        tags: Only notes with all of these tags.

    Raises:
        LongContextError: There are no such notes.
    """

    def __init__(self, directory: str, settings: Settings, subfolder: str | None, tags: Sequence[str]) -> None:
        from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES
        from langchain_qwen_longctx.notes import open_notes

        with counted("Indexing") as on_file:
            self.index, report = open_notes(
                directory,
                cache_dir=None if settings.no_cache else base_folder(settings.cache_dir) / "notes",
                chunk_tokens=LongContextConfig().chunk_tokens,
                exclude=(*DEFAULT_EXCLUDES, *settings.exclude),
                on_file=on_file,
            )
        tell(report)
        self._narrow = partial(self.index.narrowed, subfolder, tags)
        self._whole, self.retriever = self.index.retriever, self._narrow()

    def refresh(self) -> None:
        """Bring the index up to date, and say so if it was not."""
        with counted("Indexing") as on_file:
            report = self.index.refresh(on_file)
        if report.new or report.changed or report.removed or report.failed:
            tell(report)
        if self.index.retriever is not self._whole:
            self._whole, self.retriever = self.index.retriever, self._narrow()

    def path(self, source: str) -> str:
        """Return the path of a note as one would type it here."""
        return str(self.index.folder / source)


class Conversation:
    """Answers questions, which may refer to earlier ones, from the notes as they are by then."""

    def __init__(self, notes: Notes, settings: Settings, replies: KeptReplies | None) -> None:
        self._notes, self._settings, self._replies = notes, settings, replies
        self._model, self._checkpointer = open_model(settings), open_threads(None)
        self._searched: BilingualBM25Retriever | None = None
        self._place: RunnableConfig = {"configurable": {"thread_id": UNNAMED_THREAD}}

    def __call__(self, question: str) -> QAOutput:
        """Answer a question; the citations have the `line` of the file as well, and the note's path as their source."""
        retriever = self._notes.retriever
        if retriever is not self._searched:
            built = build_conversation(self._model, retriever, self._settings, self._replies, self._checkpointer)
            self._searched, self._graph = retriever, built
        invoke = partial(take_turn, self._graph, self._place)
        result = run(invoke, self._settings, len(retriever.docs), question)
        located: list[Any] = [self._located(citation, retriever.docs) for citation in result["citations"]]
        return {**result, "citations": located}

    def _located(self, citation: Citation, chunks: Sequence[Document]) -> NoteCitation:
        from langchain_qwen_longctx.note_reading import line_of

        chunk = next(chunk for chunk in chunks if chunk.metadata["chunk_id"] == citation["chunk_id"])
        source = self._notes.path(citation["source"])
        return {**citation, "source": source, "line": line_of(chunk, citation["start"])}


def respond(notes: Notes, answer: Callable[[str], int], question: str | None, *, gap: str) -> None:
    """Answer one question and exit with its code, or those of standard input until it ends, with gaps between."""
    if question is not None:
        sys.exit(answer(question))

    def answer_from_fresh(line: str) -> None:
        notes.refresh()
        answer(line)
        click.echo(gap, nl=False)

    answer_each(answer_from_fresh)


def show_answer(converse: Conversation, question: str, *, as_json: bool) -> int:
    """Print an answer, and what it took, and return the exit code that it stands for."""
    result = converse(question)
    cited: list[Any] = result["citations"]
    placed: Any = {**result, "citations": [{**spot, "source": place(spot), "page": None} for spot in cited]}
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else format_answer(placed))
    return tell_outcome(result)


def show_hits(notes: Notes, question: str, *, limit: int, as_json: bool) -> int:
    """Print the notes that fit, and return the exit code that this stands for."""
    from langchain_qwen_longctx.analyzers import analyze
    from langchain_qwen_longctx.note_search import search

    hits = search(notes.retriever, notes.index.notes, question, limit)
    hits = [{**hit, "source": notes.path(hit["source"])} for hit in hits]
    if as_json:
        click.echo(json.dumps({"question": question, "hits": hits}, ensure_ascii=False))
    elif hits:
        click.echo("\n".join(format_hit(hit, frozenset(analyze(question))) for hit in hits))
    else:
        click.echo("No note fits.", err=True)
    return EXIT_ANSWERED if hits else EXIT_NOT_FOUND


def tell(report: NotesReport) -> None:
    """Say on stderr what a refresh has found."""
    for error in report.failed:
        click.echo(f"Skipped {shown(str(error))}", err=True)
    news = {"new": report.new, "changed": report.changed, "removed": report.removed, "unreadable": report.unreadable}
    told = ", ".join(f"{count:,} {what}" for what, count in news.items() if count) or "unchanged"
    click.echo(f"Notes: {report.notes:,} ({told}), {report.chunks:,} chunks", err=True)


def place(spot: NoteCitation | Hit) -> str:
    """Return where a quote stands, in a form that editors open."""
    source = shown(spot["source"])
    if spot["line"]:
        return f"{source}:{spot['line']}"
    return f"{source} p. {spot['page']}" if spot["page"] else source


def format_hit(hit: Hit, terms: frozenset[str]) -> str:
    """Return two lines on a note that was found: where, and what stands there."""
    title = hit["title"] if hit["title"] != Path(hit["source"]).stem else ""
    head = click.style(place(hit), fg="cyan") + (f"  {click.style(one_line(title), bold=True)}" if title else "")
    return f"{head}\n    {snippet(one_line(hit['quote']), terms)}"


def snippet(text: str, terms: frozenset[str]) -> str:
    """Return a text, or the part of a long one around the first of the terms in it, with the terms in bold."""
    from langchain_qwen_longctx.analyzers import analyze

    han = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True) if not term.isascii())
    words = re.compile(rf"(?P<found>{han or '(?!)'})|[A-Za-z0-9][\w'’\-]*")

    def is_found(word: re.Match[str]) -> bool:
        return word["found"] is not None or not terms.isdisjoint(analyze(word.group()))

    first = next((word.start() for word in words.finditer(text) if is_found(word)), 0)
    begin = first - MAX_SNIPPET // 4 if len(text) > MAX_SNIPPET and first > MAX_SNIPPET // 2 else 0
    shown = text[begin : begin + MAX_SNIPPET]
    bold = words.sub(lambda word: click.style(word.group(), bold=True) if is_found(word) else word.group(), shown)
    return f"{'…' * (begin > 0)}{bold}{'…' * (begin + MAX_SNIPPET < len(text))}"
