"""What is tried against the package, how often, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Trial:
    """A fault or an attack.

    Attributes:
        case: What is done.
        tries: How often it was done.
        held: How often what came of it is allowed: the right answer, or a typed error with its exit code; nothing lost,
            nothing damaged, nobody let in.
        outcome: What came of it, in a few words.
    """

    case: str
    tries: int
    held: int
    outcome: str


class Suite(Protocol):
    """Runs trials, in a form of less than a minute if it is to be short."""

    def __call__(self, *, is_short: bool) -> Iterator[Trial]: ...
