"""Replies kept for further evaluations, and how long each took, so that a run that finds them there can count that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_community.cache import SQLiteCache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.outputs import Generation

SECONDS = "seconds_taken"
"""The key of a reply's time in its `generation_info`."""


class TimedCache(SQLiteCache):
    """LangChain's cache of models in a file, and a clock that runs as if nothing had been found there.

    What calls that were made side by side have taken is added up: on a server that answers several at once, they took
    less together.

    Args:
        path: The file; made if it is not there.

    Attributes:
        replayed: Seconds that the replies found so far have once taken.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.replayed = 0.0
        self._begun: dict[tuple[str, str], float] = {}

    def monotonic(self) -> float:
        """Return the seconds of a clock like `time.monotonic` that takes as long for a reply found as for one made."""
        return time.monotonic() + self.replayed

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        """Return the reply that is kept; without one, note when the call begins."""
        found: Sequence[Generation] | None = super().lookup(prompt, llm_string)
        if found is None:
            self._begun[prompt, llm_string] = time.monotonic()
        else:
            self.replayed += sum((reply.generation_info or {}).get(SECONDS, 0.0) for reply in found)
        return found

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep a reply, with the seconds since it was looked up in vain."""
        now = time.monotonic()
        taken: dict[str, Any] = {SECONDS: now - self._begun.pop((prompt, llm_string), now)}
        timed = [
            reply.model_copy(update={"generation_info": {**(reply.generation_info or {}), **taken}})
            for reply in return_val
        ]
        super().update(prompt, llm_string, timed)
