"""Level 2: let the model read chunk after chunk, then answer from what it pointed at.

The chunks are read in waves, side by side within a wave. Between two waves a pure rule decides whether to go on.
"""

from __future__ import annotations

import math
import operator
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from langgraph.graph import StateGraph
from langgraph.types import Overwrite, Send
from typing_extensions import TypedDict

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.chat_models import Allowance, ask
from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    ModelResponseError,
    ModelUnavailableError,
    OutOfBudgetError,
)
from langchain_qwen_longctx.events import emit
from langchain_qwen_longctx.graphs.analysis import wording
from langchain_qwen_longctx.graphs.association import add_association
from langchain_qwen_longctx.graphs.budget import PROMPT_TOKENS, allowance, share_out
from langchain_qwen_longctx.graphs.checking import add_checking, is_sure, is_unheard_of
from langchain_qwen_longctx.graphs.interruption import is_interrupted
from langchain_qwen_longctx.graphs.ranking import (
    MAX_CHUNKS_DIVIDED,
    above_floor,
    best_passages,
    passages_of,
    query,
    with_ranking,
)
from langchain_qwen_longctx.graphs.retrieval import (
    add_answering,
    evidence_budget,
    route_evidence,
    select,
    sizes,
    with_what_follows,
)
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, Touched, add_spent, bind, spent_on
from langchain_qwen_longctx.passages import Passage, around_sentences, text_of
from langchain_qwen_longctx.prompt_injection import WITHHELD, are_orders, in_one_line, is_about_orders
from langchain_qwen_longctx.prompts import READ
from langchain_qwen_longctx.schemas import MAX_POINTED, Reading
from langchain_qwen_longctx.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document

    from langchain_qwen_longctx.config import LongContextConfig

MIN_WAVE_OF_A_FULL_READING, WAVES_OF_A_FULL_READING = 64, 16
"""Least readings in a wave where no rule could end the reading early, and most such waves.

Every checkpoint holds all readings so far. Only if their number is limited, they do not outgrow the documents.
"""

MAX_READINGS_OF_A_TASK, MIN_TASKS_AT_ONCE = 8, 4
"""Most readings that one task makes one after the other, and least tasks of a wave for each that is under way at once.

A task for each reading would take longer than all else around a call; too few tasks would have to wait for the last.
"""

MAX_TASKS_OF_A_WAVE = 64
"""In a wave of more tasks than that, each makes more readings: whenever one ends, LangGraph looks at all of them."""

MIN_OUTAGES = 3
"""From so many readings in a row on for which the model cannot be reached, it seems to be gone."""

MAX_SENTENCE_TERMS = 64
"""So many terms of the sentences that were pointed at are searched for; more would drown the question's own."""


class ReadingInput(TypedDict, total=False):
    """What level 2 starts from.

    Attributes:
        question: The question.
        plan: What to search for.
        started: When the question came.
        spent_above: What was spent on it before.
        hints: For a sub-question, what is known already.
        is_part: Whether it is in the model's words, and not in the user's.
        is_tried: Whether level 1 has found nothing before, for the question or for the one that it is a part of.
    """

    question: str
    hints: list[str]
    is_part: bool
    plan: Plan
    started: float
    spent_above: Spent
    is_tried: bool


class ReadingState(QAState, total=False):
    """State of a reading.

    Attributes:
        is_tried: As in `ReadingInput`.
        order: Numbers of all chunks, in the order they are read.
        wave: Numbers of the chunks that are read together now; empty when the reading is over.
        allowance: What each reading of the wave may cost.
        readings: Numbers of the sentences that matter, by chunk; none in an empty list, None if the reading failed.
        outages: Numbers of the chunks for which the model could not be reached.
        is_gone: Whether it seems to be gone.
    """

    is_tried: bool
    order: list[int]
    wave: list[int]
    allowance: Allowance
    readings: Annotated[dict[int, list[int] | None], operator.or_]
    outages: Annotated[list[int], operator.add]
    is_gone: bool


class ReadingTask(TypedDict):
    """What is sent for a few readings.

    Attributes:
        question: The question.
        numbers: Numbers of the chunks.
        allowance: What each reading may cost.
        is_gone: Whether the model seems to be gone, so that a reading that cannot reach it ends the run.
    """

    question: str
    numbers: list[int]
    allowance: Allowance
    is_gone: bool


def build_reading_graph(resources: QAResources) -> StateGraph[ReadingState, None, ReadingInput, ReadingState]:
    """Return the graph of level 2, from a plan to citations, not yet compiled."""
    graph = StateGraph(ReadingState, input_schema=ReadingInput)
    graph.add_node("order", partial(order, resources))
    graph.add_node("advance", partial(advance, resources))
    graph.add_node("read_chunks", partial(read_chunks, resources), input_schema=ReadingTask)
    graph.add_node("gather", partial(gather, resources))
    add_answering(graph, resources)
    add_checking(graph, resources, after="cite")
    add_association(graph, resources)
    graph.add_edge("order", "advance")
    graph.add_conditional_edges("advance", bind(route_wave, resources), ["read_chunks", "gather"])
    graph.add_edge("read_chunks", "advance")
    graph.add_conditional_edges("gather", route_evidence)
    return graph


def order(resources: QAResources, state: ReadingState) -> ReadingState:
    """Put the chunks in the order of reading: those that BM25 ranks best first, the rest as in the documents."""
    every = list(range(len(resources.chunks)))
    if resources.config.reading_order == "document":
        return {"order": every}
    documents = resources.retriever.invoke(query(state))
    ranked = [resources.numbers[document.metadata["chunk_id"]] for document in documents]
    return {"order": list(dict.fromkeys([*ranked, *every]))}


def advance(resources: QAResources, state: ReadingState) -> ReadingState:
    """Decide what is read next, if anything.

    If the model seems to be gone, what it could not be reached for is read again. The first of these readings may not
    fail: it ends the run with its error, and that is where a thread goes on once the model is back.
    """
    config, lost = resources.config, set(lost_readings(state))
    readings = {number: numbers for number, numbers in state.get("readings", {}).items() if number not in lost}
    left = [number for number in state["order"] if number not in readings]
    if not left or state.get("halted") or (not lost and is_enough(resources, state)):
        return {"wave": []}
    most = most_readings(config, is_tried=state.get("is_tried", False))
    size = 1 if lost else wave_size(config, len(state["order"]), most - len(readings))
    tokens_each = 2 * config.chunk_tokens + PROMPT_TOKENS + config.answer_tokens
    limits = allowance(resources, state)
    count, each = share_out(limits, min(size, len(left)), calls_each=config.max_attempts + 1, tokens_each=tokens_each)
    if not count:
        return {"wave": [], "halted": [reason_of(limits)]}
    step: dict[str, Any] = {"wave": left[:count], "allowance": each, "is_gone": bool(lost)}
    if lost:
        step |= {"readings": Overwrite(readings), "outages": Overwrite([])}
    return cast("ReadingState", step)


def most_readings(config: LongContextConfig, *, is_tried: bool) -> int:
    """Return how many chunks an adaptive reading reads at most: half of them where level 1 has found nothing before.

    Then the documents seldom hold what is asked for.
    """
    return math.ceil(config.max_readings / 2) if is_tried else config.max_readings


def wave_size(config: LongContextConfig, chunks: int, left: int) -> int:
    """Return how many readings are begun together.

    Args:
        config: The knobs.
        chunks: How many chunks there are.
        left: How many more an adaptive reading may read.
    """
    if config.coverage == "adaptive":
        return min(config.wave_size, left)
    return max(MIN_WAVE_OF_A_FULL_READING, math.ceil(chunks / WAVES_OF_A_FULL_READING))


def reason_of(limits: Allowance) -> Literal["budget", "deadline"]:
    """Say which limit leaves nothing: the time, or else the calls or tokens."""
    return "deadline" if now() >= limits.get("deadline", math.inf) else "budget"


def lost_readings(state: ReadingState) -> list[int]:
    """Return the chunks for which the model could not be reached, if it seems to be gone, or else none.

    It does if that holds for the last few in a row; for fewer, the chunk may be too much for it.
    """
    outages = state.get("outages", [])
    if not outages:
        return []
    last = [number for number, _ in in_order(state)][-MIN_OUTAGES:]
    return outages if set(last) <= set(outages) else []


def is_enough(resources: QAResources, state: ReadingState) -> bool:
    """Tell whether more reading is unlikely to change the answer."""
    config = resources.config
    if config.coverage == "full":
        return False
    if is_unheard_of(resources, state, resources.weights.frequencies.keys()):
        return True
    readings = in_order(state)
    most = most_readings(config, is_tried=state.get("is_tried", False))
    if should_stop([is_find(numbers) for _, numbers in readings], most, config.patience):
        return True
    finds = pointed_at(resources, [reading for reading in readings if is_find(reading[1])])
    if any(is_sure(resources, state, text_of(find, resources.chunks), [find]) for find in finds):
        return True
    return sum(sizes(resources, finds)) >= evidence_budget(resources, state)


def is_find(sentences: Sequence[int] | None) -> bool:
    """Tell whether a reading pointed at something, and not at everything."""
    return 0 < len(sentences or ()) <= MAX_POINTED


def should_stop(found: Sequence[bool], most: int, patience: int) -> bool:
    """Decide whether to read on.

    The order is that of falling promise. So once something is found, a few chunks in a row without a find say that
    the rest holds no more; and if nothing sure is found among the most promising, the documents hardly hold it.

    Args:
        found: Whether each chunk so far was a find, in the order of reading.
        most: How many are read at most.
        patience: After how many in a row without a find it ends.
    """
    return len(found) >= most or (any(found) and not any(found[-patience:]))


def route_wave(resources: QAResources, state: ReadingState) -> list[Send] | Literal["gather"]:
    """Send out the readings of a wave, or go on to the answer."""
    wave = resources.cache.in_own_order(state["wave"]) if resources.cache else state["wave"]
    if not wave:
        return "gather"
    size = task_size(len(wave), resources.config.concurrency)
    shared = {"question": wording(state), "allowance": state["allowance"], "is_gone": state["is_gone"]}
    return [Send("read_chunks", {**shared, "numbers": wave[i : i + size]}) for i in range(0, len(wave), size)]


def task_size(wave: int, concurrency: int) -> int:
    """Return how many readings of a wave one task makes."""
    most = max(MAX_READINGS_OF_A_TASK, math.ceil(wave / MAX_TASKS_OF_A_WAVE))
    return max(1, min(most, wave // (MIN_TASKS_AT_ONCE * concurrency)))


def read_chunks(resources: QAResources, task: ReadingTask) -> ReadingState:
    """Read a few chunks, as long as the model is there and may be asked; what is left comes with the next wave.

    After a Ctrl-C there is none.

    Raises:
        ModelUnavailableError: The model could not be reached for one of them, nor for those before.
    """
    readings: dict[int, list[int] | None] = {}
    outages: list[int] = []
    halted: list[Literal["budget", "deadline"]] = []
    spent: Spent = {}
    for number in task["numbers"]:
        if is_interrupted():
            break
        outcome = read_chunk(resources, task, number)
        readings |= outcome.get("readings", {})
        outages += outcome.get("outages", [])
        halted += outcome.get("halted", [])
        spent = add_spent(spent, outcome["spent"])
        last = list(readings)[-MIN_OUTAGES:]
        if halted or (len(last) == MIN_OUTAGES and set(last) <= set(outages)):
            break
    return {"readings": readings, "outages": outages, "halted": halted, "spent": spent}


def read_chunk(resources: QAResources, task: ReadingTask, number: int) -> ReadingState:
    """Let the model point at the sentences of one chunk that matter. A reading that fails does not end the others.

    Raises:
        ModelUnavailableError: The model could not be reached for this chunk, nor for those before.
    """
    chunk = resources.ordered[number]
    spans = sentence_spans(chunk.page_content)
    question = task["question"]
    variables = {"question": question, "sentences": enumerate_sentences(chunk.page_content, spans, question)}
    try:
        reply = ask(
            resources.reader_model,
            READ,
            variables,
            config=resources.config,
            schema=Reading,
            allowance=task["allowance"],
            cache=resources.cache,
        )
    except OutOfBudgetError as error:
        return {"halted": [error.reason], "spent": spent_on(error)}
    except (ModelUnavailableError, ModelResponseError, ContextOverflowError) as error:
        emit("chunk_read", {"chunk_id": chunk.metadata["chunk_id"], "outcome": "failed"})
        outages = [number] if isinstance(error, ModelUnavailableError) else []
        if outages and task["is_gone"]:
            raise
        return {"readings": {number: None}, "outages": outages, "spent": spent_on(error)}
    numbers = sorted({n for n in reply.parsed.sentences if 1 <= n <= len(spans)}) if reply.parsed else []
    tell(chunk, [spans[n - 1] for n in numbers])
    return {"readings": {number: numbers}, "spent": spent_on(reply)}


def tell(chunk: Document, spans: Sequence[tuple[int, int]]) -> None:
    """Report a reading and the sentences that it pointed at."""
    identifier = chunk.metadata["chunk_id"]
    emit("chunk_read", {"chunk_id": identifier, "outcome": "relevant" if spans else "irrelevant"})
    if spans:
        quotes = [chunk.page_content[start:end] for start, end in spans]
        source, page = chunk.metadata["source"], chunk.metadata.get("page")
        emit("evidence_found", {"chunk_id": identifier, "source": source, "page": page, "quotes": quotes})


def enumerate_sentences(text: str, spans: Sequence[tuple[int, int]], question: str = "") -> str:
    """Number sentences from 1, one a line; orders to a language model are left out."""
    sentences = [in_one_line(text[start:end]) for start, end in spans]
    if not is_about_orders(question):
        withheld = zip(sentences, are_orders(sentences), strict=True)
        sentences = [WITHHELD if is_order else sentence for sentence, is_order in withheld]
    return "\n".join(f"[{n}] {sentence}" for n, sentence in enumerate(sentences, 1))


def gather(resources: QAResources, state: ReadingState) -> QAState:
    """Choose the evidence: what was pointed at, what that leads on to, and what BM25 finds for those sentences.

    What was pointed at takes turns with the passages that are best for level 1: a small model overlooks things, and
    takes what is said of something else for what is asked. If nothing was pointed at, the evidence is that of level 1;
    or none, if that has found nothing before.
    """
    readings, touched = in_order(state), touched_by(state.get("readings", {}))
    finds = pointed_at(resources, [reading for reading in readings if is_find(reading[1])])
    unsure = pointed_at(resources, [reading for reading in readings if not is_find(reading[1])])
    pointed = [*finds, *unsure]
    if not pointed and state.get("is_tried"):
        return {"evidence": [], "evidence_tokens": 0, "touched": touched}
    ranked = with_ranking(resources, state)
    if not pointed:
        return {**select(resources, ranked), "touched": touched}
    best = in_turns(finds, best_passages(resources, ranked))
    chosen = with_what_follows(resources, state, [*best, *unsure, *related(resources, state, pointed)])
    return {**chosen, "touched": touched}


def in_turns(*rankings: Sequence[Passage]) -> list[Passage]:
    """Return what rankings hold, the first of each, then the second of each, and so on."""
    return [passage for place in zip_longest(*rankings) for passage in place if passage is not None]


def related(resources: QAResources, state: ReadingState, relevant: Sequence[Passage]) -> list[Passage]:
    """Return the passages that BM25 ranks best for the question and the sentences that were pointed at."""
    wanted = expand(query(state), [text_of(passage, resources.chunks) for passage in relevant])
    shares = above_floor(resources.retriever.invoke(wanted), resources.config.min_relative_score)
    return passages_of(resources, state["plan"], dict(list(shares.items())[:MAX_CHUNKS_DIVIDED]), analyze(wanted))


def in_order(state: ReadingState) -> list[tuple[int, list[int]]]:
    """Return what was read so far, as numbers of chunks and of their sentences, in the order of reading."""
    readings = state.get("readings", {})
    return [(number, readings[number] or []) for number in state["order"] if number in readings]


def pointed_at(resources: QAResources, readings: Sequence[tuple[int, list[int]]]) -> list[Passage]:
    """Return the sentences that readings pointed at, with their neighbours; those of several chunks take turns."""
    finds = [(resources.ordered[number], numbers) for number, numbers in readings if numbers]
    return in_turns(*(around_sentences(chunk, numbers) for chunk, numbers in finds))


def touched_by(readings: dict[int, list[int] | None]) -> Touched:
    """Return which chunks were read, held something, or failed."""
    return {
        "read": sorted(number for number, sentences in readings.items() if sentences is not None),
        "relevant": sorted(number for number, sentences in readings.items() if sentences),
        "failed": sorted(number for number, sentences in readings.items() if sentences is None),
    }


def expand(question: str, sentences: Sequence[str]) -> str:
    """Add sentences to a query, up to a number of terms. The question's own words stand in it twice."""
    kept, room = [], MAX_SENTENCE_TERMS
    for sentence in sentences:
        room -= len(analyze(sentence))
        if room < 0:
            break
        kept.append(sentence)
    return " \n".join([question, question, *kept])
