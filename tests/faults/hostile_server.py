"""The server that hostile clients meet: over a town's chronicle, with a scripted model, in this process."""

from __future__ import annotations

import gc
import json
import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, TOWN_FACT, TOWN_QUESTION
from langchain_core._api import LangChainDeprecationWarning
from langchain_core.documents import Document
from outcomes import Outcome, wrong
from raw_http import Request, of_json, send
from scripted import RuleChatModel
from serving import serving

from langchain_qwen_longctx.server import create_app
from langchain_qwen_longctx.uploads import UploadLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from langchain_core.messages import BaseMessage
    from raw_http import Reply
    from scripted import Respond
    from starlette.types import ASGIApp

    from langchain_qwen_longctx.server import ServerSettings

SOURCE: Final = "镇志.txt"
ASKED: Final = {"question": TOWN_QUESTION, "level": "retrieve"}
ANSWER: Final = "毛一清"

JSON_ROUTES: Final = (
    "/ask",
    "/qa/invoke",
    "/qa/batch",
    "/qa/stream",
    "/qa/stream_log",
    "/qa/stream_events",
    "/reason/invoke",
    "/v1/chat/completions",
)

SMALL: Final = UploadLimits(max_file_bytes=200_000, max_files=5, max_collections=16, max_total_bytes=2_000_000)

REFUSED: Final = frozenset({400, 401, 403, 404, 405, 408, 413, 415, 422})
SECONDS: Final = 20.0
"""After which a reply does not count as one."""


class ForgetfulModel(RuleChatModel):
    """Does not remember what it was told: memory is under test."""

    def _reply(self, messages: list[BaseMessage]) -> str | BaseException:
        self._history.clear()
        return super()._reply(messages)


@contextmanager
def town(
    settings: ServerSettings | None = None, respond: Respond = EXPERT, check: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Serve the chronicle, and yield the address."""
    document = Document(chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT}), metadata={"source": SOURCE})
    model = ForgetfulModel(respond=respond)
    with hosted(create_app(model=model, documents=[document], settings=settings, check=check)) as url:
        yield url


@contextmanager
def hosted(app: ASGIApp) -> Iterator[str]:
    """Serve an application, which keeps to itself what it has to say of each bad request, and yield the address."""
    silent = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), serving(app) as url:
            # LangChain warns of what LangServe's /stream_log is made of, and Starlette leaves it to the collector of
            # garbage to close a file that breaks off.
            warnings.simplefilter("ignore", LangChainDeprecationWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            yield url
            gc.collect()
    finally:
        logging.disable(silent)


def to_route(route: str, question: object, **beside: object) -> dict[str, Any]:
    """Return a question in the form of a route, with further fields beside it."""
    match route.rpartition("/")[2]:
        case "ask":
            return {**(question if isinstance(question, dict) else {"question": question}), **beside}
        case "batch":
            return {"inputs": [question], **beside}
        case "completions":
            asked = question if isinstance(question, dict) else {"question": question}
            message = {"role": "user", "content": asked.get("question")}
            known = {name: asked[name] for name in ("collection",) if name in asked}
            return {"model": "qwen-longctx-retrieve", "messages": [message], **known, **beside}
        case _:
            return {"input": question, **beside}


@dataclass(frozen=True)
class Expected:
    """What may come of a request.

    Attributes:
        statuses: Which statuses.
        unspoken: What must be nowhere in the reply.
    """

    statuses: Collection[int] = REFUSED
    unspoken: bytes | None = None

    def judge(self, reply: Reply) -> Outcome:
        """Return whether it is that."""
        if self.unspoken and self.unspoken in reply.raw:
            return wrong(f"told {self.unspoken!r}")
        if reply.status not in self.statuses:
            return wrong(f"{reply.status or 'no answer'} {reply.body[:80]!r}")
        return Outcome(str(reply.status))


def attempt(url: str, request: Request | bytes, expected: Expected) -> Outcome:
    """Send a request, and judge what comes of it."""
    outcome = expected.judge(reply := send(url, request, timeout=SECONDS))
    if outcome.is_right and not reply.is_closed:
        return wrong(f"{reply.status}, and then nothing for {SECONDS:g} s")
    return outcome if outcome.is_right else wrong(f"{shown(request)}: {outcome.verdict}")


def is_well(url: str, key: str | None = None) -> bool:
    """Tell whether a client with no ill intent gets its answer."""
    reply = send(url, of_json("/ask", ASKED, Authorization=key and f"Bearer {key}"), timeout=SECONDS)
    return reply.status == 200 and ANSWER in json.loads(reply.body)["answer"]


def shown(request: Request | bytes) -> str:
    """Return the beginning of a request."""
    return repr(bytes(request)[:120])
