"""Pages that nothing was read from: blank ones, and scans without a text layer between pages that have one."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document


def pages_without_text(chunks: Iterable[Document]) -> dict[str, list[int]]:
    """Return the pages or slides of each source that no chunk is from. Those after the last one with text are unknown.

    Args:
        chunks: All chunks of each source, with `source` and `page` in their metadata.
    """
    pages: dict[str, set[int]] = {}
    for chunk in chunks:
        if page := chunk.metadata.get("page"):
            pages.setdefault(chunk.metadata["source"], set()).add(page)
    gaps = {source: sorted(set(range(1, max(there))) - there) for source, there in pages.items()}
    return {source: missing for source, missing in gaps.items() if missing}


def in_words(pages: Sequence[int]) -> str:
    """Return page numbers in order as they are printed: `3-5, 9`."""
    runs = ([page for _, page in run] for _, run in groupby(enumerate(pages), lambda item: item[1] - item[0]))
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
