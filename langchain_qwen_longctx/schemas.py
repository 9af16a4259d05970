"""What goes in, what comes out, and what the model is asked to return."""

# No postponed annotations here: TypedDict and LangGraph read `NotRequired` when the classes are made.
from typing import Annotated, Final, Literal, NotRequired, TypeAlias

from langchain_core.messages import AnyMessage
from pydantic import BaseModel, Field, StringConstraints
from typing_extensions import TypedDict

Level: TypeAlias = Literal["auto", "retrieve", "read", "reason"]
"""How to try: `retrieve` ranks chunks, `read` reads them one by one, `reason` asks sub-questions, `auto` decides."""

StopReason: TypeAlias = Literal["budget", "deadline"]


class QAInput(TypedDict):
    """One question.

    Attributes:
        question: What to find and, if need be, how to answer, in any language.
        level: Default `auto`.
        history: Earlier messages of the conversation, oldest first, to which the question may refer.
    """

    question: str
    level: NotRequired[Level]
    history: NotRequired[list[AnyMessage]]


class QAArguments(BaseModel):
    """`QAInput` with its defaults, from which tools and servers take their schemas."""

    question: str = Field(description="What to find and, if need be, how to answer, in any language.")
    level: Level = Field(default="auto", description="How hard to try.")
    history: list[AnyMessage] = Field(default_factory=list, description="Earlier messages, oldest first.")


class Citation(TypedDict):
    """A verbatim span of a source.

    Attributes:
        quote: The span, `text_of_source[start:end]`.
        source: The source's path or name.
        page: 1-based page or slide, None where the format has none.
        start: Offset of the first character in the source's text.
        end: Offset after the last character.
        chunk_id: The chunk it lies in.
    """

    quote: str
    source: str
    page: int | None
    start: int
    end: int
    chunk_id: str


class Step(TypedDict):
    """A sub-question and what was found for it."""

    question: str
    answer: str
    found: bool


class Coverage(TypedDict):
    """What became of the chunks, in numbers of chunks.

    Attributes:
        chunks_total: In the whole document set.
        chunks_read: Put before the model, on their own or as evidence.
        chunks_relevant: Judged relevant among those read; for level `retrieve`, those cited.
        chunks_failed: Whose reading failed for good.
        chunks_skipped: Not read.
    """

    chunks_total: int
    chunks_read: int
    chunks_relevant: int
    chunks_failed: int
    chunks_skipped: int


class Usage(TypedDict):
    """What an answer cost.

    Attributes:
        model_calls: Calls that reached the model.
        cached_calls: Calls answered from a cache.
        input_tokens: Tokens read, as the server counts them.
        output_tokens: Tokens written.
        seconds: Wall time from question to answer.
    """

    model_calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float


class QAOutput(TypedDict):
    """An answer with everything that backs it.

    Attributes:
        question: As asked.
        answer: Text whose `[n]` markers name `citations[n - 1]`.
        found: Whether the documents answer the question and a citation shows where. An answer that no passage supports
            has `found` false and no citations.
        level: The level that gave the answer.
        citations: The spans behind the answer.
        steps: Sub-questions of level `reason`, in order.
        coverage: What was read.
        usage: What it cost.
        stopped: Why reading ended early, None if it did not.
    """

    question: str
    answer: str
    found: bool
    level: Literal["retrieve", "read", "reason"]
    citations: list[Citation]
    steps: list[Step]
    coverage: Coverage
    usage: Usage
    stopped: StopReason | None


Keywords: TypeAlias = Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(max_length=8)]


class SearchPlan(BaseModel):
    """What to search for, as the model returns it.

    The order of the fields matters: a small model asked to write the whole question in both languages translates it;
    asked for keywords first, or to copy the question first, it repeats the question's own words in every field. It
    leaves wishes about the form of the answer out of its translations, which tells information from instruction.
    """

    question_en: str
    question_zh: str
    keywords_en: Keywords
    keywords_zh: Keywords


MAX_NAMES: Final = 8
"""So many names that go with another are listed, at most."""


class Associations(BaseModel):
    """What goes with a name, as the model returns it: names of sights, buildings, works, products, people."""

    names: Annotated[list[str], Field(json_schema_extra={"maxItems": MAX_NAMES})]


MAX_POINTED: Final = 3
"""A reading that points at more sentences than this has not told them apart: it is no find, and comes last."""


class Reading(BaseModel):
    """The numbers of the sentences that matter, as the model returns them; none in an empty list.

    Where the model is held to the schema, it stops once it has not told them apart: to list them all takes a third of
    the time of a reading. A longer list is taken as well.
    """

    sentences: Annotated[list[int], Field(json_schema_extra={"maxItems": MAX_POINTED + 1})]
