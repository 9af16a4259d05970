"""The ways to answer that are compared: the levels, and what one would do without them.

The baselines use the same model, and but for the one without a document, the same answer's prompt: what the model knows
by itself, what it makes of the right paragraphs alone, of the front of the document, and of what BM25 finds for the
bare question. What is put before it whole is not checked: that the right paragraphs hold the answer is known, and a
plain model would not check itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from langchain_core.documents import Document
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite

from langchain_qwen_longctx.chat_models import ask
from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.document_loaders import load_documents, source_text
from langchain_qwen_longctx.graphs.analysis import is_foreign, plan_search, translate
from langchain_qwen_longctx.graphs.long_context_qa import build_graph
from langchain_qwen_longctx.graphs.resources import gather_resources, identified
from langchain_qwen_longctx.graphs.retrieval import (
    RetrievalInput,
    add_answering,
    build_retrieval_graph,
    evidence_budget,
    put_forward,
    room_for_evidence,
    route_evidence,
    sizes,
)
from langchain_qwen_longctx.graphs.state import QAResources, QAState, add_spent
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.passages import to_document, whole
from langchain_qwen_longctx.prompts import CLOSED_BOOK
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.schemas import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.cases import Case
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.schemas import Citation

Baseline: TypeAlias = Literal["closed-book", "oracle", "truncate", "bm25"]
Arm: TypeAlias = Level | Baseline

ARMS: Final[tuple[Arm, ...]] = (*get_args(Level), *get_args(Baseline))

STAGES: Final = ("retrieved", "read", "packed")
"""What a graph takes in before it answers: what is ranked, put before the model, and put into the answer's prompt."""


@dataclass(slots=True)
class Attempt:
    """What an arm did for a question.

    Attributes:
        answer: What it answered.
        found: Whether it passes that off as found in the document.
        citations: Where.
        spans: The spans of the document that each stage took in; a stage that it does not have is absent.
        usage: What it cost, as in `QAOutput`, the seconds apart.
        error: Why there is no answer; None if there is one.
    """

    answer: str = ""
    found: bool = False
    citations: Sequence[Citation] = ()
    spans: Mapping[str, set[tuple[int, int]]] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


Runner: TypeAlias = Callable[["Case"], Attempt]
"""What answers questions about one document in one arm."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A document, opened once for all its cases and arms.

    Attributes:
        source: Its path.
        text: Its text, in which all offsets count.
        resources: What the graphs work with.
        graph: The graph of all levels.
    """

    source: str
    text: str
    resources: QAResources
    graph: Runnable[Any, Any]


def open_subject(path: Path, cache_dir: Path | None, model: BaseChatModel, config: LongContextConfig) -> Subject:
    """Return a document with its index.

    Raises:
        DocumentError: It cannot be read.
    """
    retriever, _ = open_index([path], cache_dir=cache_dir, chunk_tokens=config.chunk_tokens)
    return Subject(
        source=str(path),
        text=source_text(load_documents([path]), str(path)),
        resources=gather_resources(model, None, retriever, config),
        graph=build_graph(model=model, retriever=retriever, config=config).compile(),
    )


def runner_of(arm: Arm, subject: Subject) -> Runner:
    """Return what answers the questions about a document in an arm."""
    match arm:
        case "closed-book":
            return partial(answer_by_heart, subject)
        case "oracle":
            return partial(answer_from_gold, subject)
        case "truncate":
            return partial(answer_from_front, subject)
        case "bm25":
            return partial(answer_without_plan, subject.resources)
        case _:
            return partial(answer_at_level, subject, arm)


def answer_at_level(subject: Subject, level: Level, case: Case) -> Attempt:
    """Answer as the package does."""
    result, spans = follow(subject.graph, {"question": case.question, "level": level}, subject.resources)
    return Attempt(result["answer"], result["found"], result["citations"], spans, result["usage"])


def answer_by_heart(subject: Subject, case: Case) -> Attempt:
    """Answer without any document."""
    reply = ask(subject.resources.model, CLOSED_BOOK, {"question": case.question}, config=subject.resources.config)
    usage = {name: getattr(reply, name) for name in ("model_calls", "input_tokens", "output_tokens")}
    return Attempt(reply.text, usage=usage)


def answer_without_plan(resources: QAResources, case: Case) -> Attempt:
    """Answer from what BM25 finds for the question as it stands; from all there is, if it fits."""
    return answer_by(build_retrieval_graph(resources), resources, planned(case))


def planned(case: Case) -> QAState:
    """Return a state for a question that is searched for as it stands."""
    return {"question": case.question, "plan": plan_search(case.question, None)}


def answer_by(
    graph: StateGraph[QAState, None, RetrievalInput, QAState], resources: QAResources, state: QAState
) -> Attempt:
    """Answer a question whose plan is made, and count what the plan has cost."""
    given = {"question": state["question"], "plan": state["plan"], "started": now()}
    result, spans = follow(graph.compile(), given, resources)
    spent = add_spent(state.get("spent", {}), result.get("spent", {}))
    usage: dict[str, int] = dict(spent.items())
    return Attempt(result["answer"], result["found"], result.get("citations", []), spans, usage)


def build_plain_graph(resources: QAResources) -> StateGraph[QAState, None, RetrievalInput, QAState]:
    """Return a graph that puts all there is before the model and takes it at its word, not yet compiled."""
    graph = StateGraph(QAState, input_schema=RetrievalInput)
    graph.add_node("take_all", partial(take_all, resources))
    add_answering(graph, resources)
    graph.add_edge(START, "take_all")
    graph.add_conditional_edges("take_all", route_evidence)
    graph.add_edge("cite", END)
    return graph


def take_all(resources: QAResources, state: QAState) -> QAState:
    """Put every chunk forward, in document order."""
    return put_forward(resources, [whole(chunk) for chunk in resources.ordered], evidence_budget(resources, state))


def answer_from_gold(subject: Subject, case: Case) -> Attempt:
    """Answer from the gold paragraphs alone: the most that the model can make of any retrieval.

    A question in another language is put into theirs, as the levels do.
    """
    golds = [paragraph_of(subject, gold.start, gold.end, number) for number, gold in enumerate(case.evidence)]
    if not golds:
        return Attempt()
    resources, question = narrowed(subject, golds), case.question
    plan = planned(case)
    if is_foreign(question, resources.languages):
        plan |= translate(resources, {"question": question})
    return answer_by(build_plain_graph(resources), resources, plan)


def answer_from_front(subject: Subject, case: Case) -> Attempt:
    """Answer from as much of the document as the window holds, from its beginning on."""
    room, front = room_for_evidence(subject.resources, {"question": case.question}), []
    for chunk in subject.resources.ordered:
        room -= sum(sizes(subject.resources, [whole(chunk)]))
        if room < 0:
            break
        front.append(chunk)
    resources = narrowed(subject, front)
    return answer_by(build_plain_graph(resources), resources, planned(case))


def narrowed(subject: Subject, chunks: Sequence[Document]) -> QAResources:
    """Return what answers from the whole of a few chunks."""
    config = replace(subject.resources.config, evidence_tokens=None)
    retriever = BilingualBM25Retriever.from_documents(chunks)
    return gather_resources(subject.resources.model, None, retriever, config)


def paragraph_of(subject: Subject, start: int, end: int, number: int) -> Document:
    """Return a span of a document as a chunk of it."""
    where = {"source": subject.source, "start": start}
    return identified(Document(page_content=subject.text[start:end], metadata=where), number)


def follow(
    graph: Runnable[Any, Any], given: Mapping[str, Any], resources: QAResources
) -> tuple[dict[str, Any], dict[str, set[tuple[int, int]]]]:
    """Run a graph and note which spans of the document each stage took in.

    Args:
        graph: A graph, those inside it included.
        given: What it starts from.
        resources: What it works with.

    Returns:
        Its last state, and the spans by stage.
    """
    spans: dict[str, set[tuple[int, int]]] = defaultdict(set)
    state: dict[str, Any] = {}
    for place, mode, data in graph.stream(given, stream_mode=["updates", "values"], subgraphs=True):
        if mode == "values":
            state = data if not place else state
            continue
        for update in data.values():
            # What a node resets, it has not seen.
            seen = {name: value for name, value in (update or {}).items() if not isinstance(value, Overwrite)}
            if "ranked" in seen:
                spans["retrieved"] |= {span_of(resources.chunks[name]) for name in seen["ranked"]}
            if "touched" in seen:
                spans["read"] |= {span_of(resources.ordered[number]) for number in seen["touched"].get("read", ())}
            if "evidence" in seen:
                spans["packed"] |= {span_of(to_document(part, resources.chunks)) for part in seen["evidence"]}
    return state, spans


def span_of(document: Document) -> tuple[int, int]:
    """Return where in its source a chunk or passage is."""
    return document.metadata["start"], document.metadata["end"]
