"""Level 3: ask oneself what has to be known first, look it up, remember it, and go on until the question is answered.

No tools are called: the model only writes the next sub-question or says that it knows enough, and plain rules do the
rest, so that small models can follow.
"""

from __future__ import annotations

import operator
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.runnables import Runnable, RunnableBinding
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_qwen_longctx.aggregation import aggregate_of
from langchain_qwen_longctx.analyzers import ASKING_WORDS, analyze
from langchain_qwen_longctx.citations import without_markers
from langchain_qwen_longctx.errors import ContextOverflowError, OutOfBudgetError
from langchain_qwen_longctx.events import emit
from langchain_qwen_longctx.graphs.analysis import in_their_language, is_foreign, plan_search, translate
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.checking import add_checking, ask_whether, cited_passage
from langchain_qwen_longctx.graphs.following import build_following_graph
from langchain_qwen_longctx.graphs.lookup import build_lookup_graph
from langchain_qwen_longctx.graphs.nesting import hand_down, nest
from langchain_qwen_longctx.graphs.ranking import led_on_to
from langchain_qwen_longctx.graphs.retrieval import (
    add_answering,
    evidence_budget,
    put_forward,
    route_evidence,
)
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, bind, spent_on
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.passages import Passage, join, texts_of
from langchain_qwen_longctx.prompt_injection import disarm
from langchain_qwen_longctx.prompts import DECOMPOSE, NEXT_QUESTION
from langchain_qwen_longctx.schemas import Citation, Level, Step  # noqa: TC001 - LangGraph reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_qwen_longctx.chat_models import Reply

_NUMBERING = re.compile(r"^\s*(?:[-*]|\d+[.)、．:：])\s*")

SAME_QUESTION = 0.8
"""From this share of common terms on, two questions count as the same."""


class Fact(TypedDict):
    """What is remembered of a sub-question.

    Attributes:
        question: The sub-question.
        answer: What was found, with markers of its own citations; or that nothing was.
        found: Whether the documents answer it.
        citations: The spans behind it.
        evidence: The sentences that they name, with their neighbours.
    """

    question: str
    answer: str
    found: bool
    citations: list[Citation]
    evidence: list[Passage]


class ReasoningInput(TypedDict, total=False):
    """What level 3 starts from.

    Attributes:
        question: The question.
        plan: What to search for, if the question has been looked up before.
        memory: What was found then.
        hop_level: The level at which sub-questions are looked up. Default `auto`, level 1 and only if that finds
            nothing level 2; or `read` if `is_tried`.
        is_tried: Whether level 1 has found nothing for the question, so that less is read for each of them.
        started: When the question came.
        spent_above: What was spent on it before.
    """

    question: str
    plan: Plan
    memory: list[Fact]
    hop_level: Level
    is_tried: bool
    started: float
    spent_above: Spent


class ReasoningState(QAState, total=False):
    """State of the loop.

    Attributes:
        memory: What is known so far, in the order in which it was found.
        hop_level: As in `ReasoningInput`.
        is_tried: Likewise.
        remaining: What is left to ask once the sub-question is answered, in words that stand for its answer.
        sub_question: What is looked up next; empty when the loop is over.
    """

    memory: Annotated[list[Fact], operator.add]
    hop_level: Level
    is_tried: bool
    remaining: str
    sub_question: str


def build_reasoning_graph(resources: QAResources) -> StateGraph[ReasoningState, None, ReasoningInput, ReasoningState]:
    """Return the graph of level 3, from a question to citations, not yet compiled."""
    graph = StateGraph(ReasoningState, input_schema=ReasoningInput)
    graph.add_node("translate", partial(translate, resources))
    graph.add_node("propose", partial(propose, resources))
    # Bound, these stay out of pictures, which hold a graph of each name only once; the outer graph has them as well.
    lookup: Runnable[Any, Any] = RunnableBinding(bound=build_lookup_graph(resources).compile(name="look_up"))
    following: Runnable[Any, Any] = RunnableBinding(bound=build_following_graph(resources).compile(name="follow"))
    graph.add_node("look_up", nest(hand_down_sub_question, lookup, partial(remember, resources)))
    graph.add_node("follow", nest(hand_down_whole, following, partial(remember_followed, resources)))
    graph.add_node("recall", recall)
    graph.add_node("conclude", partial(conclude, resources))
    graph.add_node("credit", credit)
    add_answering(graph, resources)
    add_checking(graph, resources, after="credit")
    graph.add_conditional_edges(START, bind(route_start, resources), ["translate", "propose"])
    graph.add_edge("translate", "propose")
    graph.add_conditional_edges("propose", bind(route_proposal, resources), ["look_up", "follow", "recall", "conclude"])
    graph.add_edge("look_up", "propose")
    graph.add_conditional_edges("follow", route_followed)
    graph.add_edge("recall", END)
    graph.add_edge("cite", "credit")
    graph.add_conditional_edges("conclude", route_evidence)
    return graph


def route_start(resources: QAResources, state: ReasoningState) -> Literal["translate", "propose"]:
    """Ask in the documents' language, unless the question has been put into it before."""
    return "translate" if "plan" not in state and is_foreign(state["question"], resources.languages) else "propose"


def propose(resources: QAResources, state: ReasoningState) -> ReasoningState:
    """Choose the next sub-question: first the one to begin with, then what remains with what is known put into it.

    If what is known does not fit the context window, there is none.
    """
    asked, memory = in_their_language(state), state.get("memory", [])
    wordings = state["question"], asked
    hops = [fact for fact in memory if fact["question"] != state["question"]]
    is_whole = not hops and bool(memory) and "remaining" in state
    if state.get("halted") or is_whole or len(hops) >= resources.config.max_hops:
        return {"sub_question": ""}
    facts = [fact for fact in hops if fact["found"]]
    if hops and not facts:
        return {"sub_question": choose(wordings, "", memory)}
    remaining = state.get("remaining") or asked
    prompt = NEXT_QUESTION if hops else DECOMPOSE
    variables = {"question": remaining, "known": known(facts)} if hops else {"question": punctuated(asked)}
    try:
        reply: Reply[Any] = call(resources, state, prompt, variables)
    except OutOfBudgetError as error:
        return {"sub_question": "", "halted": [error.reason], "spent": spent_on(error)}
    except ContextOverflowError:
        return {"sub_question": choose(wordings, "", memory)}
    first, second = two_lines(reply.text)
    chosen = choose(wordings, first, memory)
    # Once put together with what is known, the second step is done; what may still be open is in the question itself.
    remaining = asked if hops else second
    return {"sub_question": chosen, "remaining": remaining, "spent": spent_on(reply)}


def known(facts: Sequence[Fact]) -> str:
    """Return what is known, as questions with their answers."""
    return " ".join(f"{fact['question']} {without_markers(fact['answer'])}" for fact in facts)


def punctuated(question: str) -> str:
    """Return a question with its question mark, without which a small model may not take it for one."""
    if question.endswith(("?", "？", ".", "。", "!", "！")):
        return question
    return question + ("？" if detect_language(question) == "zh" else "?")


def two_lines(text: str) -> tuple[str, str]:
    """Return the first two lines of a reply, without their numbers; what is missing is empty."""
    lines = [stripped for line in text.splitlines() if (stripped := _NUMBERING.sub("", line).strip())]
    first, second, *_ = [*lines, "", ""]
    return first, second


def choose(wordings: Sequence[str], proposal: str, memory: Sequence[Fact]) -> str:
    """Return what is looked up next, or nothing.

    A proposal that was looked up before, in these words or nearly so, is no progress, and neither is the question
    itself, as which one that takes one step comes back, or what is no question in its language. Then it is the
    question's turn, if that has not been looked up yet, and with it the loop ends.

    Args:
        wordings: The question as asked, and in the documents' language.
        proposal: What the model would ask next.
        memory: What was looked up so far.
    """
    asked = [fact["question"] for fact in memory]
    if is_question(proposal, wordings) and not is_asked(proposal, [*asked, *wordings]):
        return proposal
    return "" if is_asked(wordings[0], asked) else wordings[0]


def is_question(proposal: str, wordings: Sequence[str]) -> bool:
    """Tell whether a proposal is a question, and in Chinese only if what is asked is."""
    are_chinese = {detect_language(wording) == "zh" for wording in wordings}
    return proposal.endswith(("?", "？")) and (detect_language(proposal) == "zh") in are_chinese


def is_asked(question: str, asked: Sequence[str]) -> bool:
    """Tell whether a question is among others, in these words or nearly so."""
    terms = asked_about(question)
    return any(overlap(terms, asked_about(other)) >= SAME_QUESTION for other in asked)


def asked_about(question: str) -> set[str]:
    """Return the terms of a question without those that only ask."""
    return set(analyze(question)) - ASKING_WORDS


def overlap(left: set[str], right: set[str]) -> float:
    """Return the share of terms that two sets have in common; 1 for two empty ones."""
    union = left | right
    return len(left & right) / len(union) if union else 1.0


def route_proposal(resources: QAResources, state: ReasoningState) -> Literal["look_up", "follow", "recall", "conclude"]:
    """Look up the next sub-question, but before the question itself, try what its best passage leads on to.

    So too if no sub-question has found anything and none is left; but not if level 1, which answers from the same
    passages, has found nothing before.
    """
    is_part = state["sub_question"] not in {"", state["question"]}
    is_open = "plan" not in state and not state.get("halted")
    if is_part or parts_found(state) or not is_open or not asks_for_one_place(resources, state):
        return route_lookup(state)
    return "follow"


def route_lookup(state: ReasoningState) -> Literal["look_up", "recall", "conclude"]:
    """Look up what is chosen; without that, conclude from what is known, unless that is the answer already."""
    if state["sub_question"] and not state.get("halted"):
        return "look_up"
    is_known = any(fact["found"] for fact in state.get("memory", []))
    return "recall" if is_known and not parts_found(state) else "conclude"


def route_followed(state: ReasoningState) -> Literal["look_up", "recall", "conclude"]:
    """End with what two passages have given, if anything."""
    return "recall" if state["found"] else route_lookup(state)


def parts_found(state: ReasoningState) -> bool:
    """Tell whether something is known of a sub-question."""
    return any(fact["found"] and fact["question"] != state["question"] for fact in state.get("memory", []))


def asks_for_one_place(resources: QAResources, state: QAState) -> bool:
    """Tell whether a question asks for something that one place may say, and in a language of the documents."""
    return not aggregate_of(state["question"]) and not is_foreign(state["question"], resources.languages)


def hand_down_sub_question(state: ReasoningState) -> dict[str, Any]:
    """Return a state that begins anew with the sub-question."""
    return {
        "question": state["sub_question"],
        "level": state.get("hop_level", "read" if state.get("is_tried") else "auto"),
        "is_tried": state.get("is_tried", False),
        "is_part": state["sub_question"] != state["question"],
        "hints": [without_markers(fact["answer"]) for fact in state.get("memory", []) if fact["found"]],
        "started": state["started"],
        "spent_above": hand_down(state)["spent_above"],
    }


def hand_down_whole(state: ReasoningState) -> dict[str, Any]:
    """Return a state that begins anew with the question itself, in its own words."""
    return {**hand_down(state), "plan": plan_search(state["question"], None)}


def remember(resources: QAResources, result: dict[str, Any]) -> ReasoningState:
    """Keep what was found for a sub-question, and what it cost."""
    fact = to_fact(resources, result)
    emit("hop", to_step(fact))
    halted = result.get("halted", [])
    return {"memory": [fact], "spent": result["spent"], "touched": result["touched"], "halted": halted}


def remember_followed(resources: QAResources, result: dict[str, Any]) -> dict[str, Any]:
    """Keep what two passages have given, if anything, as found for the question itself."""
    return {**result, **remember(resources, result)} if result["found"] else result


def to_fact(resources: QAResources, outcome: Mapping[str, Any]) -> Fact:
    """Return what is remembered of a question that was looked up."""
    return {
        "question": outcome["question"],
        "answer": outcome["answer"],
        "found": outcome["found"],
        "citations": outcome["citations"],
        "evidence": [cited_passage(resources, citation) for citation in outcome["citations"]],
    }


def recall(state: ReasoningState) -> ReasoningState:
    """End with what the question itself has found."""
    fact = next(fact for fact in state["memory"] if fact["found"])
    return {
        "answer": fact["answer"],
        "found": True,
        "citations": fact["citations"],
        "steps": steps(state),
        "answered_at": "reason",
    }


def conclude(resources: QAResources, state: ReasoningState) -> QAState:
    """Put before the model what it remembers, and unless it says that this is enough, what that leads on to."""
    facts = [fact for fact in state.get("memory", []) if fact["found"]]
    plan: Plan = state.get("plan") or plan_search(state["question"], None)
    passages = join((passage for fact in facts for passage in fact["evidence"]), resources.chunks)
    verdict = ask_whether_enough(resources, state, passages) if passages else {"spent": {}}
    quotes = [citation["quote"] for fact in facts for citation in fact["citations"]]
    further = led_on_to(resources, plan, quotes) if quotes and not verdict.get("found") else []
    chosen = put_forward(resources, [*passages, *further], evidence_budget(resources, state))
    return {**chosen, "plan": plan, "steps": steps(state), "answered_at": "reason", "spent": verdict["spent"]}


def ask_whether_enough(resources: QAResources, state: ReasoningState, passages: Sequence[Passage]) -> QAState:
    """Let the model say whether passages answer the question."""
    text = texts_of(passages, resources.chunks)
    return ask_whether(resources, state, disarm(text, state["question"]), answers_kept=1)


def credit(state: ReasoningState) -> ReasoningState:
    """Cite for an answer what its sub-questions rest on as well, for it would not be known without them."""
    answer, citations = state["answer"], list(state["citations"])
    if not citations:
        return {}
    for fact in state["memory"]:
        for citation in fact["citations"] if fact["question"] != state["question"] else []:
            if citation not in citations:
                citations.append(citation)
                answer += f" [{len(citations)}]"
    return {"answer": answer, "citations": citations}


def steps(state: ReasoningState) -> list[Step]:
    """Return what was looked up, in order; nothing if that was only the question itself."""
    memory = state.get("memory", [])
    is_asked_alone = all(fact["question"] == state["question"] for fact in memory)
    return [] if is_asked_alone else [to_step(fact) for fact in memory]


def to_step(fact: Fact) -> Step:
    """Return what users see of a fact: without the markers of its own citations."""
    return {"question": fact["question"], "answer": without_markers(fact["answer"]), "found": fact["found"]}
