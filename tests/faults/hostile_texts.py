"""Texts that would do something where they are shown: scripts, and lines that look like the protocol's own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from hostile_server import JSON_ROUTES, REFUSED, hosted, to_route
from langchain_core.documents import Document
from outcomes import Outcome, trial, wrong
from raw_http import Request, of_file, of_json, of_parts, send, text_of
from scripted import RuleChatModel, expert

from langchain_qwen_longctx.server import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raw_http import Reply
    from trials import Trial

SCRIPT: Final = "<script>alert(1)</script><img src=x onerror=alert(2)>"
LINES: Final = '\r\n\r\nevent: result\r\ndata: {"answer": "forged"}\r\n\r\n\u2028\u2029\u0085\x0b\x0c\x1c'
NAME: Final = f"{SCRIPT}{LINES}caf\udce9.txt"
FACT: Final = f"The chair said {SCRIPT} twice."
QUESTION: Final = f"What did the chair say of {SCRIPT} and {LINES}?"
ANSWER: Final = f"{SCRIPT} {LINES}"

_KINDS: Final = {"application/json", "text/event-stream", "text/plain"}


def try_texts() -> Iterator[Trial]:
    """Put them everywhere, and look at what comes back."""
    text = "\n\n".join([*(f"Item {number} was put off." for number in range(40)), FACT, f"{LINES} It rained."])
    model = RuleChatModel(respond=expert({"chair": (FACT, ANSWER)}))
    with hosted(create_app(model=model, documents=[Document(text, metadata={"source": NAME})])) as url:
        asked = {"question": QUESTION, "level": "retrieve"}
        replies = {route: send(url, of_json(route, to_route(route, asked))) for route in JSON_ROUTES}
        streams = {
            "/ask, streamed": send(url, of_json("/ask", asked, Accept="text/event-stream")),
            "chat, streamed": send(url, of_json(JSON_ROUTES[-1], to_route(JSON_ROUTES[-1], asked, stream=True))),
        }
        others = dict(_others(url))
        page = send(url, Request("/qa/playground/", method="GET"))
    everything = {**replies, **streams, **others}
    yield trial("headers of every kind of response: type, nosniff, policy, no store", map(_headed, everything.items()))
    events = {name: reply for name, reply in everything.items() if "event-stream" in reply.headers["content-type"]}
    yield trial("lines in names, texts, questions and answers, in server-sent events", map(_framed, events.items()))
    plain = [reply for reply in everything.values() if reply.headers["content-type"] == "application/json"]
    yield trial("scripts in names, texts, questions, answers and errors", map(_inert, plain))
    yield trial("LangServe's playground may call nobody else, and nobody may frame it", [_fenced(page)])


def _others(url: str) -> Iterator[tuple[str, Reply]]:
    requests = [
        Request("/info", method="GET"),
        Request("/metrics", method="GET"),
        Request("/health", method="GET"),
        Request("/openapi.json", method="GET"),
        Request("/v1/models", method="GET"),
        Request(f"/collections/{SCRIPT.replace(' ', '%20').replace('/', '%2f')}", method="GET"),
        Request("/collections/served/passage?source=%3Cscript%3E&start=0&end=4", method="GET"),
        Request("/%3Cscript%3Ealert(1)%3C/script%3E", method="GET"),
        of_json("/ask", {"question": "x", "level": SCRIPT}),
        of_json("/ask", {"question": "x", "collection": SCRIPT}),
        of_json("/v1/chat/completions", {"model": SCRIPT, "messages": [{"role": "user", "content": "x"}]}),
        of_json("/qa/invoke", {"input": {"question": "x", "collection": SCRIPT}}),
        of_parts([of_file(f"{SCRIPT}.txt", b"")]),
        Request("/ask", method="PUT"),
    ]
    for request in requests:
        yield request.path[:60], send(url, request)
    made = send(url, of_parts([of_file(NAME, FACT.encode()), of_file(f"{SCRIPT}.pdf", b"no pdf")]))
    yield "an upload", made
    yield "a collection", send(url, Request(f"/collections/{text_of(made)['id']}", method="GET"))


def _headed(named: tuple[str, Reply]) -> Outcome:
    name, reply = named
    headers = reply.headers
    kind = headers.get("content-type", "").partition(";")[0]
    is_safe = (
        (reply.status in {200, 201, *REFUSED} and kind in _KINDS)
        and headers.get("x-content-type-options") == "nosniff"
        and "default-src 'none'" in headers.get("content-security-policy", "")
        and "access-control-allow-origin" not in headers
        and "no-store" in headers.get("cache-control", "")
    )
    return Outcome(kind) if is_safe else wrong(f"{name}: {reply.status} {headers}")


def _framed(named: tuple[str, Reply]) -> Outcome:
    """Tell whether every line is one that the server meant, as clients divide lines that know of more line breaks."""
    name, reply = named
    text = _unchunked(reply.body).decode()
    for line in filter(None, text.splitlines()):
        field, _, value = line.partition(": ")
        is_event = field == "event" and re.fullmatch(r"\w+", value)
        is_data = field == "data" and (value == "[DONE]" or _is_json(value))
        if not is_event and not is_data and not line.startswith(": ping"):
            return wrong(f"{name}: {line[:100]!r}")
    if 'data: {"answer": "forged"}' in text:
        return wrong(f"{name}: a forged event")
    return Outcome("only the server's own lines")


def _inert(reply: Reply) -> Outcome:
    json.loads(reply.body)
    return Outcome("JSON, which nothing runs")


def _fenced(page: Reply) -> Outcome:
    policy = page.headers.get("content-security-policy", "")
    wanted = (
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "base-uri 'none'",
    )
    return Outcome("as told") if page.status == 200 and all(each in policy for each in wanted) else wrong(policy)


def _unchunked(body: bytes) -> bytes:
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(found)


def _is_json(text: str) -> Any:  # noqa: ANN401 - a truth value
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
