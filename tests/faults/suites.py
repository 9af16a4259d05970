"""The suites by name, in the order in which they are reported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trials import Suite

TITLES: Final = {
    "transport": "A model's server that fails",
    "storage": "Disks, crashes and several processes",
    "documents": "Hostile and broken documents",
    "clients": "Hostile clients of the server",
    "endurance": "Long use",
}
"""Module of this folder, and the heading of its table."""


def suite(name: str) -> Suite:
    """Return a suite."""
    run: Suite = import_module(name).run
    return run
