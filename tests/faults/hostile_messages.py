"""Messages to the MCP server that are none of its protocol."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from chronicle import chronicle
from command_line import EXPERT, TOWN_FACT
from hostile_server import hosted
from langchain_core.documents import Document
from outcomes import Outcome, trial, wrong
from raw_http import Request, send
from scripted import RuleChatModel

from langchain_qwen_longctx import BilingualBM25Retriever, QwenTextSplitter
from langchain_qwen_longctx.mcp_server import create_mcp_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials import Trial

INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
}


def _call(name: object = "search_documents", arguments: object = None, **fields: object) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
        **fields,
    }


MESSAGES: Final[tuple[Any, ...]] = (
    None,
    5,
    "x",
    [],
    {},
    [INITIALIZE] * 100,
    {"jsonrpc": "1.0", "id": 1, "method": "initialize"},
    {"jsonrpc": "2.0", "id": 1},
    {"jsonrpc": "2.0", "id": {"a": 1}, "method": "tools/list"},
    {"jsonrpc": "2.0", "id": float("nan"), "method": "tools/list"},
    {"jsonrpc": "2.0", "id": "x" * 100_000, "method": "tools/list"},
    {"jsonrpc": "2.0", "id": 1, "method": 5},
    {"jsonrpc": "2.0", "id": 1, "method": "\ud800"},
    {"jsonrpc": "2.0", "id": 1, "method": "__init__"},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []},
    {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "file:///etc/passwd"}},
    {"jsonrpc": "2.0", "id": 1, "method": "completion/complete", "params": {"ref": {"type": "ref/x"}}},
    {"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": "x"}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}},
    {"jsonrpc": "2.0", "id": 1, "result": {}},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": "x"}},
    {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": "\x00" * 100}},  # type: ignore[dict-item]
    _call("no_such_tool", {}),
    _call(None, {}),
    _call("../search_documents", {"query": "x"}),
    _call(arguments=None),
    _call(arguments=[]),
    _call(arguments={"query": 5}),
    _call(arguments={"query": "x", "k": 10**400}),
    _call(arguments={"query": "x", "k": -1}),
    _call(arguments={"query": "\ud800"}),
    _call(arguments={"query": "x" * 1_000_000}),
    _call("ask_documents", {"question": " "}),
    _call("ask_documents", {"question": "\ud800"}),
    _call("ask_documents", {"question": "x" * 100_000}),
    _call("ask_documents", {"question": {"lc": 1, "type": "constructor", "id": ["x"]}}),
    _call("ask_documents", {"question": "x", "level": "guess"}),
    _call(params={"name": "list_documents", "arguments": {}, "_meta": {"progressToken": {"a": []}}}),
)

BODIES: Final = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"jsonrpc": "2.0", "id": ' + b"9" * 5000 + b', "method": "tools/list"}',
    b'{"a": "' + b"x" * 5_000_000 + b'"}',
    *(json.dumps(message).encode() for message in MESSAGES),
)


def try_messages() -> Iterator[Trial]:
    """Send them, outside of a session and within one."""
    town = Document(chronicle(18, {4: TOWN_FACT}), metadata={"source": "镇志.txt"})
    index = BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents([town]))
    server = create_mcp_server(model=RuleChatModel(respond=EXPERT), retriever=index)
    with hosted(server.streamable_http_app()) as url:
        session = send(url, _request(url, json.dumps(INITIALIZE).encode())).headers.get("mcp-session-id")
        outcomes = [_judged(url, request) for request in _requests(url, session)]
        listing = json.dumps(_call("list_documents", {})).encode()
        answer = send(url, _request(url, listing, **{"Mcp-Session-Id": session}))
    is_well = answer.status == 200 and "镇志".encode() in answer.raw
    outcomes.append(Outcome("answers on") if is_well else wrong("answers no more"))
    yield trial("MCP: messages that are none, outside of a session and within one", outcomes)


def _requests(url: str, session: str | None) -> Iterator[Request]:
    for body, identifier in product(BODIES, (None, session)):
        yield _request(url, body, **{"Mcp-Session-Id": identifier})
    for identifier in ("x", "../x", "x" * 10_000, (session or "")[::-1]):
        yield _request(url, b"{}", **{"Mcp-Session-Id": identifier})
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"):
        yield Request("/mcp", None, method, {"Host": url.removeprefix("http://")})


def _request(url: str, body: bytes, **headers: str | None) -> Request:
    usual = {"Host": url.removeprefix("http://"), "Accept": "application/json, text/event-stream"}
    return Request("/mcp", body, headers={**usual, "MCP-Protocol-Version": "2025-06-18", **headers})


def _judged(url: str, request: Request) -> Outcome:
    reply = send(url, request, timeout=20)
    if reply.status >= 500 or not reply.status or not reply.is_closed or b"Traceback" in reply.raw:
        return wrong(f"{bytes(request)[-120:]!r}: {reply.status} {reply.body[:100]!r}")
    return Outcome(str(reply.status))
