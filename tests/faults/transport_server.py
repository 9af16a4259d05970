"""A server that speaks Ollama's protocol and OpenAI's, makes no mistakes, and sends its replies as it is told.

The replies are those of the town's expert, so that every question has a right answer; what is done to a reply on its
way is a fault, which has the wire to itself.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from command_line import EXPERT
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_qwen_longctx.prompts import REPAIR
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MODEL: Final = "qwen2.5:1.5b"
ROLES: Final[dict[str, type[BaseMessage]]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
ABORT: Final = struct.pack("ii", 1, 0)
"""Of SO_LINGER: to close is to reset."""


class Wire:
    """A reply on its way.

    Args:
        handler: The request that it answers.
        body: The request's body.
        text: What the model says.

    Attributes:
        is_held_to_schema: Whether the reply is to be a JSON object.
        is_sent: Whether it has arrived as it should, as far as the server knows.
    """

    def __init__(self, handler: Handler, body: dict[str, Any], text: str) -> None:
        self._handler, self._body, self.text = handler, body, text
        self._is_chunked = False
        self.is_held_to_schema = bool(body.get("format") or body.get("response_format"))
        self.is_sent = False

    @property
    def parts(self) -> list[bytes]:
        """The lines or, for OpenAI's protocol, the one object that say it."""
        return self.parts_of(self.text)

    def parts_of(self, text: str, **counts: int) -> list[bytes]:
        """Return what says another text; `read` is the tokens of the prompt that the server claims to have read."""
        read = counts.get("read", count_message_tokens(messages_of(self._body)))
        if self._handler.path != "/api/chat":
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": read, "completion_tokens": count_tokens(text), "total_tokens": read}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return [json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()]
        halves = [text[: len(text) // 2], text[len(text) // 2 :]]
        said = [{"message": {"role": "assistant", "content": half}, "done": False} for half in halves]
        end = {"done": True, "done_reason": "stop", "prompt_eval_count": read, "eval_count": count_tokens(text)}
        lines = [*said, {"message": {"role": "assistant", "content": ""}, **end}]
        return [json.dumps({"model": MODEL, **line}).encode() + b"\n" for line in lines]

    def head(self, status: int = 200, *, is_chunked: bool = True, **headers: str) -> None:
        """Send the status and the headers; what is not chunked ends with the connection."""
        self._is_chunked = is_chunked
        self._handler.send_response(status)
        given = {"Transfer-Encoding": "chunked"} if is_chunked else {"Connection": "close"}
        for name, value in (given | {name.replace("_", "-"): value for name, value in headers.items()}).items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send(self, data: bytes) -> None:
        """Send bytes of the body."""
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self) -> None:
        """End the body."""
        if self._is_chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def close(self) -> None:
        """Close the connection, whatever is missing."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """Reset the connection."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.close()

    def deliver(self, parts: Sequence[bytes] | None = None) -> None:
        """Send a whole reply; by default, the right one."""
        self.head()
        for part in self.parts if parts is None else parts:
            self.send(part)
        self.end()
        self.is_sent = parts is None

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server is there."""
        if self._handler.model_server.is_over.wait(seconds):
            raise BrokenPipeError


Fault: TypeAlias = Callable[[Wire], None]


@dataclass
class ModelServer:
    """Answers as the town's expert; the calls that `fault_at` names get its fault. Use it in a `with` statement.

    Attributes:
        fault_at: The fault of each call, by its number from 1; None for none.
        asked: The prompts it was asked, in order, a repeated one as often.
        answered: Those to which the right reply was sent as a whole, and in time.
        patience: Seconds that a client surely waits for a reply.
        is_over: Whether it is shutting down.
    """

    fault_at: Callable[[int], Fault | None] = lambda _: None
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    patience: float = math.inf
    is_over: Event = field(default_factory=Event)
    _lock: Any = field(default_factory=Lock)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.is_over.set()
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        handler = type("Handler", (Handler,), {"model_server": self})
        self._server = QuietServer(("127.0.0.1", self._port), handler)
        self._port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and reset what is connected."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def restart_after(self, seconds: float) -> None:
        """Die, and come back."""

        def restart() -> None:
            self.stop()
            time.sleep(seconds)
            if not self.is_over.is_set():
                self.start()

        Thread(target=restart, daemon=True).start()

    def set_fault(self, fault_at: Callable[[int], Fault | None]) -> None:
        """Count calls anew, with other faults."""
        self.fault_at, self.asked, self.answered, self._numbers = fault_at, [], [], count(1)

    def take(self, handler: Handler, body: dict[str, Any]) -> None:
        """Answer a call."""
        prompt = json.dumps(body["messages"], sort_keys=True)
        with self._lock:
            number = next(self._numbers)
            self.asked.append(prompt)
            text = str(EXPERT(without_repair(messages_of(body))))
        wire, came = Wire(handler, body, text), time.monotonic()
        (self.fault_at(number) or Wire.deliver)(wire)
        if wire.is_sent and time.monotonic() - came < self.patience:
            with self._lock:
                self.answered.append(prompt)


class QuietServer(ThreadingHTTPServer):
    """Takes clients that go as part of life, and takes its connections along when it dies."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - a socket
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - a socket
        self._open.discard(request)
        # A socket that is to be reset must not be shut down in order before.
        request.close()

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Takes requests for a server, which is an attribute of its subclasses."""

    protocol_version = "HTTP/1.1"
    model_server: ModelServer

    def do_GET(self) -> None:
        listed = {"model": MODEL, "size": 1, "details": {"family": "qwen2", "parameter_size": "1.5B"}}
        self._send(json.dumps({"models": [listed]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/show":
            self._send(b'{"model_info": {"qwen2.context_length": 32768}}')
            return
        with suppress(OSError):
            self.model_server.take(self, body)
            return
        self.close_connection = True

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def messages_of(body: dict[str, Any]) -> list[BaseMessage]:
    """Return the messages of a request."""
    return [ROLES[message["role"]](message.get("content") or "") for message in body["messages"]]


def without_repair(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return messages without a reply and the demand to repair it."""
    is_repair = messages[-1].text.startswith(REPAIR.partition("{")[0])
    return messages[:-2] if is_repair else messages
