"""`/v1/chat/completions` as OpenAI's clients know it, so that any chat client can ask.

The last message of the user is the question, those before it the conversation. The model's name chooses the level:
`qwen-longctx` for `auto`, `qwen-longctx-read` and so on. A field `collection` beside the usual ones names an upload.

Every `[n]` of an answer has an annotation of the type that clients know, `url_citation`, whose `url` leads to the
passage. In a stream, what happens on the way comes as `reasoning_content`, which many clients show as thinking, and the
answer once it is certain: what was sent could not be taken back. Messages of the system, tools, sampling parameters and
`n` are passed over: how the model is called is the method's own affair.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse

from langchain_qwen_longctx.document_collections import SERVED
from langchain_qwen_longctx.errors import InputError, LongContextError
from langchain_qwen_longctx.problems import Problem, retry_after
from langchain_qwen_longctx.questions import MAX_MESSAGES, MAX_PARTS, Name, Said, Text
from langchain_qwen_longctx.streaming import EVENTS, explain, narrate, status_of, to_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.schemas import QAOutput

MODEL: Final = "qwen-longctx"
MODELS: Final = {MODEL: "auto", **{f"{MODEL}-{level}": level for level in ("retrieve", "read", "reason")}}

SIDES: Final = {"user": "human", "assistant": "ai"}
"""The roles that make up the conversation, by LangChain's names."""

_MARKER: Final = re.compile(r"\[(\d+)\]")
_WORD: Final = re.compile(r"\S+\s*|\s+")


class TextPart(BaseModel):
    """A part of a message that is text, the only kind there is an answer to."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(max_length=MAX_PARTS, fail_fast=True)] | None = None

    @property
    def text(self) -> str:
        """Its text, of all parts."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(BaseModel):
    """As much of a request as has an effect here."""

    model: Name = Field(default=MODEL, description="The level.", json_schema_extra={"enum": list(MODELS)})
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    stream: bool = False
    collection: Name = Field(default=SERVED, description="The documents to ask.")


class Failure(BaseModel):
    """An error as OpenAI's clients know it."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: None = None
    code: None = None


class Failed(BaseModel):
    """A reply that is an error."""

    error: Failure


FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Failed | Problem} for status in (404, 422, 502, 503)
}
"""What is wrong with the request itself is told as on every other route."""


def create_router(qa: Runnable[Any, QAOutput], owner: str) -> APIRouter:
    """Return the routes.

    Args:
        qa: From a question as a dict to its answer.
        owner: Name of the model that answers.
    """
    router = APIRouter(prefix="/v1", tags=["openai"])

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """List the levels as models."""
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name in MODELS]
        return {"object": "list", "data": entries}

    @router.post("/chat/completions", responses={200: {"content": EVENTS}, **FAILURES})
    async def complete(chat: ChatRequest, request: Request) -> Response:
        """Answer the last message of the user from the documents."""
        base = str(request.base_url)
        try:
            question = question_of(chat)
            if chat.stream:
                return EventSourceResponse(_chunks(qa, question, chat.model, base), sep="\n")
            result = await asyncio.to_thread(qa.invoke, question)
        except LongContextError as error:
            status = status_of(error)
            return JSONResponse(error_body(error), status, retry_after(status))
        return JSONResponse(completion(result, chat, base))

    return router


def question_of(chat: ChatRequest) -> dict[str, Any]:
    """Return a request as a question.

    Raises:
        InputError: There is no such model, or the last message is not the user's.
    """
    if chat.model not in MODELS:
        msg = f"there is no model {chat.model!r}; take one of {', '.join(MODELS)}"
        raise InputError(msg)
    said = [message for message in chat.messages if message.role in SIDES]
    if not said or said[-1].role != "user":
        msg = "the last message must be the user's question"
        raise InputError(msg)
    *earlier, last = said
    history = [Said.model_construct(type=SIDES[message.role], content=message.text) for message in earlier]
    level = MODELS[chat.model]
    return {"question": last.text, "history": history, "level": level, "collection": chat.collection}


def completion(result: QAOutput, chat: ChatRequest, base: str) -> dict[str, Any]:
    """Return an answer as a chat completion."""
    annotations = annotate(result, chat.collection, base)
    message = {"role": "assistant", "content": result["answer"], "annotations": annotations, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    head = _head(chat.model, "chat.completion")
    return {**head, "choices": [choice], "usage": usage_of(result)}


def annotate(result: QAOutput, collection: str, base: str) -> list[dict[str, Any]]:
    """Return what each marker of an answer stands for, with where it is in the answer."""
    annotations = []
    for marker in _MARKER.finditer(result["answer"]):
        number = int(marker[1])
        if not 1 <= number <= len(result["citations"]):
            continue
        cited = result["citations"][number - 1]
        where = f"source={quote(cited['source'])}&start={cited['start']}&end={cited['end']}"
        citation = {
            "start_index": marker.start(),
            "end_index": marker.end(),
            "title": f"{cited['source']}, page {cited['page']}" if cited["page"] else cited["source"],
            "url": f"{base}collections/{quote(collection)}/passage?{where}",
        }
        annotations.append({"type": "url_citation", "url_citation": citation})
    return annotations


def usage_of(result: QAOutput) -> dict[str, int]:
    """Return what an answer cost, by OpenAI's names."""
    read, written = result["usage"]["input_tokens"], result["usage"]["output_tokens"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def error_body(error: BaseException) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    is_theirs = status_of(error) < 500  # noqa: PLR2004 - HTTP's border
    failure = Failure(message=explain(error), type="invalid_request_error" if is_theirs else "server_error")
    return Failed(error=failure).model_dump()


def in_words(name: str, data: dict[str, Any]) -> str:
    """Return an event in words; empty for one that says nothing to a reader."""
    match name:
        case "analysis":
            return f"Searching: {data['question']}\n"
        case "evidence_found":
            return "".join(f"- {data['source']}: {said}\n" for said in data["quotes"])
        case "hop":
            return f"{data['question']} -> {data['answer']}\n"
        case _:
            return ""


async def _chunks(qa: Runnable[Any, QAOutput], question: dict[str, Any], model: str, base: str) -> AsyncIterator[str]:
    head = _head(model, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return to_line({**head, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    try:
        async for name, data in narrate(qa, question):
            if name == "result":
                for word in _WORD.findall(data["answer"]):
                    yield chunk({"content": word})
                yield chunk({"annotations": annotate(data, question["collection"], base)})
                yield chunk({}, "stop", usage=usage_of(data))
            elif words := in_words(name, data):
                yield chunk({"reasoning_content": words})
    except Exception as error:  # noqa: BLE001 - the answer has begun, so its status can no longer say so
        yield to_line(error_body(error))
    yield "[DONE]"


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
