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
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse

from langchain_qwen_longctx.document_collections import MAX_QUESTION_CHARACTERS, SERVED
from langchain_qwen_longctx.errors import InputError, LongContextError
from langchain_qwen_longctx.streaming import explain, narrate, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.schemas import QAOutput

MODEL: Final = "qwen-longctx"
MODELS: Final = {MODEL: "auto", **{f"{MODEL}-{level}": level for level in ("retrieve", "read", "reason")}}

_MARKER: Final = re.compile(r"\[(\d+)\]")
_WORD: Final = re.compile(r"\S+\s*|\s+")


class TextPart(BaseModel):
    """A part of a message that is text, the only kind there is an answer to."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_QUESTION_CHARACTERS)


class Message(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MAX_QUESTION_CHARACTERS)] | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Its text, of all parts."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(BaseModel):
    """As much of a request as has an effect here."""

    model: str = Field(default=MODEL, description=f"One of {', '.join(MODELS)}.")
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    collection: str = Field(default=SERVED, description="The documents to ask.")


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

    @router.post("/chat/completions")
    async def complete(chat: ChatRequest, request: Request) -> Response:
        """Answer the last message of the user from the documents."""
        base = str(request.base_url)
        try:
            question = question_of(chat)
            if chat.stream:
                return EventSourceResponse(_chunks(qa, question, chat.model, base), sep="\n")
            result = await asyncio.to_thread(qa.invoke, question)
        except LongContextError as error:
            return JSONResponse(error_body(error), status_of(error))
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
    said = [message for message in chat.messages if message.role in {"user", "assistant"}]
    if not said or said[-1].role != "user":
        msg = "the last message must be the user's question"
        raise InputError(msg)
    *earlier, last = said
    history: list[BaseMessage] = [
        HumanMessage(message.text) if message.role == "user" else AIMessage(message.text) for message in earlier
    ]
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
    kind = "invalid_request_error" if status_of(error) < 500 else "server_error"  # noqa: PLR2004 - HTTP's border
    return {"error": {"message": explain(error), "type": kind, "param": None, "code": None}}


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
        return json.dumps({**head, "choices": [choice], **more}, ensure_ascii=False)

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
        yield json.dumps(error_body(error), ensure_ascii=False)
    yield "[DONE]"


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
