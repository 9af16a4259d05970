"""Whether a model can do its part: a few calls with the method's own prompts, about texts whose answers are known."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.chat_models import Reply, ask
from langchain_qwen_longctx.citations import cite
from langchain_qwen_longctx.config import MIN_CONTEXT_WINDOW
from langchain_qwen_longctx.console import format_duration, rounded
from langchain_qwen_longctx.doctor import Check
from langchain_qwen_longctx.errors import ModelError, ModelResponseError, PromptTruncatedError
from langchain_qwen_longctx.graphs.checking import is_no
from langchain_qwen_longctx.graphs.forecast import Case, Estimate, Speed, at_retrieve, measure_speed, reading
from langchain_qwen_longctx.graphs.reading import enumerate_sentences
from langchain_qwen_longctx.graphs.retrieval import render
from langchain_qwen_longctx.prompts import ANSWER, CHECK, READ
from langchain_qwen_longctx.sample_texts import SAMPLES, filler
from langchain_qwen_longctx.schemas import MAX_POINTED, Reading
from langchain_qwen_longctx.sentences import sentence_spans
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.language_models import BaseChatModel
    from pydantic import BaseModel

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.sample_texts import Sample

SECONDS_TO_FILL: Final = 20.0
"""The context window is filled if that takes no longer, by the first impression of the model's speed."""

SECONDS_TO_TIME: Final = 3.0
"""Otherwise the long prompt is only as long as the model reads in this time, or as can be timed at all."""

LEAST_TO_TIME: Final = 400
"""Tokens of a prompt that take so long that all else around the call does not count."""

LEAST_SHARE: Final = 0.9
"""A long prompt of which the server reads a smaller share than of a short one has been cut."""

MARGIN: Final = 32
"""Tokens of the window left free beside the long prompt."""

GAIN: Final = 0.75
"""From this share of the time that calls take one after the other on, to make them at once gains nothing."""

LARGER_CONTEXT: Final = "give the server a larger context (Ollama: OLLAMA_CONTEXT_LENGTH, vLLM: --max-model-len)"
SIDE_BY_SIDE: Final = "on a GPU with memory to spare, let the server do it (Ollama: OLLAMA_NUM_PARALLEL=4)"

MILLION: Final = 1_000_000
CHUNK: Final = 410
"""Tokens of a chunk on average, where 512 is the most."""


@dataclass(frozen=True, slots=True)
class Examinee:
    """The model under test.

    Attributes:
        model: The model.
        config: The knobs; each call is tried once.
    """

    model: BaseChatModel
    config: LongContextConfig

    def read(self, sample: Sample, question: str) -> Reply[Reading] | None:
        """Let it read a text; None if its reply is not what was asked for, nor is the repaired one."""
        numbered = enumerate_sentences(sample.text, sentence_spans(sample.text))
        try:
            return ask(
                self.model, READ, {"question": question, "sentences": numbered}, config=self.config, schema=Reading
            )
        except ModelResponseError:
            return None

    def answer(self, sample: Sample) -> str:
        """Let it answer the question from the sentences."""
        variables = {"question": sample.question, "evidence": render(sample.sentences)}
        return ask(self.model, ANSWER, {**variables, "style": f"Answer in {sample.language}."}, config=self.config).text

    def check(self, question: str, text: str) -> Reply[BaseModel]:
        """Ask it whether a text answers a question."""
        return ask(self.model, CHECK, {"question": question, "text": text}, config=self.config)


def self_test(model: BaseChatModel, config: LongContextConfig, *, is_embedded: bool = False) -> Iterator[Check]:
    """Yield what each part of the test finds, as soon as that is known.

    Args:
        model: The model.
        config: The context window to fill, and how many calls to make at once.
        is_embedded: Whether it answers one call after the other, as is known of the embedded model.

    Raises:
        ModelUnavailableError: It does not answer.
    """
    examinee = Examinee(model, replace(config, max_attempts=1))
    try:
        yield from try_all(examinee, is_embedded=is_embedded)
    except PromptTruncatedError as error:
        yield Check("fails", "context", str(error), LARGER_CONTEXT)


def try_all(examinee: Examinee, *, is_embedded: bool) -> Iterator[Check]:
    """Yield what the parts of the test find.

    Raises:
        ModelError: The model does not answer, or even a short prompt was cut.
    """
    yield from try_reading(examinee)
    yield try_answering(examinee)
    yield from try_declining(examinee)
    started = time.perf_counter()
    speed = measure_speed(examinee.model, examinee.config)
    seconds = time.perf_counter() - started
    context, speed = try_window(examinee, speed)
    yield context
    if not is_embedded and examinee.config.concurrency > 1:
        yield try_side_by_side(examinee, seconds)
    yield from expect(examinee.config, speed)


def graded(subject: str, weak: Sequence[str], good: str, bad: str, remedy: str = "") -> Check:
    """Return what was found in each language: no trouble, some in one of them, or failure in all."""
    if not weak:
        return Check("ok", subject, f"{good}, in {' and '.join(sample.language for sample in SAMPLES)}")
    return Check("fails" if len(weak) == len(SAMPLES) else "note", subject, f"{bad}, in {' and '.join(weak)}", remedy)


def languages(flaws: Sequence[bool]) -> list[str]:
    """Return the languages of the samples with a flaw."""
    return [sample.language for sample, is_flawed in zip(SAMPLES, flaws, strict=True) if is_flawed]


def try_reading(examinee: Examinee) -> Iterator[Check]:
    """See whether readings come in the form that is asked for, and point at what matters."""
    replies = [examinee.read(sample, sample.question) for sample in SAMPLES]
    readings = [reply for reply in replies if reply]
    if not readings:
        remedy = "take a server that holds the model to a schema, or stay at --level retrieve"
        yield Check("fails", "reading", "replies are not the JSON that is asked for, even if asked again", remedy)
        return
    if not all(is_held_to_schema(reply) for reply in readings):
        finding = "the server ignores the JSON schema: replies have to be guessed at, or asked for again"
        yield Check("note", "reading", finding, "update the server: Ollama 0.5 and vLLM 0.6 can do it")
    missed = [not (reply and is_right(reply, sample)) for reply, sample in zip(replies, SAMPLES, strict=True)]
    good, bad = "points at the sentence that answers", "does not tell the sentence that answers from the others"
    yield graded("reading", languages(missed), good, bad, "stay at --level retrieve, or take a larger model")
    idle = [examinee.read(sample, sample.unanswered) for sample in SAMPLES]
    if pointed := languages([bool(reply and reply.parsed and reply.parsed.sentences) for reply in idle]):
        finding = f"weak at reading: points at something where nothing answers, in {' and '.join(pointed)}"
        yield Check("note", "reading", finding, "level read takes longer by it; answers are checked apart")


def is_held_to_schema(reply: Reply[Reading]) -> bool:
    """Tell whether the server holds the model to the schema: the prompt says nothing of JSON or of the field's name."""
    try:
        return reply.model_calls == 1 and set(json.loads(reply.text)) == set(Reading.model_fields)
    except (ValueError, TypeError):
        return False


def is_right(reply: Reply[Reading], sample: Sample) -> bool:
    """Tell whether a reading points at the fact, at few other sentences, and at none that is not there."""
    numbers = reply.parsed.sentences if reply.parsed else []
    return sample.fact in numbers and len(numbers) <= MAX_POINTED and max(numbers) <= len(sample.sentences)


def try_answering(examinee: Examinee) -> Check:
    """See whether it finds a fact that lies before it, and says where."""
    missed = []
    for sample in SAMPLES:
        said, citations = cite(examinee.answer(sample), sample.sentences, sample.question)
        missed.append(sample.answer not in said or not any(sample.answer in spot["quote"] for spot in citations))
    bad = "does not find, or does not cite, a fact that lies before it"
    return graded("answering", languages(missed), "finds a fact and cites it", bad, "take a larger model")


def try_declining(examinee: Examinee) -> Iterator[Check]:
    """See whether it tells a text that answers a question from one that does not."""
    invented = [not is_no(examinee.check(sample.unanswered, sample.text).text) for sample in SAMPLES]
    lost = [is_no(examinee.check(sample.question, sample.text).text) for sample in SAMPLES]
    good = "tells a text that answers from one that does not"
    bad = "weak at declining: says that a text answers what it does not"
    remedy = "where an answer matters, look at its citation; or take a larger model"
    if any(invented) or not any(lost):
        yield graded("declining", languages(invented), good, bad, remedy)
    if any(lost):
        bad = "declines though the text answers, so that answers get lost"
        yield graded("declining", languages(lost), good, bad, "take a larger model")


def try_window(examinee: Examinee, speed: Speed) -> tuple[Check, Speed]:
    """See whether a prompt as long as the window allows is read whole, or one as long as there is time for.

    Args:
        examinee: The model.
        speed: How fast it seems to be.

    Returns:
        What was found, and how fast it is.
    """
    config, question, short_text = examinee.config, SAMPLES[0].question, SAMPLES[0].text
    frame = count_message_tokens(CHECK.format_messages(question=question, text=""))
    room = config.context_window - config.answer_tokens - frame - MARGIN
    is_filled = room <= speed.read * SECONDS_TO_FILL
    text = filler(room if is_filled else min(room, max(LEAST_TO_TIME, int(speed.read * SECONDS_TO_TIME))))
    tokens = count_tokens(text)
    sent = tokens + frame
    # Other models than Qwen's count in tokens of their own.
    usual = examinee.check(question, short_text).input_tokens / (count_tokens(short_text) + frame)
    started = time.perf_counter()
    try:
        read = examinee.check(question, text).input_tokens
    except ModelError as error:
        return cut(sent, error.spent.get("input_tokens", 0), str(error)), speed
    speed = replace(speed, read=tokens / (time.perf_counter() - started))
    if not read:
        finding = "the server does not say how much it reads, so a prompt that it cuts would not be noticed"
        return Check("note", "context", finding, f"see that its context has {config.context_window:,} tokens"), speed
    if read < LEAST_SHARE * usual * sent:
        return cut(sent, read), speed
    filled = "the window is filled" if is_filled else f"to fill the window takes {format_duration(room / speed.read)}"
    return Check("ok", "context", f"a prompt of {sent:,} tokens is read whole; {filled}"), speed


def cut(sent: int, read: int, problem: str = "only part of it is read") -> Check:
    """Return what a prompt that was cut, or refused, means.

    Args:
        sent: Its tokens.
        read: How many of them the server read; 0 if it refused it.
        problem: What went wrong.
    """
    lower = f"--context-window {read}" if read >= MIN_CONTEXT_WINDOW else "a smaller --context-window"
    finding = f"of a prompt of {sent:,} tokens, {read:,} are read: {problem}"
    return Check("fails", "context", finding, f"{LARGER_CONTEXT}, or give {lower}")


def try_side_by_side(examinee: Examinee, seconds: float) -> Check:
    """See whether calls made at once take less time than one after the other.

    Args:
        examinee: The model.
        seconds: How long one call takes.
    """
    count = examinee.config.concurrency
    started = time.perf_counter()
    try:
        with ThreadPoolExecutor(count) as executor:
            list(executor.map(lambda _: measure_speed(examinee.model, examinee.config), range(count)))
    except ModelError as error:
        return Check("note", "side by side", f"{count} calls at once fail: {error}", "--concurrency 1")
    share = (time.perf_counter() - started) / seconds / count
    finding = f"{count} calls at once take {share:.0%} of the time that they take one by one"
    if share < GAIN:
        return Check("ok", "side by side", f"{finding}: --concurrency {count} gains, and more may")
    return Check("note", "side by side", f"{finding}: --concurrency gains nothing", SIDE_BY_SIDE)


def expect(config: LongContextConfig, speed: Speed) -> Iterator[Check]:
    """Yield how fast the model is, and how long it will take."""
    yield Check(
        "ok",
        "speed",
        f"reads about {rounded(round(speed.read)):,} tokens a second, writes about {rounded(round(speed.written)):,}",
    )
    case = Case(replace(config, coverage="full"), MILLION // CHUNK, MILLION, languages=["en"])
    question, whole = (lasting(estimate, speed) for estimate in (at_retrieve(case), reading(case)))
    yield Check(
        "ok", "to expect", f"an answer that searching finds takes {question}; to read a million tokens, {whole}"
    )


def lasting(estimate: Estimate, speed: Speed) -> str:
    """Return how long something takes, in words."""
    low, high = (format_duration(cost.seconds(speed)) for cost in (estimate.low, estimate.high))
    return low if low == high else f"{low} to {high}"
