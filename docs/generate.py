"""Write `options.md` from the code: the commands with their options, and the knobs of `LongContextConfig`.

Run `python docs/generate.py` after a change to either; a test fails until that is done.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

import click

from langchain_qwen_longctx.cli import cli
from langchain_qwen_longctx.config import LongContextConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE: Final = Path(__file__).with_name("options.md")

INTRODUCTION: Final = """\
# Options

Made from the code by `python docs/generate.py`. What the options mean for the time and the memory that an answer takes
is in [costs.md](costs.md) and [models.md](models.md).

- [In the shell](#in-the-shell)
- [In Python](#in-python)

## In the shell

Every option may be set by the environment variable beside it as well. Only the commands read these, never the library.
"""

IN_PYTHON: Final = """\
## In Python

`LongContextConfig(...)`, which `create_long_context_qa(config=...)` takes. A value that is out of range is an
`InputError` that names it.
"""


def render() -> str:
    """Return the page."""
    root = click.Context(cli, info_name="qwen-longctx", **cli.context_settings)
    parts = [INTRODUCTION, *render_commands(cli, root), IN_PYTHON, render_config()]
    return "\n".join(parts)


def render_commands(group: click.Group, parent: click.Context) -> Iterator[str]:
    """Yield a section for each command, and for those below it, by name."""
    for name in group.list_commands(parent):
        command = group.commands[name]
        context = click.Context(command, parent=parent, info_name=name)
        yield render_command(command, context)
        if isinstance(command, click.Group):
            yield from render_commands(command, context)


def render_command(command: click.Command, context: click.Context) -> str:
    """Return what a command does, its options, and its examples."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"### {context.info_name}\n", f"```text\n{usage}\n```\n", f"{plain(command.help)}\n"]
    options = [
        row(f"`{names}`", " ".join(meaning.replace("*", "\\*").split()), f"`{variable(option, context)}`")
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
        for names, meaning in [record]
    ]
    if options:
        parts.append(table(["option", "meaning", "environment"], options))
    if command.epilog:
        parts.append(f"```text\n{examples(command.epilog)}\n```\n")
    return "\n".join(parts)


def plain(text: str | None) -> str:
    """Return a command's help without the marks by which click lays it out."""
    return re.sub(r"^\x08\n|\f.*", "", inspect.cleandoc(text or ""), flags=re.DOTALL | re.MULTILINE).strip()


def examples(epilog: str) -> str:
    """Return the examples of an epilog as they are typed."""
    lines = [line for line in plain(epilog).splitlines() if line.strip() not in {"\b", "Examples:"}]
    return dedent("\n".join(lines)).strip()


def variable(option: click.Parameter, context: click.Context) -> str:
    """Return the environment variable that sets an option."""
    return str(option.envvar or f"{context.auto_envvar_prefix}_{option.name}".upper())


def render_config() -> str:
    """Return the table of the configuration's fields."""
    meanings, types = meanings_of(LongContextConfig), get_type_hints(LongContextConfig)
    return table(
        ["field", "values", "default", "meaning"],
        [
            row(f"`{field.name}`", values(types[field.name]), f"`{field.default}`", meanings[field.name])
            for field in fields(LongContextConfig)
        ],
    )


def meanings_of(documented: type) -> dict[str, str]:
    """Return what a class's docstring says of each attribute, on one line, without a default that stands alone."""
    listed = re.split(r"^Attributes:\n", inspect.getdoc(documented) or "", flags=re.MULTILINE)[1].partition("\n\n")[0]
    entries = re.findall(r"^(\w+): (.*(?:\n {4,}.*)*)", dedent(listed), re.MULTILINE)
    return {name: re.sub(r" Default [\w`.]+\.$", "", " ".join(text.split())) for name, text in entries}


def values(annotation: Any) -> str:  # noqa: ANN401 - annotations have no type of their own
    """Return the values that a type allows: the choices of a literal, or the names of types."""
    choices = get_args(annotation) or (annotation,)
    names = [choice.__name__ if isinstance(choice, type) else choice for choice in choices if choice is not NoneType]
    return ", ".join(f"`{name}`" for name in [*names, *["None"] * (NoneType in choices)])


def table(header: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table in Markdown."""
    return "\n".join([row(*header), "|---" * len(header) + "|", *rows, ""])


def row(*cells: str) -> str:
    """Return a line of a table, its cells' own bars escaped."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8", newline="\n")
