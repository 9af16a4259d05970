"""Part of level 1: what many places say alike is added up here, for a small model cannot count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_qwen_longctx.aggregation import aggregate_of, alike, slots
from langchain_qwen_longctx.aggregation import tally as add_up
from langchain_qwen_longctx.citations import citation_of
from langchain_qwen_longctx.graphs.analysis import in_their_language
from langchain_qwen_longctx.graphs.state import (  # noqa: TC001 - LangGraph reads the annotations
    QAResources,
    QAState,
)
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_qwen_longctx.aggregation import Aggregate
    from langchain_qwen_longctx.schemas import Citation

MAX_CHUNKS_TALLIED = 1000
"""So many chunks are looked through, those that BM25 ranks best; of another retriever's, all that it gives.

If even the last of them holds a place, there may be more, and nothing is added up.
"""


def route_aggregate(state: QAState) -> Literal["tally", "select"]:
    """Add up what many places say if the question asks for that."""
    return "tally" if aggregate_of(state["question"]) else "select"


def tally(resources: QAResources, state: QAState) -> QAState:
    """Answer from the places that say all that the question speaks of, if they can be added up."""
    question, aggregate = in_their_language(state), aggregate_of(state["question"])
    citations = places(resources, question)
    quotes = [citation["quote"] for citation in citations]
    if aggregate is None or (found := add_up(quotes, aggregate)) is None:
        return {}
    numbers = sorted({resources.numbers[citation["chunk_id"]] for citation in citations})
    return {
        "answer": put_in_words(aggregate, found, quotes, detect_language(question)),
        "citations": citations,
        "found": True,
        "touched": {"read": numbers, "relevant": numbers},
    }


def places(resources: QAResources, question: str) -> list[Citation]:
    """Return the sentences of the documents that hold what a question speaks of, in document order, or none."""
    more: dict[str, Any] = {"k": MAX_CHUNKS_TALLIED} if isinstance(resources.retriever, BilingualBM25Retriever) else {}
    found = [chunk.metadata["chunk_id"] for chunk in resources.retriever.invoke(question, **more)]
    chunks = [resources.chunks[name] for name in sorted(found, key=resources.numbers.__getitem__)]
    spans = [(chunk, start, end) for chunk in chunks for start, end in sentence_spans(chunk.page_content)]
    chosen = alike([chunk.page_content[start:end] for chunk, start, end in spans], question)
    citations = [citation_of(*spans[place]) for place in chosen]
    is_cut_off = len(found) >= MAX_CHUNKS_TALLIED and any(place["chunk_id"] == found[-1] for place in citations)
    return [] if is_cut_off else citations


def route_tally(state: QAState) -> Literal["select", "end"]:
    """Go on as with any other question if nothing could be added up."""
    return "end" if state.get("found") else "select"


def put_in_words(aggregate: Aggregate, found: Sequence[tuple[str, int]], quotes: Sequence[str], language: str) -> str:
    """Return an answer with the numbers of the places that it rests on."""
    is_chinese = language == "zh"
    comma = "、" if is_chinese else ", "
    if aggregate == "all":
        numbered = list(enumerate(slots(quotes), 1))
        return comma.join(f"{name} {_markers(n for n, slot in numbered if slot == name)}" for name, _ in found)
    every, total, often = _markers(range(1, len(quotes) + 1)), len(quotes), found[0][1]
    if aggregate == "count":
        return f"{often}次 {every}" if is_chinese else f"{often} times {every}"
    names = comma.join(name for name, _ in found)
    return f"{names}（{total}处中的{often}处） {every}" if is_chinese else f"{names} ({often} of {total}) {every}"


def _markers(numbers: Iterable[int]) -> str:
    return " ".join(f"[{number}]" for number in numbers)
