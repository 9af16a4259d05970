from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from langchain_qwen_longctx.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted(DOCS.glob("*.md"))]
ALL_PAGES: Final = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

OF_OTHER_PROGRAMS: Final = {"--upgrade", "--group", "--check", "--verbose", "--max-model-len"} | {
    *("--head", "--address", "--num-cpus", "--generate"),
}
"""Options of pip, ruff, Ollama and vLLM, and of Ray."""

OF_SCRIPTS: Final = {
    option
    for script in (ROOT / "tests" / "benchmarks").glob("*.py")
    for option in re.findall(r'"(--[a-z][a-z-]*)"', script.read_text("utf-8"))
}


def generated() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "generate.py"))


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params for name in [*option.opts, *option.secondary_opts]} | {"-h", "--help"}


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def options_in(text: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)}


def test_the_reference_says_what_the_code_does() -> None:
    assert (DOCS / "options.md").read_text("utf-8") == generated()["render"](), "run: python docs/generate.py"


def test_the_reference_tells_of_every_field_and_of_no_default_twice() -> None:
    meanings = generated()["meanings_of"](
        type("Knobs", (), {"__doc__": "Knobs.\n\nAttributes:\n    a: So\n        many. Default 3.\n    b: Others."})
    )

    assert meanings == {"a": "So many.", "b": "Others."}


@ALL_PAGES
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]
    targets = [(link, page.parent / link.partition("#")[0] if link[0] != "#" else page) for link in links]

    assert [link for link, target in targets if not target.exists()] == []
    assert [link for link, target in targets if "#" in link and link.partition("#")[2] not in anchors(target)] == []


@ALL_PAGES
def test_an_option_that_is_named_is_one_of_its_command(page: Path) -> None:
    text = re.sub(r"\\\n", " ", page.read_text("utf-8"))
    calls = [
        (command, option)
        for name, rest in re.findall(r"qwen-longctx ([a-z]+)([^\n`|]*)", text)
        if (command := cli.commands.get(name))
        for option in options_in(rest.partition("  #")[0])
    ]

    assert [(command.name, option) for command, option in calls if option not in options_of(command)] == []


@ALL_PAGES
def test_an_option_that_is_named_exists(page: Path) -> None:
    known = set().union(OF_OTHER_PROGRAMS, OF_SCRIPTS, *map(options_of, commands(cli)), options_of(cli))

    assert set(options_in(page.read_text("utf-8"))) - known == set()
