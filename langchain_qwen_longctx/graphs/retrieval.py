"""Level 1: retrieve chunks, put their best passages before the model, answer from them, cite.

The graph is also the last part of the levels above: they only bring better queries.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_qwen_longctx.aggregation import aggregate_of
from langchain_qwen_longctx.bridges import closest_sentence, is_bridge
from langchain_qwen_longctx.citations import cite as cite_evidence
from langchain_qwen_longctx.citations import is_declined, labels, without_markers
from langchain_qwen_longctx.errors import ModelResponseError, OutOfBudgetError
from langchain_qwen_longctx.events import emit
from langchain_qwen_longctx.graphs.analysis import in_their_language, is_foreign, wording_to_answer
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.checking import add_checking
from langchain_qwen_longctx.graphs.ranking import best_passages, led_on_to, retrieve
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, add_spent, having_spent, spent_on
from langchain_qwen_longctx.graphs.tallying import route_aggregate, route_tally, tally
from langchain_qwen_longctx.languages import detect_language, language_name
from langchain_qwen_longctx.neutralizing import neutralize, to_messages
from langchain_qwen_longctx.passages import Passage, divide, join, text_of, texts_of, to_document, whole
from langchain_qwen_longctx.prompt_injection import disarm, quote
from langchain_qwen_longctx.prompts import ANSWER
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens, pack
from langchain_qwen_longctx.transport import model_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_qwen_longctx.chat_models import Reply

TOKENS_PER_PASSAGE = 12
"""The number, the brackets and the blank line around each passage in the answer's prompt, its source apart."""

MAX_CHUNKS_TAKEN_WHOLE = 64
"""Only so few chunks are counted to see whether the documents fit as a whole."""

MAX_FURTHER = 8
"""So many of the passages that the best one leads on to may show that a question takes two steps."""

MAX_FOLLOWING = 3
"""Of so many, those that it names something of are put before the model even if none of them shows that."""

TWIN_SUPPORT = 0.35
"""From this share of the question on, by weight, a passage that is not surely about it says the like of another."""

MAX_WEIGHED_ACROSS, MAX_TAKEN_ACROSS = 6, 4
"""Without a translation to answer with, of so many of the best passages so many are taken."""

MIN_SHARE_OF_BEST = 0.5
"""Of these, the paragraphs that have so large a share of what the best one in the passage has of the question."""

MIN_GAIN = 0.02
"""By so large a share of the question, by weight, a passage says more of it."""

ANSWER_IN_CHINESE = "用中文回答。"
"""How to answer, for a model that was told so in English and answers in the question's language all the same."""

_ASKS_WHEN = re.compile(
    r"^\W*(?:since |until |from )?when\b|\b(?:what|which) (?:year|date|day|month|century)\b"
    r"|什么时[候间]|何时|哪一?[年天日]|哪个(?:月|年代|世纪)",
    re.IGNORECASE,
)

NOT_IN_DOCUMENTS = {
    "en": "The documents do not answer this question.",
    "zh": "文档中没有这个问题的答案。",
}


class RetrievalInput(TypedDict, total=False):
    """What level 1 starts from. What was spent before is not handed down, or it would be added twice."""

    question: str
    hints: list[str]
    is_part: bool
    plan: Plan
    started: float
    spent_above: Spent


def build_retrieval_graph(resources: QAResources) -> StateGraph[QAState, None, RetrievalInput, QAState]:
    """Return the graph of level 1, from a plan to citations, not yet compiled."""
    graph = StateGraph(QAState, input_schema=RetrievalInput)
    graph.add_node("retrieve", partial(retrieve, resources))
    graph.add_node("tally", partial(tally, resources))
    graph.add_node("select", partial(select, resources))
    add_answering(graph, resources)
    add_checking(graph, resources, after="cite")
    graph.add_edge(START, "retrieve")
    graph.add_conditional_edges("retrieve", route_aggregate)
    graph.add_conditional_edges("tally", route_tally, {"select": "select", "end": END})
    graph.add_conditional_edges("select", route_evidence)
    return graph


def add_answering(graph: StateGraph[Any, None, Any, Any], resources: QAResources) -> None:
    """Add the nodes that every level answers with: from evidence to citations, or to none."""
    graph.add_node("answer", partial(answer, resources))
    graph.add_node("cite", partial(cite, resources))
    graph.add_node("decline", decline)
    graph.add_conditional_edges("answer", route_answer)
    graph.add_edge("decline", END)


def select(resources: QAResources, state: QAState) -> QAState:
    """Choose the passages that fit into what the question leaves of the context window.

    Half of it goes to the best passages, half to those that they lead on to: where the question takes two steps, the
    second is found by what the first passage names. Where it seems to take one, the passages that surely speak of what
    is asked are taken, and a possible second step: without their near twins, a small model answers better. So it does
    from few passages where it has no translation at hand. Documents that fit as a whole are all taken, in their order:
    then nothing can have been missed.
    """
    budget = evidence_budget(resources, state)
    if len(resources.ordered) <= MAX_CHUNKS_TAKEN_WHOLE:
        passages = [whole(chunk) for chunk in resources.ordered]
        if sum(sizes(resources, passages)) <= budget:
            return put_forward(resources, passages, budget)
    best = best_passages(resources, state)
    if passages := few_passages(resources, state, best):
        return put_forward(resources, passages, budget)
    # If the best one surely speaks of what is asked, it leads on to another that says more of it.
    return {**with_what_follows(resources, state, best), "doubted": bool(sure_passages(resources, state, best[:1]))}


def few_passages(resources: QAResources, state: QAState, best: Sequence[Passage]) -> list[Passage]:
    """Return evidence of few passages, where a small model answers from these better than from all that fit; or none.

    Few passages do not answer what asks for many places. Across languages, too little of a question is found again to
    tell whether it takes one step, and the model gains by few only if it has no translation at hand.
    """
    if aggregate_of(state["question"]):
        return []
    if not is_foreign(state["question"], resources.languages):
        return answering_in_one_step(resources, state, best)
    return having_most(resources, state, best) if wording_to_answer(state) == state["question"] else []


def having_most(resources: QAResources, state: QAState, best: Sequence[Passage]) -> list[Passage]:
    """Return the best passage and those next to it that have most of the question in a translation, most first.

    The best one is so by the words of all translations and all keywords together: some of them are translated wrongly,
    but it may be the question that is. A paragraph beside that which a passage is there for is left out.
    """
    questions, weights = state["plan"]["queries"], resources.weights

    def support(passage: Passage) -> float:
        return weights.support(text_of(passage, resources.chunks), questions)

    others = sorted(best[1:MAX_WEIGHED_ACROSS], key=support, reverse=True)
    taken = sorted([*best[:1], *others[: MAX_TAKEN_ACROSS - 1]], key=support, reverse=True)
    kept: list[Passage] = []
    for parts in (divide(passage, resources.chunks) for passage in taken):
        least = MIN_SHARE_OF_BEST * max(map(support, parts))
        kept += (part for part in parts if support(part) >= least)
    return kept


def answering_in_one_step(resources: QAResources, state: QAState, best: Sequence[Passage]) -> list[Passage]:
    """Return the evidence for a question that seems to take one step; none for any other."""
    sure = sure_passages(resources, state, best)
    if not sure:
        return []
    plan, text = state["plan"], text_of(sure[0], resources.chunks)
    told = closest_sentence(text, plan["queries"], resources.weights)
    further = led_on_to(resources, plan, [told])
    others = [*further[:MAX_FURTHER], *led_on_to(resources, plan, [text])[:MAX_FURTHER]]
    is_one_step = takes_one_step(resources, plan, sure[0], others)
    return [*sure, *second_steps(resources, plan, told, further)] if is_one_step else []


def sure_passages(resources: QAResources, state: QAState, best: Sequence[Passage]) -> list[Passage]:
    """Return the passages that surely speak of what is asked, with all names of it, if the best one does; else none."""
    questions = state["plan"]["queries"]
    sure = [passage for passage in best if resources.weights.is_sure(text_of(passage, resources.chunks), questions)]
    return sure if sure[:1] == best[:1] else []


def takes_one_step(resources: QAResources, plan: Plan, passage: Passage, others: Sequence[Passage]) -> bool:
    """Tell whether a question seems to be answered where a passage is: none that it leads on to says more of it."""
    text, questions, weights = text_of(passage, resources.chunks), plan["queries"], resources.weights
    texts = {text_of(other, resources.chunks) for other in others if other["chunk_id"] != passage["chunk_id"]}
    least = weights.support(text, questions) + MIN_GAIN
    return not any(
        is_bridge(text, other, questions, weights) and weights.support(f"{text}\n{other}", questions) >= least
        for other in texts
    )


def second_steps(resources: QAResources, plan: Plan, told: str, further: Sequence[Passage]) -> list[Passage]:
    """Return those of the passages that a sentence leads on to of which it names something.

    One that has much of the question is no second step, but says the like of something else.
    """
    questions, weights = plan["queries"], resources.weights
    texts = [(other, text_of(other, resources.chunks)) for other in further]
    unlike = [(other, text) for other, text in texts if weights.support(text, questions) < TWIN_SUPPORT]
    return [other for other, text in unlike[:MAX_FOLLOWING] if is_bridge(told, text, questions, weights)]


def with_what_follows(resources: QAResources, state: QAState, best: Sequence[Passage]) -> QAState:
    """Fill one half of the evidence with the best passages, the other with what they lead on to, or else with more."""
    plan, budget = state["plan"], evidence_budget(resources, state)
    first = fitting(resources, best, budget // 2)
    text = texts_of(first, resources.chunks, between="\n\n")
    told = closest_sentence(text, plan["queries"], resources.weights)
    return put_forward(resources, [*first, *led_on_to(resources, plan, [told]), *best], budget)


def put_forward(resources: QAResources, passages: Sequence[Passage], budget: int) -> QAState:
    """Return the passages that fit, best first, as the evidence."""
    evidence = join(fitting(resources, passages, budget), resources.chunks)
    return {"evidence": evidence, "evidence_tokens": sum(sizes(resources, evidence))}


def fitting(resources: QAResources, passages: Sequence[Passage], budget: int) -> list[Passage]:
    """Return the passages that fit, best first."""
    return pack(zip(passages, sizes(resources, passages), strict=True), budget)


def sizes(resources: QAResources, passages: Sequence[Passage]) -> list[int]:
    """Return how many tokens each passage takes in the answer's prompt."""
    # Of several sources, the prompt names each passage's; a path may be long.
    named = {source: count_tokens(source) for source in {_source(resources, passage) for passage in passages}}
    names = named if len(named) > 1 else dict.fromkeys(named, 0)
    return [
        count_tokens(neutralize(quote(text_of(passage, resources.chunks))))
        + names[_source(resources, passage)]
        + TOKENS_PER_PASSAGE
        for passage in passages
    ]


def _source(resources: QAResources, passage: Passage) -> str:
    return str(resources.chunks[passage["chunk_id"]].metadata["source"])


def evidence_budget(resources: QAResources, state: QAState) -> int:
    """Return how many tokens of evidence the prompt of the answer gets: what is left, or the configured cap."""
    room, cap = room_for_evidence(resources, state), resources.config.evidence_tokens
    return room if cap is None else min(room, cap)


def room_for_evidence(resources: QAResources, state: QAState) -> int:
    """Return how many tokens the question and the reply leave of the context window."""
    prompt = to_messages(ANSWER, evidence="", question=wording_to_answer(state), style=style(state))
    return resources.config.context_window - resources.config.answer_tokens - count_message_tokens(prompt)


def style(state: QAState) -> str:
    """Return the line that says how to answer: as the question demands, else in a language of the documents.

    Asked when, a small model at times answers what happened; so it is told.
    """
    if instruction := state["plan"]["instruction"] if "plan" in state else "":
        return f"How to answer: {instruction}"
    in_language = f"Answer in {language_name(in_their_language(state))}."
    return f"{in_language} Say when." if _ASKS_WHEN.search(state["question"]) else in_language


def route_evidence(state: QAState) -> Literal["answer", "decline"]:
    """Without a passage there is nothing to answer from."""
    return "answer" if state["evidence"] else "decline"


def answer(resources: QAResources, state: QAState) -> QAState:
    """Answer from the evidence alone, with the number of a passage after each fact.

    From Chinese documents, a small model at times answers in the question's language, and then mostly what they do not
    say. It is told once more, in Chinese.
    """
    evidence = render(shown(resources, state), state["question"])
    variables = {"evidence": evidence, "question": wording_to_answer(state), "style": style(state)}
    emit("retrieved", {"passages": len(state["evidence"]), "tokens": state["evidence_tokens"]})
    try:
        reply: Reply[Any] = call(resources, state, ANSWER, variables, answers_kept=0)
    except OutOfBudgetError as error:
        return {"draft": "", "spent": spent_on(error), "halted": [error.reason]}
    if not reply.text:
        # To say nothing is not to say that the passages do not hold the answer.
        msg = f"{model_name(resources.model)} answers with nothing; look at its server's log, or take another model"
        raise ModelResponseError(msg)
    draft, spent = reply.text, spent_on(reply)
    if is_in_its_own_language(state, draft):
        again = answer_in_chinese(resources, having_spent(state, spent), variables)
        draft, spent = again["draft"] or draft, add_spent(spent, again["spent"])
    read = sorted({resources.numbers[passage["chunk_id"]] for passage in state["evidence"]})
    return {"draft": draft, "spent": spent, "touched": {"read": read}}


def is_in_its_own_language(state: QAState, draft: str) -> bool:
    """Tell whether an answer from Chinese documents is in the language of a question that is in another one."""
    said, plan = without_markers(draft), state["plan"]
    is_due_in_chinese = detect_language(plan["translation"]) == "zh" and not plan["instruction"]
    is_text = any(map(str.isalpha, said)) and not is_declined(draft)
    return is_due_in_chinese and is_text and detect_language(said) == detect_language(state["question"])


def answer_in_chinese(resources: QAResources, state: QAState, variables: Mapping[str, str]) -> QAState:
    """Ask for an answer once more, in Chinese; there is none if that costs too much.

    Args:
        resources: Whose model.
        state: Whose question.
        variables: Those of the first answer's prompt.
    """
    try:
        reply: Reply[Any] = call(resources, state, ANSWER, {**variables, "style": ANSWER_IN_CHINESE}, answers_kept=0)
    except OutOfBudgetError as error:
        return {"draft": "", "spent": spent_on(error)}
    return {"draft": reply.text, "spent": spent_on(reply)}


def shown(resources: QAResources, state: QAState) -> list[Document]:
    """Return the passages that are put before the model, in the order of their numbers."""
    return [to_document(passage, resources.chunks) for passage in state["evidence"]]


def render(passages: Sequence[Document], question: str = "") -> str:
    """Number passages, and name their sources if there are several. What speaks to the model is kept from doing so."""
    names = [" ".join(passage.metadata["source"].split()) for passage in passages]
    several = len(set(names)) > 1
    return "\n\n".join(
        f"[{label}] " + (f"({name})\n" if several else "") + disarm(passage.page_content, question)
        for label, name, passage in zip(labels(passages), names, passages, strict=True)
    )


def route_answer(state: QAState) -> Literal["cite", "decline"]:
    """Take the model at its word when it says that the passages do not hold the answer."""
    return "decline" if is_declined(state["draft"]) else "cite"


def cite(resources: QAResources, state: QAState) -> QAState:
    """Replace the answer's markers by verified spans; an answer without one is not passed off as found."""
    text, citations = cite_evidence(state["draft"], shown(resources, state), " ".join(state["plan"]["queries"]))
    relevant = sorted({resources.numbers[citation["chunk_id"]] for citation in citations})
    return {
        "answer": text,
        "citations": citations,
        "found": bool(citations),
        "touched": {"read": relevant, "relevant": relevant},
    }


def decline(state: QAState) -> QAState:
    """Say that the documents do not hold the answer, in the question's language if it is Chinese or else in English."""
    language = detect_language(state["question"])
    return {"answer": NOT_IN_DOCUMENTS.get(language, NOT_IN_DOCUMENTS["en"]), "citations": [], "found": False}
