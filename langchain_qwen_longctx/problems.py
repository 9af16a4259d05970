"""What is wrong with a request, as its client is told: a status, and a sentence with the remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from langchain_qwen_longctx.errors import LongContextError
from langchain_qwen_longctx.streaming import explain, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

SECONDS_TO_RETRY: Final = 5

UNAVAILABLE: Final = 503
UNPROCESSABLE: Final = 422


class Fault(BaseModel):
    """A field that cannot be used as given."""

    loc: list[str | int] = Field(description="Where it is, from the outside in.")
    msg: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Why a request is refused."""

    detail: str | list[Fault] = Field(description="A sentence with the remedy, or the fields that are wrong.")


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The request cannot be parsed, or names a host that is not the server's.",
        401: "The key is missing or wrong.",
        403: "The page of another site asks, or the documents cannot be removed.",
        404: "There is no such collection or document.",
        408: "The request came too slowly.",
        413: "It is too large.",
        422: "It cannot be used as given.",
        502: "The model's reply could not be used.",
        503: "Too much is under way, or the model does not answer: come again later.",
    }.items()
}
"""What every route may answer beside its result, for the description of the interface."""


def retry_after(status: int) -> dict[str, str]:
    """Return the header that says when to come again, if a status says that one may."""
    return {"Retry-After": str(SECONDS_TO_RETRY)} if status == UNAVAILABLE else {}


class Refusal(JSONResponse):
    """A problem on its way to the client.

    Args:
        status: The HTTP status.
        detail: The sentence, or the faults.
        headers: Further headers.
    """

    def __init__(self, status: int, detail: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__({"detail": detail}, status, {**retry_after(status), **(headers or {})})

    def render(self, content: object) -> bytes:
        """Return it as JSON, with a question mark for half a character, which a name or a question may have."""
        return json.dumps(content, ensure_ascii=False).encode(errors="replace")


def add_problems(app: FastAPI) -> None:
    """Have an application tell what is wrong in this form."""
    app.add_exception_handler(LongContextError, _report)
    app.add_exception_handler(RequestValidationError, _point_out)


async def _report(_: Request, error: Exception) -> Refusal:
    return Refusal(status_of(error), explain(error))


async def _point_out(_: Request, error: Exception) -> Refusal:
    """Name the faults, and not what was sent, which may be megabytes, or nothing that JSON can hold."""
    found: Any = error
    return Refusal(UNPROCESSABLE, [{"loc": fault["loc"], "msg": fault["msg"]} for fault in found.errors()])
