"""What to look for where the documents name nothing of what a question names: what is known to belong to it.

Who lives in Paris may be told as who lives beside the Eiffel Tower. No search by the question's words leads there, but
the model knows what is in Paris, and the documents' words tell which of that they speak of.

Source: for such questions, Modarressi et al., "NoLiMa: Long-context evaluation beyond literal matching"
(https://arxiv.org/abs/2502.05167).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.errors import ModelResponseError, OutOfBudgetError
from langchain_qwen_longctx.graphs.analysis import in_their_language
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, spent_on
from langchain_qwen_longctx.languages import detect_language, language_name
from langchain_qwen_longctx.prompts import ASSOCIATE
from langchain_qwen_longctx.schemas import Associations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_qwen_longctx.answerability import TermWeights
    from langchain_qwen_longctx.chat_models import Reply

MAX_ASSOCIATIONS: Final = 3
"""So many of the names that documents speak of are taken, the rarest ones."""


def route_names(resources: QAResources, state: QAState) -> Literal["associate", "order"]:
    """Ask what belongs to what the question names only if that is nowhere in the documents."""
    return "associate" if resources.weights.absent_names(in_their_language(state)) else "order"


def associate(resources: QAResources, state: QAState) -> QAState:
    """Let the model name what belongs to the first name that the documents do not have, and search for that as well.

    What they speak of is put after the question, for whoever reads or answers it. It is only ever a second wording: the
    question as asked decides whether an answer is one.
    """
    question, plan = in_their_language(state), state["plan"]
    name = resources.weights.absent_names(question)[0]
    variables = {"name": name, "language": language_name(question)}
    try:
        reply: Reply[Any] = call(resources, state, ASSOCIATE, variables, schema=Associations)
    except ModelResponseError as error:
        return {"spent": spent_on(error)}
    except OutOfBudgetError as error:
        return {"spent": spent_on(error), "halted": [error.reason]}
    names = spoken_of(reply.parsed.names, resources.weights) if reply.parsed else []
    return {"plan": associated(plan, question, names) if names else plan, "spent": spent_on(reply)}


def spoken_of(names: Iterable[str], weights: TermWeights) -> list[str]:
    """Return the names that documents may speak of, the rarest first: those whose every term they have."""
    terms = {name: analyze(name) for name in names}
    rarest = {name: min((weights.frequencies.get(term, 0) for term in terms[name]), default=0) for name in terms}
    there = [name for name in rarest if rarest[name] and any(map(weights.is_rare, terms[name]))]
    return sorted(there, key=rarest.__getitem__)[:MAX_ASSOCIATIONS]


def associated(plan: Plan, question: str, names: Iterable[str]) -> Plan:
    """Return a plan that searches for names as well, and puts the question with them beside it."""
    is_chinese = detect_language(question) == "zh"
    listed = f"（{'、'.join(names)}）" if is_chinese else f" ({', '.join(names)})"
    wording = question + listed
    return {**plan, "queries": [*plan["queries"], wording], "translation": wording}
