"""What a Markdown note says about itself, as Obsidian and its like write it: title, aliases, tags, links. Pure.

Front matter is YAML at the head of the file, between a line `---` and another. Tags (`#area/topic`) and links
(`[[Note#Heading|what it is called here]]`) stand anywhere outside of code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FRONT_MATTER: Final = re.compile(
    r"\ufeff?---[ \t]*\r?\n(?P<yaml>.*?)^(?:---|\.\.\.)[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_CODE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1|\Z)|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_TAG: Final = re.compile(r"(?<![^\s(（,，、。;；])#(?P<tag>[\w/\-]*[^\W\d][\w/\-]*)")
_CALLED_LINK: Final = re.compile(
    r"(?<!!)\[\[(?P<target>[^\[\]|#^\\\r\n]+)(?:[#^][^\[\]|\\\r\n]*)?\\?\|(?P<alias>[^\[\]\r\n]+)\]\]"
)

MAX_FRONT_MATTER: Final = 100_000
"""Characters of front matter, some 2,000 lines."""

# The C loader takes a twentieth of the time, but not every build of PyYAML has it. Neither makes anything but text,
# lists and dictionaries: `title: 1.10` stays what it says, where `safe_load` would make a number of it.
_Loader: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Properties(NamedTuple):
    """What a note says about itself.

    Attributes:
        title: The front matter's `title`; empty if there is none.
        aliases: Its `aliases`.
        tags: Its `tags`, and those in the text; without `#`, each once.
        links: The links to other notes that are called something else there: the target's name or path, what it is
            called.
    """

    title: str
    aliases: list[str]
    tags: list[str]
    links: list[list[str]]


def read_properties(text: str, fields: dict[str, Any]) -> Properties:
    """Return what a note says about itself.

    Args:
        text: The whole note.
        fields: Its front matter, as `read_front_matter` returns it.
    """
    body = _CODE.sub(" ", text[body_start(text) :])
    written = [*_items(fields, "tags", "tag", separator=r"[,\s]+"), *(match["tag"] for match in _TAG.finditer(body))]
    links = {(match["target"].strip(), match["alias"].strip()) for match in _CALLED_LINK.finditer(body)}
    return Properties(
        title=next(_items(fields, "title"), ""),
        aliases=list(dict.fromkeys(_items(fields, "aliases", "alias", separator=","))),
        tags=_each_once(tag.lstrip("#").strip("/") for tag in written),
        links=[list(link) for link in sorted(links)],
    )


def read_front_matter(text: str) -> dict[str, Any]:
    """Return the front matter of a note, its keys in lower case; empty if there is none.

    Raises:
        InputError: What stands there is not YAML, or too long.
    """
    match = _FRONT_MATTER.match(text)
    if not match:
        return {}
    if len(match["yaml"]) > MAX_FRONT_MATTER:
        msg = f"its front matter has more than {MAX_FRONT_MATTER:,} characters"
        raise InputError(msg)
    try:
        loaded = yaml.load(match["yaml"], Loader=_Loader)  # noqa: S506 - makes no objects, see above
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"its front matter is not YAML: {' '.join(str(error).split())}"
        raise InputError(msg) from error
    return {str(key).lower(): value for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def body_start(text: str) -> int:
    """Return where the text below the front matter begins."""
    match = _FRONT_MATTER.match(text)
    return match.end() if match else 0


def is_tagged(tags: Iterable[str], wanted: str) -> bool:
    """Tell whether one of a note's tags is the wanted one or lies below it, as `area/topic` below `area`."""
    name = wanted.strip().lstrip("#").strip("/").casefold()
    return any(f"{tag.casefold()}/".startswith(f"{name}/") for tag in tags)


def _items(fields: dict[str, Any], *names: str, separator: str = "") -> Iterator[str]:
    """Yield the texts under the first of these names that is there: of a list, or of one text, divided."""
    value = next((fields[name] for name in names if name in fields), None)
    listed = (
        value
        if isinstance(value, list)
        else re.split(separator, value)
        if separator and isinstance(value, str)
        else [value]
    )
    yield from (item.strip() for item in listed if isinstance(item, str) and item.strip())


def _each_once(tags: Iterable[str]) -> list[str]:
    return list({tag.casefold(): tag for tag in tags if tag}.values())
