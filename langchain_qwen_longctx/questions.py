"""Questions as the server's clients send them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import AfterValidator, BaseModel, Field
from pydantic.json_schema import SkipJsonSchema  # noqa: TC002 - pydantic reads the annotations

from langchain_qwen_longctx.document_collections import SERVED
from langchain_qwen_longctx.schemas import Level  # noqa: TC001 - likewise

MAX_CHARACTERS: Final = 100_000
"""Of a question, and of each message of a conversation."""

MAX_MESSAGES: Final = 1000
MAX_PARTS: Final = 100
MAX_NAME: Final = 100
MAX_CALLS: Final = 1_000_000_000

# A length makes pydantic refuse half a character, which no answer could have in it. At the first thing that is wrong in
# a list it goes no further: a megabyte may hold half a million.
Text = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Name = Annotated[str, Field(max_length=MAX_NAME)]


def _not_blank(question: str) -> str:
    if not question.strip():
        msg = f"the question is {question!r}; ask something"
        raise ValueError(msg)
    return question


def _without_default(schema: dict[str, Any]) -> None:
    """Hide that nothing is given by default: LangServe's playground is blank where there is a null."""
    del schema["default"]


class Part(BaseModel):
    """A part of a message; pictures and the like have no text and are passed over."""

    text: Text = ""


class Said(BaseModel):
    """An earlier message of a conversation; of what LangChain's messages have, as much as counts."""

    type: Name = Field(description="`human` for what was asked; anything else is taken for an answer.")
    content: Text | Annotated[list[Text | Part], Field(max_length=MAX_PARTS, fail_fast=True)]

    def to_message(self) -> BaseMessage:
        """Return it as one of LangChain's messages."""
        parts = [self.content] if isinstance(self.content, str) else self.content
        text = "".join(part if isinstance(part, str) else part.text for part in parts)
        return HumanMessage(text) if self.type.lower().startswith("human") else AIMessage(text)


class Question(BaseModel):
    """A question to a level of its own."""

    question: Annotated[Text, AfterValidator(_not_blank)] = Field(
        description="What to find and, if need be, how to answer, in any language.",
        json_schema_extra={"pattern": r"\S"},
    )
    history: Annotated[list[Said], Field(max_length=MAX_MESSAGES, fail_fast=True)] = Field(
        default_factory=list, description="Earlier messages, oldest first."
    )
    collection: Name = Field(
        default=SERVED, description="The documents to ask: those of the server, or an upload's id."
    )
    max_calls: Annotated[int, Field(ge=0, le=MAX_CALLS)] | SkipJsonSchema[None] = Field(
        default=None, description="Model calls at most.", json_schema_extra=_without_default
    )
    max_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | SkipJsonSchema[None] = Field(
        default=None, description="Seconds after which no more is read.", json_schema_extra=_without_default
    )


class QuestionAtLevel(Question):
    """A question, and how hard to try."""

    level: Level = Field(default="auto", description="How hard to try.")
