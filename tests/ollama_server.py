"""A small HTTP server that speaks as much of Ollama's protocol as the package uses, and remembers what it was asked."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from langchain_core.messages import HumanMessage

from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True)
class ServedModel:
    """A model that the server says it has."""

    name: str
    size: int = 1_000
    family: str = "qwen2"
    parameters: str = "1.5B"
    context_length: int | None = 32_768
    is_damaged: bool = False


@dataclass
class FakeOllama:
    """Has the given models; answers each chat with the next thing that was enqueued. Use it in a `with` statement.

    Attributes:
        models: What /api/tags lists.
        history: Body of every request to /api/chat, in order.
    """

    models: list[ServedModel]
    history: list[dict[str, Any]] = field(default_factory=list)
    _replies: deque[str] = field(default_factory=deque)

    def enqueue(self, *replies: str) -> Self:
        self._replies.extend(replies)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def tags(self) -> dict[str, Any]:
        return {
            "models": [
                {
                    "model": model.name,
                    "size": model.size,
                    "details": {"family": model.family, "parameter_size": model.parameters},
                }
                for model in self.models
            ]
        }

    def show(self, name: str) -> dict[str, Any] | None:
        model = next(model for model in self.models if model.name == name)
        return None if model.is_damaged else {"model_info": {f"{model.family}.context_length": model.context_length}}

    def chat(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        self.history.append(body)
        reply = self._replies.popleft()
        read = count_message_tokens(HumanMessage(message["content"]) for message in body["messages"])
        end = {"done": True, "done_reason": "stop", "prompt_eval_count": read, "eval_count": count_tokens(reply)}
        texts = [reply[: len(reply) // 2], reply[len(reply) // 2 :]]
        parts = [{"message": {"role": "assistant", "content": text}, "done": False} for text in texts]
        return [*parts, {"message": {"role": "assistant", "content": ""}, **end}]


def _handler(ollama: FakeOllama) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, [ollama.tags()])

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/chat":
                self._send(200, ollama.chat(body))
            elif shown := ollama.show(body["model"]):
                self._send(200, [shown])
            else:
                self._send(404, [{"error": f"model '{body['model']}' not found"}])

        def _send(self, status: int, parts: list[dict[str, Any]]) -> None:
            self.send_response(status)
            self.end_headers()
            for part in parts:
                self.wfile.write(json.dumps(part).encode() + b"\n")

        def log_message(self, *_: object) -> None:
            """Say nothing: stderr is under test."""

    return Handler
