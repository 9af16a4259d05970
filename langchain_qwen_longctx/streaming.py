"""A question's run as a stream of named events, for those who watch it from another process."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

from langchain_qwen_longctx.errors import (
    CollectionError,
    DocumentError,
    InputError,
    LongContextError,
    ModelError,
    ModelFileError,
    ModelUnavailableError,
)
from langchain_qwen_longctx.events import EventName

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.runnables import Runnable

logger = logging.getLogger(__name__)

RUN_NAME: Final = "long_context_qa"
ANSWERING_NODE: Final = "answer"

EVENTS: Final[dict[str, Any]] = {"text/event-stream": {}}
"""How server-sent events are described, for which OpenAPI has no words."""

LINE_ENDS: Final = str.maketrans({"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"})
"""What some clients take for the end of an event's line, and how JSON may have it as well."""

StreamEvent: TypeAlias = "tuple[str, Any]"


async def narrate(qa: Runnable[Any, Any], question: object) -> AsyncIterator[StreamEvent]:
    """Yield what happens while a question is answered, as pairs of a name and data that JSON can hold.

    Beside the events of `events`: `draft_begin` and `draft`, the text of an answer while the model writes it, which may
    still be withdrawn; and last `result`, the `QAOutput`.

    Args:
        qa: From a question to `QAOutput`.
        question: What `qa` takes.

    Raises:
        LongContextError: As `qa` raises it.
    """
    names, result = get_args(EventName), None
    # Everything else that happens would be copied, and then be passed over.
    wanted: Any = {"include_names": [*names, RUN_NAME], "include_types": ["chat_model"]}
    async for event in qa.astream_events(question, {"run_name": RUN_NAME}, version="v2", **wanted):
        kind, is_answering = event["event"], event["metadata"].get("langgraph_node") == ANSWERING_NODE
        if kind == "on_custom_event" and event["name"] in names:
            yield event["name"], event["data"]
        elif kind == "on_chat_model_start" and is_answering:
            yield "draft_begin", {}
        elif kind == "on_chat_model_stream" and is_answering:
            if text := event["data"]["chunk"].text:
                yield "draft", {"text": text}
        elif kind == "on_chain_end" and not event["parent_ids"]:
            result = event["data"]["output"]
    yield "result", result


def to_line(data: object) -> str:
    """Return data as JSON in one line, with a question mark for half a character."""
    return json.dumps(data, ensure_ascii=False).encode(errors="replace").decode().translate(LINE_ENDS)


def status_of(error: BaseException) -> int:
    """Return the HTTP status that an error stands for."""
    match error:
        case CollectionError():
            return error.status
        case InputError() | DocumentError():
            return 422
        case ModelUnavailableError() | ModelFileError():
            return 503
        case ModelError():
            return 502
        case _:
            return 500


def explain(error: BaseException) -> str:
    """Return what a client is told of an error; what was not raised on purpose stays in the log."""
    if isinstance(error, LongContextError):
        return str(error)
    logger.error("a question could not be answered", exc_info=error)
    return "a fault of the server; its log says more"
