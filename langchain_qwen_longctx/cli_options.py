"""The options of the commands, and what those of `ask` and `chat` come to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click

from langchain_qwen_longctx.config import LongContextConfig, ReadingCoverage

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_qwen_longctx.schemas import Level

LEVELS: Final = ("auto", "retrieve", "read", "reason")
"""Those of `schemas.Level`, which would load pydantic."""

_DEFAULTS: Final = LongContextConfig()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that `ask` and `chat` let one choose, as the options name it."""

    level: Level = "auto"
    coverage: ReadingCoverage = _DEFAULTS.coverage
    concurrency: int = _DEFAULTS.concurrency
    max_calls: int | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None
    context_window: int = _DEFAULTS.context_window
    no_cache: bool = False
    verbose: bool = False
    model: str | None
    base_url: str | None
    api_key: str | None = field(repr=False)
    glob: str = "**/*"
    exclude: tuple[str, ...] = ()
    cache_dir: Path | None

    def config(self) -> LongContextConfig:
        """Return the knobs.

        Raises:
            InputError: One of them is out of range.
        """
        return replace(
            LongContextConfig.for_window(self.context_window),
            coverage=self.coverage,
            concurrency=self.concurrency,
            max_model_calls=self.max_calls,
            max_tokens=self.max_tokens,
            max_seconds=self.max_seconds,
        )

    def check(self, paths: tuple[str, ...]) -> None:
        """Complain of a bad option or a mistyped path before a model is looked for or loaded.

        Raises:
            InputError: An option is out of range.
            DocumentError: There is nothing to read under a path.
        """
        from langchain_qwen_longctx.document_loaders import DEFAULT_EXCLUDES, find_files  # noqa: PLC0415 - heavy

        self.config()
        find_files(list(paths), glob=self.glob, exclude=(*DEFAULT_EXCLUDES, *self.exclude), on_error=lambda _: None)


def paths_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Files, folders or `-`; left as text, because an empty path would become the working folder as a `Path`."""
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())(command)


cache_option: Final = click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of all that is kept: indexes, replies, threads, the embedded model. [default: the user's cache "
    "folder]",
)


no_cache_option: Final = click.option(
    "--no-cache", is_flag=True, help="Neither use nor keep saved indexes and replies."
)


ray_option: Final = click.option(
    "--ray",
    is_flag=True,
    help="Deal the work out to all processors with Ray: of this machine, or of the cluster that RAY_ADDRESS names, "
    "whose machines must share the documents and --cache-dir.",
)


concurrency_option: Final = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=_DEFAULTS.concurrency,
    show_default=True,
    metavar="N",
    help="Chunks read side by side; gains if the server answers so many at once.",
)


context_window_option: Final = click.option(
    "--context-window",
    type=int,
    default=_DEFAULTS.context_window,
    show_default=True,
    metavar="TOKENS",
    help="Prompt and answer together.",
)


def index_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that reads documents."""
    for option in (
        cache_option,
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


def effort_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options on how hard to try, what a question may cost, and what is kept and told."""
    command = click.option(
        "--verbose",
        is_flag=True,
        help="Tell on stderr what is found on the way: sentences, sub-questions and their answers.",
    )(command)
    command = no_cache_option(command)
    return click.option(
        "--level",
        type=click.Choice(LEVELS),
        default="auto",
        show_default=True,
        help="How hard to try: search, read chunk by chunk, ask sub-questions; auto goes as far as it must.",
    )(knob_options(command))


def knob_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options on how hard to try, and what a question may cost."""
    for option in reversed(
        (
            click.option(
                "--coverage",
                type=click.Choice(get_args(ReadingCoverage)),
                default=_DEFAULTS.coverage,
                show_default=True,
                help="Read the likeliest chunks until more are unlikely to help, or read all.",
            ),
            concurrency_option,
            click.option(
                "--max-calls", type=click.IntRange(min=0), metavar="N", help="Model calls per question at most."
            ),
            click.option(
                "--max-tokens",
                type=click.IntRange(min=0),
                metavar="N",
                help="Tokens per question at most, read and written.",
            ),
            click.option(
                "--max-seconds",
                type=click.FloatRange(min=0),
                metavar="S",
                help="Time per question after which no more is read.",
            ),
            context_window_option,
        )
    ):
        command = option(command)
    return command
