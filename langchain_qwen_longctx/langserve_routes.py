"""LangServe's routes, which refuse what LangServe itself would fail at.

LangServe gets only fixes of bugs by now. It answers 500 to a body that is not what it expects, takes a batch of any
length, opens whatever a path in its playground names, and takes characters of a text for the end of a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from langserve import add_routes
from langserve.serialization import WellKnownLCSerializer
from pydantic import ValidationError

from langchain_qwen_longctx.streaming import EVENTS, LINE_ENDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.questions import Question
    from langchain_qwen_longctx.uploads import Shelf

ENDPOINTS: Final = (
    "invoke",
    "batch",
    "stream",
    "stream_log",
    "stream_events",
    "input_schema",
    "output_schema",
    "config_schema",
    "playground",
)

MAX_BATCH: Final = 100
"""Questions of a batch."""

_FILE: Final = re.compile(r"(?:[\w-]+/)*[\w-]+\.\w+", re.ASCII)


class _Serializer(WellKnownLCSerializer):
    """LangServe's own, but for characters that its client takes for the end of an event's line."""

    def dumps(self, obj: Any) -> bytes:  # noqa: ANN401 - the base class has it so
        """Return something as JSON."""
        return super().dumps(obj).decode().translate(LINE_ENDS).encode()


def add_langserve(app: FastAPI, path: str, qa: Runnable[Any, Any], question: type[Question], shelf: Shelf) -> None:
    """Add the routes of a Runnable.

    Args:
        app: The application.
        path: Where they are.
        qa: From a question as a dict to its answer.
        question: What it is checked against.
        shelf: Where its collection must be.
    """
    # A client cannot configure a run: not by a body, and not by a link with a configuration in its path.
    closed: dict[str, Any] = {"config_keys": (), "enabled_endpoints": ENDPOINTS, "enable_feedback_endpoint": False}
    guard = Depends(_guard(question, shelf))
    add_routes(app, qa, path=path, dependencies=[guard], serializer=_Serializer(), **closed)
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path.startswith(f"{path}/stream"):
            route.responses[200] = {"content": EVENTS}


def _guard(question: type[Question], shelf: Shelf) -> Callable[[Request], Awaitable[None]]:
    """Return what every request passes before LangServe has it."""

    async def check(request: Request) -> None:
        if request.method != "POST":
            file = request.path_params.get("file_path")
            if file and not _FILE.fullmatch(file):
                raise HTTPException(404, "there is no such file")
            return
        inputs = await _inputs(request)
        try:
            asked = [question.model_validate(each) for each in inputs]
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        for each in asked:
            shelf.get(each.collection)

    return check


async def _inputs(request: Request) -> list[Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is no JSON, or none that can be read") from error
    given = body if isinstance(body, dict) else {}
    if given.get("config", {}) is None:
        raise RequestValidationError([{"loc": ("body", "config"), "msg": "it is null; leave it away"}])
    if not request.url.path.endswith("/batch"):
        return [given.get("input")]
    inputs = given.get("inputs")
    if not isinstance(inputs, list) or len(inputs) > MAX_BATCH:
        fault = {"loc": ("body", "inputs"), "msg": f"there must be a list of at most {MAX_BATCH} questions"}
        raise RequestValidationError([fault])
    return inputs
