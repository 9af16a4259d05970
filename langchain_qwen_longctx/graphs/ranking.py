"""What is ranked for a question: chunks by BM25, and the passages in the best of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from langchain_qwen_longctx.analyzers import quoted
from langchain_qwen_longctx.bridges import bridge_terms
from langchain_qwen_longctx.graphs.analysis import is_foreign, leeway
from langchain_qwen_longctx.passages import Passage, rank_passages
from langchain_qwen_longctx.recent_texts import terms_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState

QUOTED_MORE = 2
"""So many times more is searched for what a question quotes: a title, or a name that is none elsewhere."""

MAX_CHUNKS_DIVIDED = 12
"""So many of the best chunks are divided into passages; twice as many if the documents are in other languages."""


def retrieve(resources: QAResources, state: QAState) -> QAState:
    """Rank the chunks by BM25 for the queries and keywords together; a term in several of them weighs more."""
    documents = resources.retriever.invoke(query(state))
    return {"ranked": above_floor(documents, resources.config.min_relative_score / leeway(resources, state))}


def with_ranking(resources: QAResources, state: QAState) -> QAState:
    """Return a state whose chunks are ranked, now if they have not been."""
    return state if "ranked" in state else cast("QAState", {**state, **retrieve(resources, state)})


def query(state: QAState) -> str:
    """Return all that is searched for, as one text."""
    plan = state["plan"]
    return " \n".join([*plan["queries"], *plan["keywords"], *quoted(plan["information"]) * QUOTED_MORE])


def above_floor(documents: Sequence[Document], min_relative_score: float) -> dict[str, float]:
    """Return the documents that score at least this share of the best one, and their shares, in their order.

    A document without a score gets the share of its place: of n, the first 1, the last 1 / n.
    """
    scores = [document.metadata.get("score") for document in documents]
    best = max((score for score in scores if score is not None), default=0.0)
    shares = {}
    for place, (document, score) in enumerate(zip(documents, scores, strict=True)):
        share = 1 - place / len(documents) if score is None or best <= 0 else score / best
        if score is None or best <= 0 or share >= min_relative_score:
            shares[document.metadata["chunk_id"]] = share
    return shares


def best_passages(resources: QAResources, state: QAState) -> list[Passage]:
    """Return the passages of the retrieved chunks, best first."""
    ranked = list(state["ranked"].items())[: MAX_CHUNKS_DIVIDED * leeway(resources, state)]
    return passages_of(resources, state["plan"], dict(ranked), terms_of(query(state)))


def passages_of(resources: QAResources, plan: Plan, shares: Mapping[str, float], terms: Sequence[str]) -> list[Passage]:
    """Return the passages of chunks, best first for some terms.

    Across languages, too few words are found again to tell what a paragraph alone is about. There, a passage may go on
    into the next one.

    Args:
        resources: Whose chunks.
        plan: What is searched for.
        shares: The chunks' ids, and the scores of each as a share of the best one's.
        terms: The terms.
    """
    by_paragraph = not is_foreign(plan["information"], resources.languages)
    chunks = [resources.chunks[name] for name in shares]
    return rank_passages(chunks, list(shares.values()), terms, terms_of, by_paragraph=by_paragraph)


def led_on_to(resources: QAResources, plan: Plan, sentences: Sequence[str]) -> list[Passage]:
    """Return the passages that sentences about a question lead on to, best first: those about what they name."""
    wanted = bridge_terms(sentences, " \n".join(plan["queries"]))
    shares = above_floor(resources.retriever.invoke(" ".join(wanted)), 0.0)
    return passages_of(resources, plan, dict(list(shares.items())[:MAX_CHUNKS_DIVIDED]), wanted)
