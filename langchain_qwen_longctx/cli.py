"""The shell: `qwen-longctx ask`, `chat` and `index`, and those of other modules. Parses, calls the library, prints.

Answers go to stdout, everything else to stderr. Every option can be set by an environment variable as well:
`QWEN_LONGCTX_ASK_MODEL` for `ask --model`, and so on.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from langchain_qwen_longctx import __version__
from langchain_qwen_longctx.cli_bench import bench_command
from langchain_qwen_longctx.cli_doctor import doctor_command
from langchain_qwen_longctx.cli_eval import evaluate_command, generate_command
from langchain_qwen_longctx.cli_mcp import mcp_command
from langchain_qwen_longctx.cli_notes import notes_command
from langchain_qwen_longctx.cli_options import (
    Settings,
    effort_options,
    index_options,
    model_options,
    paths_argument,
    ray_option,
)
from langchain_qwen_longctx.cli_parts import (
    answer_each,
    index_folder,
    index_on_ray,
    open_conversation,
    open_documents,
    open_model,
    open_qa,
    opened_replies,
    read_documents,
)
from langchain_qwen_longctx.cli_purge import purge_command
from langchain_qwen_longctx.cli_serve import serve_command
from langchain_qwen_longctx.console import EXIT_NO_MODEL, format_answer, format_forecast, shown, status, tell_outcome
from langchain_qwen_longctx.errors import ContextOverflowError, InputError, LongContextError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_qwen_longctx.schemas import QAOutput

logger = logging.getLogger(__name__)

# The heavy imports are inside the commands: `--help` answers at once.
# ruff: noqa: PLC0415

EXIT_BAD_INPUT: Final = 2
EXIT_INTERNAL: Final = 70
EXIT_INTERRUPTED: Final = 130

STDIN: Final = "-"

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx ask "Who chaired the board in 2019?" report.pdf
  qwen-longctx ask "用三句话说明股东会的职权" 公司法.md notes/
  pdftotext thesis.pdf - | qwen-longctx ask "What is the main result?" -
  qwen-longctx ask --json --model embedded "When was it founded?" *.docx | jq .citations
\b
  What it would cost to read every chunk, and then to read for ten minutes at most:
  qwen-longctx ask --level read --coverage full --dry-run "Which duties are named?" law.md
  qwen-longctx ask --level read --max-seconds 600 --verbose "Which duties are named?" law.md
\b
  Sub-questions, in fifty calls of the model at most:
  qwen-longctx ask --level reason --max-calls 50 "与第五交响曲创作于同一世纪的交通工具是什么？" notes/
"""

CHAT_EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx chat notes/
  qwen-longctx chat --thread thesis --level read thesis.pdf
  qwen-longctx chat report.pdf < questions.txt > answers.txt
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "QWEN_LONGCTX"})
@click.version_option(__version__, prog_name="qwen-longctx")
def cli() -> None:
    """Ask questions about documents of any size, with a small Qwen model on your own machine."""


@cli.command(epilog=EXAMPLES, short_help="Answer a question from documents")
@click.argument("question")
@paths_argument
@effort_options
@click.option("--dry-run", is_flag=True, help="Say what it would cost, after one short call to time the model.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="QWEN_LONGCTX_ASK_JSON",
    help="Print one JSON object instead of text.",
)
@model_options
@index_options
def ask(*, question: str, paths: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any) -> None:
    """Answer QUESTION from the documents at PATH...: files, folders, or - for standard input.

    Replies of the model are kept: nothing is read twice for the same question, nor after an interruption.

    Put -- before a question that starts with a dash. Every option can be set by an environment variable as well, such
    as QWEN_LONGCTX_ASK_MODEL for --model.

    Exit codes: 0 answered, 1 not in the documents, 2 bad input, 3 no model, 4 the budget ran out before any answer,
    130 interrupted.
    """
    if not question.strip():
        msg = "the question is empty; ask something"
        raise InputError(msg)
    settings = Settings(**options)
    settings.check(paths)
    if dry_run:
        show_forecast(paths, settings, as_json=as_json)
        return
    with opened_replies(settings) as replies:
        result = open_qa(paths, settings, replies)(question)
    sys.exit(show(result, as_json=as_json))


@cli.command(epilog=CHAT_EXAMPLES, short_help="Answer one question after another")
@paths_argument
@click.option("--thread", metavar="NAME", help="Keep the conversation under this name, and go on with it next time.")
@effort_options
@model_options
@index_options
def chat(*, paths: tuple[str, ...], thread: str | None, **options: Any) -> None:
    """Answer questions about the documents at PATH..., which may refer to earlier ones: one a line of standard input.

    It ends with the input, or with a line that says exit or quit. An error ends one question, not the conversation.

    Exit codes: 0 ended, 2 bad input, 3 no model, 130 interrupted.
    """
    if STDIN in paths:
        msg = "standard input ('-') brings the questions; give the documents as files or folders"
        raise InputError(msg)
    settings = Settings(**options)
    settings.check(paths)
    with opened_replies(settings, thread) as replies:
        answer = open_conversation(paths, settings, replies, thread)
        answer_each(lambda question: show(answer(question), end="\n\n"))


@cli.command(short_help="Index documents ahead of questions")
@paths_argument
@index_options
@ray_option
def index(*, paths: tuple[str, ...], glob: str, exclude: tuple[str, ...], cache_dir: Path | None, ray: bool) -> None:
    """Read and index the documents at PATH... ahead of questions; only new and changed files are read."""
    (index_on_ray if ray else read_documents)(paths, glob, exclude, index_folder(cache_dir))


cli.add_command(bench_command)
cli.add_command(doctor_command)
cli.add_command(evaluate_command)
cli.add_command(generate_command)
cli.add_command(mcp_command)
cli.add_command(notes_command)
cli.add_command(purge_command)
cli.add_command(serve_command)


def show(result: QAOutput, *, as_json: bool = False, end: str = "\n") -> int:
    """Print an answer, and what it took, and return the exit code that it stands for."""
    click.echo((json.dumps(result, ensure_ascii=False) if as_json else format_answer(result)) + end, nl=False)
    return tell_outcome(result)


def show_forecast(paths: tuple[str, ...], settings: Settings, *, as_json: bool) -> None:
    """Print what a question would cost."""
    from langchain_qwen_longctx.graphs.forecast import qa_forecast

    model, retriever = open_model(settings), open_documents(paths, settings)
    with status("Timing the model"):
        forecast = qa_forecast(
            model=model, retriever=retriever, config=settings.config(), level=settings.level, measure=True
        )
    click.echo(json.dumps(forecast) if as_json else format_forecast(forecast))


def end_interrupted(message: str) -> NoReturn:
    """Say what is kept, and end at once."""
    # Whatever this waits for now, such as a terminal that is held, another interruption ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    click.echo(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # In its usual way, Python waits for LangGraph's threads, and so for the calls of the model that are under way.
    os._exit(EXIT_INTERRUPTED)


class CurrentStderr:
    """Whatever stderr is at the time: while progress is shown, a stand-in of rich that writes above it."""

    def write(self, text: str) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


def main() -> None:
    """Run the command line and turn errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=CurrentStderr())
    logging.captureWarnings(capture=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal does not know, or an odd file name, must not cost the answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort as error:
        end_interrupted(str(error) or "Interrupted. Saved indexes are kept; the same command goes on from them.")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LongContextError as error:
        click.echo(f"Error: {shown(str(error))}", err=True)
        # A window that is too small for its prompt is set by the user, not by the model.
        is_model_missing = isinstance(error, ModelError) and not isinstance(error, ContextOverflowError)
        sys.exit(EXIT_NO_MODEL if is_model_missing else EXIT_BAD_INPUT)
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            click.echo(f"Error: there is no room for what is to be written ({error}); make some", err=True)
            sys.exit(EXIT_BAD_INPUT)
        # Python's own exit code for a crash is 1, which here means "not in the documents".
        logger.exception("This is a fault of qwen-longctx; please report it with the lines below.")
        sys.exit(EXIT_INTERNAL)
