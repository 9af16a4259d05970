"""Level 1: retrieve chunks, pack what fits the context window, answer from it, cite.

The graph is also the last part of the levels above: they only bring better queries.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_qwen_longctx.chat_models import ask
from langchain_qwen_longctx.citations import cite as cite_evidence
from langchain_qwen_longctx.citations import is_declined
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, spent_on
from langchain_qwen_longctx.languages import LANGUAGE_NAMES, detect_language
from langchain_qwen_longctx.prompts import ANSWER
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document

TOKENS_PER_PASSAGE = 12
"""The number, the brackets and the blank line around each passage in the answer's prompt, its source apart."""

LEEWAY_ACROSS_LANGUAGES = 2
"""Factor on the evidence's size, and divisor of its least score, if the documents are all in other languages."""

MAX_CHUNKS_TAKEN_WHOLE = 64
"""Only so few chunks are counted to see whether the documents fit as a whole."""

NOT_IN_DOCUMENTS = {
    "en": "The documents do not answer this question.",
    "zh": "文档中没有这个问题的答案。",
}


class RetrievalInput(TypedDict):
    """What level 1 starts from. What was spent before is not handed down, or it would be added twice."""

    question: str
    plan: Plan


def build_retrieval_graph(resources: QAResources) -> StateGraph[QAState, None, RetrievalInput, QAState]:
    """Return the graph of level 1, from a plan to citations, not yet compiled."""
    graph = StateGraph(QAState, input_schema=RetrievalInput)
    graph.add_node("retrieve", partial(retrieve, resources))
    graph.add_node("select", partial(select, resources))
    graph.add_node("answer", partial(answer, resources))
    graph.add_node("cite", partial(cite, resources))
    graph.add_node("decline", decline)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "select")
    graph.add_conditional_edges("select", route_evidence)
    graph.add_conditional_edges("answer", route_answer)
    graph.add_edge("cite", END)
    graph.add_edge("decline", END)
    return graph


def retrieve(resources: QAResources, state: QAState) -> QAState:
    """Rank the chunks by BM25 for the queries and keywords together; a term in several of them weighs more."""
    plan = state["plan"]
    documents = resources.retriever.invoke(" \n".join([*plan["queries"], *plan["keywords"]]))
    return {"ranked": above_floor(documents, resources.config.min_relative_score / leeway(resources, state))}


def leeway(resources: QAResources, state: QAState) -> int:
    """Return how many times the usual evidence a question gets: more if none of the documents are in its language.

    Found by a translation alone, the right chunk is often not the best one.
    """
    return 1 if detect_language(state["question"]) in resources.languages else LEEWAY_ACROSS_LANGUAGES


def above_floor(documents: Sequence[Document], min_relative_score: float) -> list[str]:
    """Return the ids of the documents that score at least this share of the best one, in their order."""
    scores = [document.metadata.get("score") for document in documents]
    best = max((score for score in scores if score is not None), default=0.0)
    return [
        document.metadata["chunk_id"]
        for document, score in zip(documents, scores, strict=True)
        if score is None or best <= 0 or score >= min_relative_score * best
    ]


def select(resources: QAResources, state: QAState) -> QAState:
    """Choose the chunks that fit into what the question leaves of the context window.

    Documents that fit as a whole are all taken, in their order: then nothing can have been missed.
    """
    budget = evidence_budget(resources, state)
    whole = list(resources.chunks)
    if len(whole) > MAX_CHUNKS_TAKEN_WHOLE or sum(_sizes(resources, whole)) > budget:
        ranked = state["ranked"]
        evidence = pack(zip(ranked, _sizes(resources, ranked), strict=True), budget)
    else:
        evidence = whole
    return {"evidence": evidence, "evidence_tokens": sum(_sizes(resources, evidence))}


def _sizes(resources: QAResources, identifiers: Iterable[str]) -> list[int]:
    chunks = [resources.chunks[identifier] for identifier in identifiers]
    # Of several sources, the prompt names each passage's; a path may be long.
    named = {source: count_tokens(source) for source in {chunk.metadata["source"] for chunk in chunks}}
    names = named if len(named) > 1 else dict.fromkeys(named, 0)
    return [count_tokens(chunk.page_content) + names[chunk.metadata["source"]] + TOKENS_PER_PASSAGE for chunk in chunks]


def evidence_budget(resources: QAResources, state: QAState) -> int:
    """Return how many tokens of evidence the prompt of the answer gets: what is left, or the configured cap."""
    room, cap = room_for_evidence(resources, state), resources.config.evidence_tokens
    return room if cap is None else min(room, cap * leeway(resources, state))


def room_for_evidence(resources: QAResources, state: QAState) -> int:
    """Return how many tokens the question and the reply leave of the context window."""
    prompt = ANSWER.format_messages(evidence="", question=state["question"], style=style(state))
    return resources.config.context_window - resources.config.answer_tokens - count_message_tokens(prompt)


def style(state: QAState) -> str:
    """Return the line that says how to answer: as the question demands, else in the question's language."""
    instruction = state["plan"]["instruction"] if "plan" in state else ""
    language = LANGUAGE_NAMES[detect_language(state["question"])]
    return f"How to answer: {instruction}" if instruction else f"Answer in {language}."


def route_evidence(state: QAState) -> Literal["answer", "decline"]:
    """Without a passage there is nothing to answer from."""
    return "answer" if state["evidence"] else "decline"


def answer(resources: QAResources, state: QAState) -> QAState:
    """Answer from the evidence alone, with the number of a passage after each fact."""
    passages = [resources.chunks[identifier] for identifier in state["evidence"]]
    variables = {"evidence": render(passages), "question": state["question"], "style": style(state)}
    reply = ask(resources.model, ANSWER, variables, config=resources.config)
    return {"draft": reply.text, "spent": spent_on(reply)}


def render(passages: Sequence[Document]) -> str:
    """Number passages from 1, and name their sources if there are several."""
    several = len({passage.metadata["source"] for passage in passages}) > 1
    return "\n\n".join(
        f"[{number}] " + (f"({passage.metadata['source']})\n" if several else "") + passage.page_content
        for number, passage in enumerate(passages, 1)
    )


def route_answer(state: QAState) -> Literal["cite", "decline"]:
    """Take the model at its word when it says that the passages do not hold the answer."""
    return "decline" if is_declined(state["draft"]) else "cite"


def cite(resources: QAResources, state: QAState) -> QAState:
    """Replace the answer's markers by verified spans; an answer without one is not passed off as found."""
    passages = [resources.chunks[identifier] for identifier in state["evidence"]]
    text, citations = cite_evidence(state["draft"], passages, " ".join(state["plan"]["queries"]))
    return {"answer": text, "citations": citations, "found": bool(citations)}


def decline(state: QAState) -> QAState:
    """Say that the documents do not hold the answer, in the question's language if it is Chinese or else in English."""
    language = detect_language(state["question"])
    return {"answer": NOT_IN_DOCUMENTS.get(language, NOT_IN_DOCUMENTS["en"]), "citations": [], "found": False}
