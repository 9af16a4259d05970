"""What every level ends with: whether that which is cited answers the question at all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from langgraph.graph import END

from langchain_qwen_longctx.answerability import SURE_SUPPORT, terms_named
from langchain_qwen_longctx.bridges import closest_sentence, is_bridge
from langchain_qwen_longctx.errors import ContextOverflowError, OutOfBudgetError
from langchain_qwen_longctx.graphs.analysis import is_foreign, leeway, wording_to_answer
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.ranking import best_passages, with_ranking
from langchain_qwen_longctx.graphs.state import QAResources, QAState, add_spent, having_spent, spent_on
from langchain_qwen_longctx.languages import detect_language
from langchain_qwen_longctx.passages import Passage, around_span, join, overlaps, text_of, texts_of
from langchain_qwen_longctx.prompt_injection import disarm
from langchain_qwen_longctx.prompts import CHECK
from langchain_qwen_longctx.recent_texts import terms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from langgraph.graph import StateGraph

    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.schemas import Citation

MIN_SUPPORT = 0.2
"""Below this share, what is cited is taken to be about something else."""

MIN_LEAD = 0.05
"""By so large a share of a translation, by weight, a text has to have more of it than every other place."""

NO = ("no", "否", "不", "没")
"""How a verdict begins that is no."""


def add_checking(
    graph: StateGraph[Any, None, Any, Any],
    resources: QAResources,
    *,
    after: str,
    by: Callable[[QAResources, Any], QAState] | None = None,
) -> None:
    """Add what every level ends with: the question whether what is cited answers at all, by default that of `check`."""
    graph.add_node("check", partial(by or check, resources))
    graph.add_conditional_edges(after, route_found, {"check": "check", "end": END})
    graph.add_conditional_edges("check", route_verdict, {"decline": "decline", "end": END})


def route_found(state: QAState) -> Literal["check", "end"]:
    """Check an answer that cites something; one that does not is not found anyway."""
    return "check" if state["found"] else "end"


def check(resources: QAResources, state: QAState) -> QAState:
    """Tell from the words of the question whether what is cited can answer it; in doubt, let the model say.

    A question that names what nobody has heard of has no answer: a small model takes one about something else for it.
    If the model says otherwise than the names in the question do, it looks again, at the cited sentences alone, and
    that decides. If a call costs too much, what was said before it stands. A translation has fewer words in common with
    the documents.
    """
    places = cited_passages(resources, state)
    text = grounds(resources, state, places)
    if resources.weights.support(text, state["plan"]["queries"]) < MIN_SUPPORT / leeway(resources, state):
        return {"found": False}
    if is_unheard_of(resources, state, terms_of(text)):
        return {"found": False}
    if is_sure(resources, state, text, places):
        return {"found": True}
    verdict: QAState = {**ask_whether(resources, state, text), "doubted": True}
    if is_undisputed(resources, state, text, verdict):
        return verdict
    again = check_quotes(resources, having_spent(state, verdict["spent"]))
    return {**verdict, **again, "spent": add_spent(verdict["spent"], again["spent"])}


def is_unheard_of(resources: QAResources, state: QAState, spellings: Collection[str]) -> bool:
    """Tell whether a question names something that nobody has heard of, neither the documents nor a dictionary.

    Of documents in several languages nobody can tell, nor of a sub-question, which is in the model's words.

    Args:
        resources: Whose documents.
        state: Whose question.
        spellings: Terms of a text that may answer it, of which a name may be a misspelling.
    """
    question = state["plan"]["information"]
    if state.get("is_part") or resources.languages != [detect_language(question)]:
        return False
    names = resources.weights.unheard_names(question, spellings)
    return any(not any(name in chunk.page_content for chunk in resources.ordered) for name in names)


def is_undisputed(resources: QAResources, state: QAState, text: str, verdict: QAState) -> bool:
    """Tell whether the names in the question say the same as a verdict on a text, or have no say.

    They have none if there are none, if the verdict was not paid for, or if they are translated.
    """
    names = resources.weights.names_in(state["plan"]["information"])
    if not names or "found" not in verdict or is_foreign(state["question"], resources.languages):
        return True
    return verdict["found"] == (names <= terms_named(text))


def check_quotes(resources: QAResources, state: QAState) -> QAState:
    """Let the model say whether the sentences that are cited answer the question, without their neighbours."""
    quotes = "\n".join(citation["quote"] for citation in state["citations"])
    return ask_whether(resources, state, disarm(quotes, state["question"]))


def ask_whether(resources: QAResources, state: QAState, text: str, *, answers_kept: int = 0) -> QAState:
    """Let the model say whether a text answers the question; of that nothing, if it costs too much or does not fit.

    Args:
        resources: Whose model.
        state: Whose question.
        text: The text.
        answers_kept: For how many answers something is kept back.
    """
    variables = {"question": wording_to_answer(state), "text": text}
    try:
        reply: Reply[Any] = call(resources, state, CHECK, variables, answers_kept=answers_kept)
    except OutOfBudgetError as error:
        return {"spent": spent_on(error)}
    except ContextOverflowError:
        return {"spent": {}}
    return {"found": not is_no(reply.text), "spent": spent_on(reply)}


def is_sure(resources: QAResources, state: QAState, text: str, places: Sequence[Passage]) -> bool:
    """Tell whether a text speaks of so much of the question that it hardly can be about another one.

    A sub-question is in the model's words: what it names need not be what the documents call it. So is a translation,
    and it may be wrong; but then other places have as much of it.

    Args:
        resources: Whose documents.
        state: Whose question.
        text: The text.
        places: Where it stands.
    """
    questions, weights = state["plan"]["queries"], resources.weights
    if not is_foreign(state["question"], resources.languages):
        return weights.is_sure(text, questions, by_name=not state.get("is_part", False))
    question = max(questions, key=lambda question: weights.support(text, [question]))
    share = weights.support(text, [question])
    return share >= SURE_SUPPORT and all(
        share >= weights.support(other, [question]) + MIN_LEAD for other in elsewhere(resources, state, places)
    )


def elsewhere(resources: QAResources, state: QAState, places: Sequence[Passage]) -> Iterator[str]:
    """Yield the best passages for the question, but for those that some places are in."""
    for passage in best_passages(resources, with_ranking(resources, state)):
        if not any(overlaps(passage, place) for place in places):
            yield text_of(passage, resources.chunks)


def grounds(resources: QAResources, state: QAState, places: Sequence[Passage]) -> str:
    """Return what an answer rests on: the cited passages, and what led on to them.

    In a question of two steps, what is cited has little of the question; the sentence of the first step has the rest.
    """
    cited = texts_of(places, resources.chunks)
    questions, weights = state["plan"]["queries"], resources.weights
    evidence = texts_of(state["evidence"], resources.chunks, between="\n\n")
    told = closest_sentence(evidence, questions, weights)
    text = f"{told}\n{cited}" if told not in cited and is_bridge(told, cited, questions, weights) else cited
    return disarm(text, state["question"])


def cited_passages(resources: QAResources, state: QAState) -> list[Passage]:
    """Return all cited sentences, each with its neighbours."""
    return join((cited_passage(resources, citation) for citation in state["citations"]), resources.chunks)


def cited_passage(resources: QAResources, citation: Citation) -> Passage:
    """Return a cited sentence and its neighbours."""
    chunk = resources.chunks[citation["chunk_id"]]
    first = chunk.metadata["start"]
    return around_span(chunk, citation["start"] - first, citation["end"] - first)


def is_no(verdict: str) -> bool:
    """Tell whether a verdict is no; whatever else a model writes leaves the answer as it is."""
    return verdict.strip().lower().startswith(NO)


def route_verdict(state: QAState) -> Literal["decline", "end"]:
    """Decline what does not answer the question."""
    return "end" if state["found"] else "decline"
