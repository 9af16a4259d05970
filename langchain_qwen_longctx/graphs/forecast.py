"""What a question will cost, told before it is asked: in calls, tokens and seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from typing_extensions import TypedDict

from langchain_qwen_longctx.chat_models import Reply, ask
from langchain_qwen_longctx.graphs.association import MAX_REPLACING
from langchain_qwen_longctx.graphs.budget import EXPECTED_ANSWER, PROMPT_TOKENS, READ_PER_WRITTEN
from langchain_qwen_longctx.graphs.following import MAX_TRIED
from langchain_qwen_longctx.graphs.reading import most_readings
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.prompts import ANALYZE, ASSOCIATE, BELONGS, PROBE, TRANSLATE_ANSWER, TRANSLATE_QUESTION
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import LLMResult
    from langchain_core.retrievers import BaseRetriever

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.graphs.state import QAResources
    from langchain_qwen_longctx.schemas import Level

# Tokens, at least and at most, of what is not in the documents, whose own tokens are counted.
QUESTION = 8, 64
PLAN = 60, 160
PROPOSAL_PROMPT = 200, 450
ANSWER_PROMPT = 96, PROMPT_TOKENS
NAMES = 16, 96
READING_PROMPT = 64, 128
READING = 6, 24
CHECK_PROMPT = 293, 360
CITED = 384
VERDICT = 1, 8

NUMBERED = 1.2
"""A chunk with its sentences numbered is at most so many times its size."""

MOST_CHECKS = 2
"""So often the model may be asked whether what an answer cites answers: in doubt, and where the names say otherwise."""

LITTLE_EVIDENCE = 1 / 16
"""Share of the evidence allowed that is found if hardly anything matches."""

NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model is.

    Attributes:
        read: Tokens of a prompt per second.
        written: Tokens of a reply per second.
    """

    read: float
    written: float


class Forecast(TypedDict):
    """What a question will cost, each as the least and the most that is to be expected.

    Replies that are kept from before cost nothing and are not known here.

    Attributes:
        level: The level it was made for.
        chunks_total: Chunks of the documents.
        chunks_read: Chunks that are read one by one.
        model_calls: Calls of the model, none of them failing.
        input_tokens: Tokens read.
        output_tokens: Tokens written.
        seconds: Time, calls one after the other; None if the model's speed is not known.
    """

    level: Level
    chunks_total: int
    chunks_read: tuple[int, int]
    model_calls: tuple[int, int]
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    seconds: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What some calls take: how many there are, tokens read and written, and chunks read one by one."""

    calls: float = 0
    read: float = 0
    written: float = 0
    chunks: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls, self.read + other.read, self.written + other.written, self.chunks + other.chunks
        )

    def __mul__(self, factor: float) -> Cost:
        return Cost(self.calls * factor, self.read * factor, self.written * factor, self.chunks * factor)

    def seconds(self, speed: Speed) -> float:
        """Return how long the calls take, one after the other."""
        return self.read / speed.read + self.written / speed.written


@dataclass(frozen=True, slots=True)
class Estimate:
    """The least and the most that a part of the work is expected to take."""

    low: Cost
    high: Cost

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.low + other.low, self.high + other.high)

    def times(self, least: int, most: int) -> Estimate:
        """Return what it takes to do this so often."""
        return Estimate(self.low * least, self.high * most)


def qa_forecast(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BaseRetriever | None = None,
    config: LongContextConfig | None = None,
    level: Level = "auto",
    measure: bool = False,
) -> Forecast:
    """Say what a question over these documents will cost, without asking it.

    Args:
        model: As for `create_long_context_qa`.
        documents: Likewise.
        retriever: Likewise.
        config: Likewise; its limits on calls, tokens and seconds cap the forecast.
        level: How the question will be asked.
        measure: Whether to time the model in one short call, so that the forecast has seconds.

    Raises:
        InputError: As `create_long_context_qa` raises it.
        ModelError: The call failed.
    """
    resources = gather_resources(model, documents, retriever, config)
    speed = measure_speed(resources.model, resources.config) if measure else None
    return forecast(resources, level, speed)


def forecast(resources: QAResources, level: Level, speed: Speed | None = None) -> Forecast:
    """Reckon what a question of usual length will cost at a level.

    Args:
        resources: The documents, and the configuration whose limits cap the forecast.
        level: How the question will be asked.
        speed: How fast the model is; None leaves time out.
    """
    case = to_case(resources)
    whole = _LEVELS[level](case) + in_another_language(case)
    low, high = (capped(cost, resources.config, speed) for cost in (whole.low, whole.high))
    return {
        "level": level,
        "chunks_total": len(resources.chunks),
        "chunks_read": (int(low.chunks), int(high.chunks)),
        "model_calls": (round(low.calls), round(high.calls)),
        "input_tokens": (round(low.read), round(high.read)),
        "output_tokens": (round(low.written), round(high.written)),
        "seconds": (round(low.seconds(speed), 1), round(high.seconds(speed), 1)) if speed else None,
    }


def capped(cost: Cost, config: LongContextConfig, speed: Speed | None) -> Cost:
    """Return a cost, or as much of it as the configuration's limits let happen."""
    shares = [1.0]
    if config.max_model_calls is not None:
        shares.append(config.max_model_calls / cost.calls)
    if config.max_tokens is not None:
        shares.append(config.max_tokens / (cost.read + cost.written))
    if config.max_seconds is not None and speed:
        shares.append(config.max_seconds / cost.seconds(speed))
    return cost * min(shares)


@dataclass(frozen=True, slots=True)
class Case:
    """What a forecast depends on.

    Attributes:
        config: The knobs.
        chunks: Chunks of the documents.
        tokens: Their size.
        languages: The documents' languages, the one that most of them are in first.
    """

    config: LongContextConfig
    chunks: int
    tokens: int
    languages: list[str]


def to_case(resources: QAResources) -> Case:
    """Measure the documents."""
    tokens = sum(count_tokens(chunk.page_content) for chunk in resources.ordered)
    return Case(resources.config, len(resources.ordered), tokens, list(resources.languages))


def at_retrieve(case: Case) -> Estimate:
    """Level 1: plan the search, answer, and check in doubt."""
    return planning(case) + answering(case)


def at_read(case: Case) -> Estimate:
    """Level 2: the same, with readings between."""
    return planning(case) + reading(case) + answering(case)


def at_reason(case: Case, *, is_tried: bool = False) -> Estimate:
    """Level 3: from an answer out of two passages to as many sub-questions as may be, each of them looked up."""
    most, hop = case.config.max_hops + 1, proposing() + planning_again(case) + answering(case)
    read_for = reading(case, is_tried=is_tried)
    if is_tried:
        return (hop + read_for).times(1, most) + answering(case, most_checks=MOST_CHECKS + 1).times(0, 1)
    read_for_at_most = (read_for + answering(case)).times(0, 1)
    ending = proposing() + answering(case, most_checks=MOST_CHECKS + MAX_TRIED)
    return (hop + read_for_at_most).times(0, most) + ending


def at_auto(case: Case) -> Estimate:
    """Level 1, and if that finds nothing, level 3, reading less."""
    return at_retrieve(case) + at_reason(case, is_tried=True).times(0, 1)


_LEVELS = {"auto": at_auto, "retrieve": at_retrieve, "read": at_read, "reason": at_reason}


def planning(case: Case) -> Estimate:
    """Return what it takes to plan the search: the question is in one of the documents' languages, or in none."""
    prompt = count_message_tokens(ANALYZE.format_messages(question=""))
    analysis = estimate([prompt + tokens for tokens in QUESTION], PLAN)
    bare = count_message_tokens(TRANSLATE_QUESTION.format_messages(language="", text="", words=""))
    # The dictionary's words take about as much as the question.
    translation = estimate([bare + 2 * tokens for tokens in QUESTION], QUESTION)
    return analysis + translation.times(max(len(case.languages) - 1, 0), len(case.languages))


def planning_again(case: Case) -> Estimate:
    """Return what it takes to plan for a sub-question: nothing if all documents are in its language."""
    return planning(case) if len(case.languages) > 1 else planning(case).times(0, 1)


def answering(case: Case, *, most_checks: int = MOST_CHECKS) -> Estimate:
    """Return what one answer takes, checked if that is in doubt, and again if the check is.

    It takes little if few passages match, or all the evidence that it may get.
    """
    config = case.config
    room = max(config.context_window - config.answer_tokens - PROMPT_TOKENS, 0)
    cap = room if config.evidence_tokens is None else config.evidence_tokens
    little = min(cap, room, case.tokens) * LITTLE_EVIDENCE
    much = min(cap, room, case.tokens)
    shortest, longest = ANSWER_PROMPT
    written = EXPECTED_ANSWER / 8, longest_answer(config)
    bare, longer = CHECK_PROMPT
    check = estimate((bare, longer + min(CITED, case.tokens)), VERDICT)
    return estimate((shortest + little, longest + much), written) + check.times(0, most_checks)


def longest_answer(config: LongContextConfig) -> int:
    """Return how many tokens an answer has at most, as a rule."""
    return min(4 * EXPECTED_ANSWER, config.answer_tokens)


def in_another_language(case: Case) -> Estimate:
    """Return what more the answer takes if none of the documents is in the question's language.

    It is translated. From Chinese documents, it may be given in that language first, and then again.
    """
    bare = count_message_tokens(TRANSLATE_ANSWER.format_messages(language="", text=""))
    longest = longest_answer(case.config)
    translation = estimate((bare, bare + longest), (0, longest)).times(0, 1)
    is_chinese = case.languages[:1] == ["zh"]
    return translation + answering(case, most_checks=0).times(0, 1) if is_chinese else translation


def reading(case: Case, *, is_tried: bool = False) -> Estimate:
    """Return what the readings take: all of them, or until a rule ends an adaptive one.

    Args:
        case: The documents and knobs.
        is_tried: Whether level 1 comes before, and finds nothing.
    """
    config = case.config
    least = most = case.chunks
    if config.coverage == "adaptive":
        most = min(most_readings(config, is_tried=is_tried), case.chunks)
        least = min(config.wave_size, most)
    chunk, (shortest, longest) = case.tokens / case.chunks, READING_PROMPT
    one = estimate((chunk + shortest, chunk * NUMBERED + longest), READING)
    readings = replace(one, low=replace(one.low, chunks=1), high=replace(one.high, chunks=1)).times(least, most)
    return associating(case).times(0, 1) + readings


def associating(case: Case) -> Estimate:
    """Return what it takes to look for what goes with a name that the documents lack."""
    bare = count_message_tokens(ASSOCIATE.format_messages(name="", language=""))
    one = count_message_tokens(BELONGS.format_messages(name="", other=""))
    checks = estimate([one, one + NAMES[0]], VERDICT).times(0, MAX_REPLACING)
    lists = estimate([bare, bare + NAMES[0]], NAMES).times(1, 2)
    return lists + checks + answering(case, most_checks=1).times(0, 1)


def proposing() -> Estimate:
    """Return what it takes to write a sub-question."""
    return estimate(PROPOSAL_PROMPT, QUESTION)


def estimate(read: Sequence[float], written: Sequence[float]) -> Estimate:
    """Return what one call takes, from its tokens at least and at most."""
    return Estimate(*(Cost(1, *tokens) for tokens in zip(read, written, strict=True)))


class Stopwatch(BaseCallbackHandler):
    """Takes down what a server says about how long it read and wrote, without the time it took to load the model."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Keep what came with the reply."""
        message = getattr(response.generations[0][0], "message", None)
        self.said = message.response_metadata if message else {}


def measure_speed(model: BaseChatModel, config: LongContextConfig) -> Speed:
    """Time a model in one short call.

    Ollama says itself how long it read and how long it wrote. Of other servers only the whole is known, with the
    loading of the model if that was still to be done; it is divided as on a CPU.

    Raises:
        ModelError: The call failed.
    """
    stopwatch, started = Stopwatch(), time.perf_counter()
    # What is called within a Runnable's run reports to its callbacks.
    probe: RunnableLambda[dict[str, str], Reply[Any]] = RunnableLambda(
        lambda variables: ask(model, PROBE, variables, config=config)
    )
    reply = probe.invoke({"mark": str(time.time_ns())}, config={"callbacks": [stopwatch]})
    return speed_of(reply, time.perf_counter() - started, stopwatch.said)


def speed_of(reply: Reply[Any], seconds: float, said: dict[str, Any]) -> Speed:
    """Reckon a model's speed from one reply.

    Args:
        reply: The reply.
        seconds: How long it took in all.
        said: What the server said about it, in Ollama's terms.
    """
    read, written = max(reply.input_tokens, 1), max(reply.output_tokens, 1)
    reading_took, writing_took = said.get("prompt_eval_duration"), said.get("eval_duration")
    if reading_took and writing_took:
        return Speed(read * NANOSECONDS / reading_took, written * NANOSECONDS / writing_took)
    per_second = (written + read / READ_PER_WRITTEN) / max(seconds, 1e-3)
    return Speed(per_second * READ_PER_WRITTEN, per_second)
