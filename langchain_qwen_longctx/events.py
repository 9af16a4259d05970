"""What the graphs tell while they work: custom events for `astream_events` and for callback handlers.

| name             | data              | when                                                     |
|------------------|-------------------|----------------------------------------------------------|
| `analysis`       | `AnalysisEvent`   | it is clear what to search for                           |
| `retrieved`      | `RetrievedEvent`  | passages are chosen, and the model is about to answer    |
| `chunk_read`     | `ChunkReadEvent`  | a chunk has been read on its own, or could not be        |
| `evidence_found` | `EvidenceEvent`   | sentences in it matter                                   |
| `hop`            | `HopEvent`        | a sub-question, or last the question itself, is answered |

The answer's tokens come as LangChain's own `on_chat_model_stream`, with `langgraph_node` `answer` in their metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from langchain_core.callbacks import dispatch_custom_event
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

EventName: TypeAlias = Literal["analysis", "retrieved", "chunk_read", "evidence_found", "hop"]


class AnalysisEvent(TypedDict):
    """What is searched for.

    Attributes:
        question: The question, or sub-question.
        queries: It as asked, then its translations.
        keywords: Words that a passage with the answer would contain.
    """

    question: str
    queries: list[str]
    keywords: list[str]


class RetrievedEvent(TypedDict):
    """What the answer will rest on.

    Attributes:
        passages: How many passages were chosen.
        tokens: Their size.
    """

    passages: int
    tokens: int


class ChunkReadEvent(TypedDict):
    """One reading.

    Attributes:
        chunk_id: The chunk.
        outcome: Whether it holds something, or nothing, or could not be read.
    """

    chunk_id: str
    outcome: Literal["relevant", "irrelevant", "failed"]


class EvidenceEvent(TypedDict):
    """Sentences that a reading pointed at.

    Attributes:
        chunk_id: The chunk.
        source: The source's path or name.
        page: 1-based page, None where the format has none.
        quotes: The sentences, verbatim.
    """

    chunk_id: str
    source: str
    page: int | None
    quotes: list[str]


class HopEvent(TypedDict):
    """A sub-question of level `reason` and what was found for it."""

    question: str
    answer: str
    found: bool


Event: TypeAlias = AnalysisEvent | RetrievedEvent | ChunkReadEvent | EvidenceEvent | HopEvent


def emit(name: EventName, event: Event) -> None:
    """Tell whoever listens to this run; outside of a run there is nobody to tell."""
    data: Mapping[str, object] = event
    try:
        dispatch_custom_event(name, data)
    except RuntimeError as error:
        if "parent run id" not in str(error):
            raise
