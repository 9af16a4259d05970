"""What the commands that serve over HTTP share: a socket to listen at, and a web server behind it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine can reach."""

SECONDS_TO_END: Final = 2
"""How long open connections are waited for after an interruption."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections; port 0 takes a free one.

    Raises:
        InputError: The port, or the host, cannot be used.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        msg = f"port {port} of {host} cannot be used ({error}); choose another with --port"
        raise InputError(msg) from error


def url_of(listener: socket.socket) -> str:
    """Return where clients find what listens there."""
    host, port, *_ = listener.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def web_server(app: ASGIApp) -> uvicorn.Server:
    """Return a web server; what it has to say goes where all log messages go."""
    import uvicorn  # noqa: PLC0415 - an extra brings it

    from langchain_qwen_longctx.connections import Connection  # noqa: PLC0415 - likewise

    options: dict[str, Any] = {"log_config": None, "access_log": False, "ws": "none", "server_header": False}
    return uvicorn.Server(uvicorn.Config(app, http=Connection, timeout_graceful_shutdown=SECONDS_TO_END, **options))
