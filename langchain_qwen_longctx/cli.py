"""The shell: `qwen-longctx ask`, `index` and `doctor`. Parses, calls the library, prints.

Answers go to stdout, everything else to stderr. Every option can be set by an environment variable as well:
`QWEN_LONGCTX_ASK_MODEL` for `ask --model`, and so on.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from langchain_qwen_longctx import __version__
from langchain_qwen_longctx.console import Narrator, file_progress, format_answer, format_cost, format_index, status
from langchain_qwen_longctx.errors import ContextOverflowError, LongContextError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
    from langchain_qwen_longctx.schemas import Level, QAOutput

logger = logging.getLogger(__name__)

# The heavy imports are inside the commands: `--help` answers at once.
# ruff: noqa: PLC0415

EXIT_ANSWERED: Final = 0
EXIT_NOT_FOUND: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_NO_MODEL: Final = 3
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPTED: Final = 130

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx ask "Who chaired the board in 2019?" report.pdf
  qwen-longctx ask "用三句话说明股东会的职权" 公司法.md notes/
  pdftotext thesis.pdf - | qwen-longctx ask "What is the main result?" -
  qwen-longctx ask --json --model embedded "When was it founded?" *.docx | jq .citations
"""


def paths_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Files, folders or `-`; left as text, because an empty path would become the working folder as a `Path`."""
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())(command)


def index_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that reads documents."""
    for option in (
        click.option(
            "--cache-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of saved indexes and the embedded model. [default: the user's cache folder]",
        ),
        click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out files of a folder; repeatable."),
        click.option("--glob", default="**/*", show_default=True, help="Which files of a folder to read."),
    ):
        command = option(command)
    return command


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that calls a model."""
    for option in (
        click.option("--api-key", help="Key for an openai: server.", show_default=False),
        click.option("--base-url", metavar="URL", help="Address of the model's server."),
        click.option(
            "--model",
            metavar="MODEL",
            help="ollama:NAME, embedded, embedded:FILE.gguf or openai:NAME. [default: ollama:qwen2:7b if there, else "
            "the largest Qwen model of the Ollama server, else embedded]",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "QWEN_LONGCTX"})
@click.version_option(__version__, prog_name="qwen-longctx")
def cli() -> None:
    """Ask questions about documents of any size, with a small Qwen model on your own machine."""


@cli.command(epilog=EXAMPLES, short_help="Answer a question from documents")
@click.argument("question")
@paths_argument
@click.option(
    "--level",
    type=click.Choice(["auto", "retrieve"]),
    default="auto",
    show_default=True,
    help="How hard to try.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="QWEN_LONGCTX_ASK_JSON",
    help="Print one JSON object instead of text.",
)
@click.option(
    "--context-window", type=int, default=8192, show_default=True, metavar="TOKENS", help="Prompt and answer together."
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep saved indexes.")
@model_options
@index_options
def ask(  # noqa: PLR0913 - one parameter an option
    *,
    question: str,
    paths: tuple[str, ...],
    level: Level,
    as_json: bool,
    context_window: int,
    model: str | None,
    base_url: str | None,
    api_key: str | None,
    glob: str,
    exclude: tuple[str, ...],
    cache_dir: Path | None,
    no_cache: bool,
) -> None:
    """Answer QUESTION from the documents at PATH...: files, folders, or - for standard input.

    Put -- before a question that starts with a dash. Every option can be set by an environment variable as well, such
    as QWEN_LONGCTX_ASK_MODEL for --model.

    Exit codes: 0 answered, 1 not in the documents, 2 bad input, 3 no model, 130 interrupted.
    """
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.errors import InputError

    if not question.strip():
        msg = "the question is empty; ask something"
        raise InputError(msg)
    config = LongContextConfig.for_window(context_window)
    check_paths(paths, glob, exclude)
    chat_model = open_model(model, config, base_url, api_key, cache_dir)
    retriever = read_documents(paths, config, glob, exclude, None if no_cache else index_folder(cache_dir))
    result = answer(question, level, chat_model, retriever, config)
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else format_answer(result))
    click.echo(format_cost(result), err=True)
    sys.exit(EXIT_ANSWERED if result["found"] else EXIT_NOT_FOUND)


@cli.command(short_help="Index documents ahead of questions")
@paths_argument
@index_options
def index(*, paths: tuple[str, ...], glob: str, exclude: tuple[str, ...], cache_dir: Path | None) -> None:
    """Read and index the documents at PATH... ahead of questions; only new and changed files are read."""
    from langchain_qwen_longctx.config import LongContextConfig

    read_documents(paths, LongContextConfig(), glob, exclude, index_folder(cache_dir))


@cli.command(short_help="Say what is installed and what is missing")
@click.option("--base-url", metavar="URL", help="Address of the Ollama server.")
@click.option("--cache-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder to look at.")
def doctor(*, base_url: str | None, cache_dir: Path | None) -> None:
    """Say what is installed, which servers and models there are, and how to close each gap.

    Exit codes: 0 if at least one model can answer, else 3.
    """
    from langchain_qwen_longctx.chat_models import WAYS_TO_GET_A_MODEL
    from langchain_qwen_longctx.doctor import examine, is_usable

    checks = examine(base_url, base_folder(cache_dir))
    for check in checks:
        click.echo(f"{check.status:8}{check.subject:16}{check.finding}")
        if check.remedy:
            click.echo(f"{'':24}-> {check.remedy}")
    if not is_usable(checks):
        click.echo(f"\nNo model can answer yet. Get one:\n{WAYS_TO_GET_A_MODEL}")
        sys.exit(EXIT_NO_MODEL)


def base_folder(cache_dir: Path | None) -> Path:
    """Return the folder for everything that is kept between runs."""
    from langchain_qwen_longctx.model_files import default_cache_dir

    return cache_dir or default_cache_dir()


def index_folder(cache_dir: Path | None) -> Path:
    """Return the folder of the saved indexes."""
    return base_folder(cache_dir) / "index"


def check_paths(paths: tuple[str, ...], glob: str, exclude: tuple[str, ...]) -> None:
    """Complain of a mistyped path before a model is looked for or loaded."""
    from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES, find_files

    find_files(list(paths), glob=glob, exclude=(*DEFAULT_EXCLUDES, *exclude), on_error=lambda _: None)


def open_model(
    name: str | None, config: LongContextConfig, base_url: str | None, api_key: str | None, cache_dir: Path | None
) -> BaseChatModel:
    """Return the named model, or the best there is, and say which it is."""
    from langchain_qwen_longctx.chat_models import create_chat_model
    from langchain_qwen_longctx.doctor import check_model, choose_model

    with status("Looking for a model"):
        name = name or choose_model(base_url)
        check_model(name, base_url)
        model = create_chat_model(
            name,
            context_window=config.context_window,
            answer_tokens=config.answer_tokens,
            base_url=base_url,
            api_key=api_key,
            cache_dir=cache_dir,
        )
    click.echo(f"Model: {name}", err=True)
    return model


def read_documents(
    paths: tuple[str, ...], config: LongContextConfig, glob: str, exclude: tuple[str, ...], folder: Path | None
) -> BilingualBM25Retriever:
    """Index the documents behind a progress bar and say what became of them."""
    from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES
    from langchain_qwen_longctx.indexing import open_index

    with file_progress() as on_file:
        retriever, report = open_index(
            paths,
            cache_dir=folder,
            chunk_tokens=config.chunk_tokens,
            glob=glob,
            exclude=(*DEFAULT_EXCLUDES, *exclude),
            on_file=on_file,
        )
    for error in report.failed:
        click.echo(f"Skipped {error}", err=True)
    click.echo(format_index(report), err=True)
    return retriever


def answer(
    question: str,
    level: Level,
    model: BaseChatModel,
    retriever: BilingualBM25Retriever,
    config: LongContextConfig,
) -> QAOutput:
    """Run the graph, saying on stderr what it is at."""
    from langchain_qwen_longctx.graphs.long_context_qa import build_graph
    from langchain_qwen_longctx.schemas import QAOutput

    qa = build_graph(model=model, retriever=retriever, config=config).compile(name="long_context_qa")
    narrator = Narrator(len(retriever.docs))
    result: Any = None
    with status(narrator.message) as update:
        # With two modes and subgraphs, each part is (path of the subgraph, mode, data); the type says less.
        parts: Any = qa.stream(
            {"question": question, "level": level}, stream_mode=["updates", "values"], subgraphs=True
        )
        for namespace, mode, data in parts:
            if mode == "updates":
                update(narrator.follow(data))
            elif not namespace:
                result = data
    # Streamed values hold the inner channels as well.
    return cast("QAOutput", {name: result[name] for name in QAOutput.__annotations__})


def main() -> None:
    """Run the command line and turn errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.captureWarnings(capture=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal does not know, or an odd file name, must not cost the answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Interrupted. Saved indexes are kept; the same command goes on from them.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LongContextError as error:
        click.echo(f"Error: {error}", err=True)
        # A window that is too small for its prompt is set by the user, not by the model.
        is_model_missing = isinstance(error, ModelError) and not isinstance(error, ContextOverflowError)
        sys.exit(EXIT_NO_MODEL if is_model_missing else EXIT_BAD_INPUT)
    except Exception:
        # Python's own exit code for a crash is 1, which here means "not in the documents".
        logger.exception("This is a fault of qwen-longctx; please report it with the lines below.")
        sys.exit(EXIT_INTERNAL)
