"""Where the documents lack a name of the question: look for what everyone thinks of with it, before reading.

Who lives in Paris may be told as who lives beside the Eiffel Tower. No search by the question's words leads there, but
the model knows what is in Paris, the dictionary does, and the documents tell which of that they speak of. The sentences
that do are put before the model alone: among others, a small one takes the question's words for the answer.

Source: for such questions, Modarressi et al., "NoLiMa: Long-context evaluation beyond literal matching"
(https://arxiv.org/abs/2502.05167).
"""

from __future__ import annotations

import re
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from langgraph.graph import END, START, StateGraph

from langchain_qwen_longctx.analyzers import proper_nouns
from langchain_qwen_longctx.bilingual_dictionary import explained_by, is_word, names_for
from langchain_qwen_longctx.errors import ModelResponseError, OutOfBudgetError
from langchain_qwen_longctx.graphs.analysis import in_their_language, plan_search
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.checking import add_checking, check_quotes, is_no
from langchain_qwen_longctx.graphs.nesting import hand_down, nest
from langchain_qwen_longctx.graphs.ranking import MAX_CHUNKS_DIVIDED
from langchain_qwen_longctx.graphs.retrieval import (
    RetrievalInput,
    add_answering,
    evidence_budget,
    put_forward,
)
from langchain_qwen_longctx.graphs.state import QAResources, QAState, bind, spent_on
from langchain_qwen_longctx.languages import LANGUAGE_NAMES, detect_language
from langchain_qwen_longctx.passages import Passage  # noqa: TC001 - LangGraph reads the annotations
from langchain_qwen_longctx.prompts import ASSOCIATE, BELONGS
from langchain_qwen_longctx.recent_texts import terms_of
from langchain_qwen_longctx.schemas import Associations
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_core.documents import Document

    from langchain_qwen_longctx.answerability import TermWeights
    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.schemas import Citation

MAX_REPLACING = 8
"""So many names that the documents have are tried in the place of the one that they lack."""


class AssociationState(QAState, total=False):
    """State of a search for what goes with a name.

    Attributes:
        candidates: What the documents have of it, in the order in which it was told, and where.
        other: Which of them stands in the place of the name.
        asked: The question with the name, in the language of the documents.
    """

    candidates: dict[str, list[Passage]]
    other: str
    asked: str


def add_association(graph: StateGraph[Any, None, Any, Any], resources: QAResources) -> None:
    """Begin a graph with it where a name is lacking, and go on to its node `order` if that finds nothing."""
    associating = build_association_graph(resources).compile(name="associate")
    graph.add_node("associate", nest(hand_down, associating, keep_if_found))
    graph.add_conditional_edges(START, bind(route_names, resources), ["associate", "order"])
    graph.add_conditional_edges("associate", route_association, {"order": "order", "end": END})


def build_association_graph(
    resources: QAResources,
) -> StateGraph[AssociationState, None, RetrievalInput, AssociationState]:
    """Return the graph from a question whose name the documents lack to an answer, or to none, not yet compiled."""
    graph = StateGraph(AssociationState, input_schema=RetrievalInput)
    graph.add_node("associate", partial(associate, resources))
    graph.add_node("associate_abroad", partial(associate_abroad, resources))
    graph.add_node("replace", partial(replace, resources))
    add_answering(graph, resources)
    add_checking(graph, resources, after="cite", by=check_in_place)
    graph.add_edge(START, "associate")
    steps = ["replace", "associate_abroad", "decline"]
    graph.add_conditional_edges("associate", bind(route_language, resources), steps)
    graph.add_conditional_edges("associate_abroad", route_candidates)
    graph.add_conditional_edges("replace", route_candidates)
    return graph


def route_names(resources: QAResources, state: QAState) -> Literal["associate", "order"]:
    """Look for something else only if a name of the question is nowhere in the documents."""
    return "associate" if absent_name(resources, state) else "order"


def route_association(state: QAState) -> Literal["order", "end"]:
    """Read if that has found nothing."""
    return "end" if state.get("found") else "order"


def absent_name(resources: QAResources, state: QAState) -> str:
    """Return the first name of the question that the documents lack, or nothing."""
    return next(iter(resources.weights.absent_names(in_their_language(state))), "")


def name_abroad(resources: QAResources, state: QAState) -> tuple[str, str]:
    """Return the other language of Chinese and English, and what the name is called in it; nothing, if unknown."""
    language = {"en": "zh", "zh": "en"}.get(detect_language(in_their_language(state)), "")
    known = names_for(absent_name(resources, state), language)
    # Of several, jieba tells which one is in use.
    return language, next((name for name in known if proper_nouns(name) == [name]), next(iter(known), ""))


def associate(resources: QAResources, state: QAState) -> AssociationState:
    """Keep what the documents have of what the model lists with the name, and of what the dictionary explains by it."""
    name, language = absent_name(resources, state), detect_language(in_their_language(state))
    listed, spent = list_names(resources, state, name, language)
    if "halted" in spent:
        return {"candidates": {}, **spent}
    return {"candidates": spoken_of(resources, without(name, [*listed, *explained_by(name, language)])), **spent}


def associate_abroad(resources: QAResources, state: QAState) -> AssociationState:
    """Let the model list in the other language what goes with the name: it knows Beijing better in Chinese."""
    language, name = name_abroad(resources, state)
    listed, spent = list_names(resources, state, name, language)
    theirs = detect_language(in_their_language(state))
    told = [known for other in listed for known in names_for(other, theirs)]
    return {"candidates": spoken_of(resources, without(absent_name(resources, state), told)), **spent}


def list_names(resources: QAResources, state: QAState, name: str, language: str) -> tuple[list[str], AssociationState]:
    """Let the model list what goes with a name; return that and what it cost."""
    variables = {"name": name, "language": LANGUAGE_NAMES[language]}
    try:
        reply: Reply[Any] = call(resources, state, ASSOCIATE, variables, schema=Associations)
    except ModelResponseError as error:
        return [], {"spent": spent_on(error)}
    except OutOfBudgetError as error:
        return [], {"spent": spent_on(error), "halted": [error.reason]}
    return reply.parsed.names if reply.parsed else [], {"spent": spent_on(reply)}


def replace(resources: QAResources, state: AssociationState) -> AssociationState:
    """Put the first candidate in the place of the name, if it is a part of that: Mars tells nothing about Venus."""
    question, name, others = in_their_language(state), absent_name(resources, state), {**state["candidates"]}
    other = next(iter(others))
    sentences = others.pop(other)
    try:
        reply: Reply[Any] = call(resources, state, BELONGS, {"other": other, "name": name})
    except OutOfBudgetError as error:
        return {"candidates": {}, "spent": spent_on(error), "halted": [error.reason]}
    if is_no(reply.text):
        return {"candidates": others, "spent": spent_on(reply)}
    guess = question.replace(name, other)
    evidence = put_forward(resources, sentences, evidence_budget(resources, state))
    asked: AssociationState = {"asked": question, "other": other, "candidates": others, "spent": spent_on(reply)}
    return {**asked, "question": guess, "plan": plan_search(guess, None), **evidence}


def check_in_place(resources: QAResources, state: AssociationState) -> QAState:
    """Let the model say whether the cited sentences answer what was asked, with the name beside what stands for it.

    The sentences have the words of the replaced question by making, so these do not tell.
    """
    name = next(iter(resources.weights.absent_names(state["asked"])))
    whole = rf"{name}的\g<0>" if detect_language(name) == "zh" else rf"\g<0> of {name}"
    other = re.compile(re.escape(state["other"]), re.IGNORECASE)
    placed: list[Citation] = [{**each, "quote": other.sub(whole, each["quote"])} for each in state["citations"]]
    question = state["asked"]
    asked: AssociationState = {**state, "question": question, "plan": plan_search(question, None), "citations": placed}
    return check_quotes(resources, asked)


def route_language(
    resources: QAResources, state: AssociationState
) -> Literal["replace", "associate_abroad", "decline"]:
    """Ask in the other language as well if the documents have nothing of what was told in theirs."""
    if state["candidates"]:
        return "replace"
    return "associate_abroad" if not state.get("halted") and name_abroad(resources, state)[1] else "decline"


def route_candidates(state: AssociationState) -> Literal["replace", "answer", "decline"]:
    """Try the next candidate until there is something to answer from."""
    if state.get("evidence"):
        return "answer"
    return "replace" if state["candidates"] else "decline"


def without(name: str, told: Iterable[str]) -> Iterator[str]:
    """Yield what is told, each once, without the name itself and without an article.

    Where that is taken off, a plain word may be left, which is no name: 大学 of 上海大学, dynasty of Han dynasty.
    """
    is_chinese = detect_language(name) == "zh"
    itself = re.escape(name) if is_chinese else rf"\b{re.escape(name)}\b"
    rest = {other: re.sub(r"^[Tt]he ", "", " ".join(re.sub(itself, " ", other).split())) for other in told}
    is_plain = is_word if is_chinese else str.islower
    names = (left for other, left in rest.items() if name not in other or not is_plain(left))
    yield from dict.fromkeys(left for left in names if len(left) > 1)


def spoken_of(resources: QAResources, told: Iterable[str]) -> dict[str, list[Passage]]:
    """Return what the documents have of what is told, and where; nothing of which every word is everywhere."""
    telling = (other for other in told if is_telling(resources.weights, other))
    found = ((other, sentences_with(resources, other)) for other in telling)
    return dict(islice(((other, sentences) for other, sentences in found if sentences), MAX_REPLACING))


def is_telling(weights: TermWeights, name: str) -> bool:
    """Tell whether the documents have a word of a name, but not everywhere."""
    return any(term in weights.frequencies and weights.is_rare(term) for term in terms_of(name))


def sentences_with(resources: QAResources, name: str) -> list[Passage]:
    """Return the sentences that hold a name, of the chunks that are best for it."""
    chunks = resources.retriever.invoke(name)[:MAX_CHUNKS_DIVIDED]
    return [sentence for chunk in chunks for sentence in naming(name, chunk)]


def naming(name: str, chunk: Document) -> Iterator[Passage]:
    """Yield the sentences of a chunk that hold a name, unless it is part of a longer one there."""
    first, rest = re.escape(name[:1]), re.escape(name[1:])
    whole_name = re.escape(name) if detect_language(name) == "zh" else rf"(?<!\w){first}(?i:{rest})(?!\w)"
    holds = re.compile(rf"(?P<before>[A-Z][\w'’\-]* )?{whole_name}(?P<after> [A-Z])?")
    for start, end in sentence_spans(chunk.page_content):
        # A word that begins a sentence has its capital for that.
        if any(
            not match["after"] and (not match["before"] or match.start() == start)
            for match in holds.finditer(chunk.page_content, start, end)
        ):
            yield {"chunk_id": chunk.metadata["chunk_id"], "start": start, "end": end}


def keep_if_found(result: dict[str, Any]) -> dict[str, Any]:
    """Return what is taken over: an answer, if there is one, and what it cost in any case."""
    kept = {"spent", "touched", "halted"} | ({"answer", "citations", "found"} if result.get("found") else set())
    return {name: value for name, value in result.items() if name in kept}
