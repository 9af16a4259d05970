"""HTTP over bare sockets: a client that may send what no library would."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BOUNDARY = "hostile"


@dataclass(frozen=True)
class Reply:
    """What a server sent.

    Attributes:
        raw: All of it.
        is_closed: Whether it closed the connection; if not, the client lost patience.
    """

    raw: bytes
    is_closed: bool = True

    @property
    def status(self) -> int:
        """The status of the first response; 0 if there is none."""
        first = self.raw.split(b"\r\n", 1)[0].split()
        return int(first[1]) if len(first) > 1 and first[1].isdigit() else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the first response, by names in lower case."""
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self) -> bytes:
        """What follows the headers of the first response; in chunks, if it is sent in chunks."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def responses(self) -> int:
        """How many responses there are."""
        return self.raw.count(b"HTTP/1.1 ") + self.raw.count(b"HTTP/1.0 ")


@dataclass(frozen=True)
class Request:
    """A request that ends its connection.

    Attributes:
        path: Its target.
        body: Its body.
        method: Its method.
        headers: Further headers; one that is None is left out.
    """

    path: str
    body: bytes | None = None
    method: str = "POST"
    headers: Mapping[str, str | None] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        standard: dict[str, str | None] = {"Host": "127.0.0.1", "Connection": "close"}
        if self.body is not None:
            standard |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in {**standard, **self.headers}.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (self.body or b"")


def of_json(path: str, value: object, **headers: str | None) -> Request:
    """Return a request with a value as JSON."""
    return Request(path, json.dumps(value).encode(), headers=headers)


def of_parts(parts: Iterable[bytes], path: str = "/collections", **headers: str | None) -> Request:
    """Return an upload of parts, each with its own headers in it."""
    body = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()
    return Request(path, body, headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **headers})


def of_file(name: str, data: bytes) -> bytes:
    """Return a part that is a file."""
    escaped = name.encode("utf-8", "surrogatepass").replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
    return b'Content-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s' % (escaped, data)


@contextmanager
def connected(url: str, timeout: float = 30.0) -> Iterator[socket.socket]:
    """Open a connection to a server, by its address."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        yield connection


def send(url: str, *pieces: Request | bytes, timeout: float = 30.0) -> Reply:
    """Send something, and return all that comes back until the connection is closed, or for so many seconds."""
    with connected(url, timeout) as connection:
        # A server that has seen enough does not read the rest.
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(bytes(piece))
        return received(connection)


def received(connection: socket.socket) -> Reply:
    """Return all that comes until the connection is closed, or its time is over."""
    raw = bytearray()
    try:
        while data := connection.recv(65536):
            raw += data
    except ConnectionError:
        pass
    except TimeoutError:
        return Reply(bytes(raw), is_closed=False)
    return Reply(bytes(raw))


def text_of(reply: Reply) -> Any:  # noqa: ANN401 - JSON
    """Return the body as JSON."""
    return json.loads(reply.body)
