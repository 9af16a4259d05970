"""A hostile document, and what is to come of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A document.

    Attributes:
        name: Its file name.
        data: What it holds.
        says: A pattern for what the error says; empty if it is to be read.
        holds: What its text holds if it is read.
        lacks: What its text must not hold.
    """

    name: str
    data: bytes
    says: str = ""
    holds: str = ""
    lacks: str = ""
