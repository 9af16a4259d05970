"""`qwen-longctx mcp`: the documents as tools of other programs, over standard input and output or HTTP."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import click

from langchain_qwen_longctx.cli_options import (
    Settings,
    index_options,
    knob_options,
    model_options,
    no_cache_option,
    paths_argument,
)
from langchain_qwen_longctx.cli_parts import open_documents, open_model, opened_replies
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.listening import LOOPBACK, listen, url_of, web_server

if TYPE_CHECKING:
    import uvicorn
    from mcp.server.mcpserver import MCPServer

    from langchain_qwen_longctx.cli_parts import KeptReplies

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

STDIN: Final = "-"

MCP_PATH: Final = "/mcp"
"""Where the SDK puts its server below the address."""

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx mcp ~/notes
  qwen-longctx mcp --transport http --port 8765 report.pdf
\b
  For a client that starts its servers itself, such as Claude Desktop, this goes
  into its configuration file; paths are absolute there:
  {
    "mcpServers": {
      "notes": {
        "command": "qwen-longctx",
        "args": ["mcp", "/home/me/notes"]
      }
    }
  }
\b
  For one that connects to a running server:
  {"mcpServers": {"notes": {"url": "http://127.0.0.1:8765/mcp"}}}
"""


@click.command("mcp", epilog=EXAMPLES, short_help="Let MCP clients ask the documents")
@paths_argument
@click.option(
    "--transport",
    type=click.Choice(("stdio", "http")),
    default="stdio",
    show_default=True,
    help="Standard input and output, for a client that starts this command, or HTTP, for any number of clients.",
)
@click.option("--host", default=LOOPBACK[0], show_default=True, help="Address for http, on this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port for http.")
@knob_options
@no_cache_option
@model_options
@index_options
def mcp_command(*, paths: tuple[str, ...], transport: str, host: str, port: int, **options: Any) -> None:
    """Serve the documents at PATH... to clients of the Model Context Protocol.

    They get three tools: ask_documents answers a question with citations, search_documents returns the best chunks, and
    list_documents tells what there is. A question may cost at most what the options allow.

    Exit codes: 0 the client has left, 2 bad input, 3 no model, 130 interrupted.
    """
    from langchain_qwen_longctx.transport import within

    if transport == "http":
        check_host(host, port)
    elif STDIN in paths:
        msg = "standard input ('-') brings the client's messages; give the documents as files or folders"
        raise InputError(msg)
    settings = Settings(**options)
    settings.check(paths)
    with opened_replies(settings) as replies:
        if transport == "stdio":
            server = open_server(paths, settings, replies)
            click.echo("Serving one client over standard input and output", err=True)
            # In the main thread, an interruption would wait for the client's next message.
            within(threading.TIMEOUT_MAX, server.run)
            return
        with listen(host, port) as listener:
            server = open_server(paths, settings, replies)
            click.echo(f"Serving {url_of(listener)}{MCP_PATH}", err=True)
            http_server(server).run(sockets=[listener])


def open_server(paths: tuple[str, ...], settings: Settings, replies: KeptReplies | None) -> MCPServer[Any]:
    """Return a server over the documents.

    Raises:
        InputError: The extra `mcp` is not installed.
    """
    try:
        from langchain_qwen_longctx.mcp_server import create_mcp_server
    except ImportError as error:
        raise InputError(str(error)) from error
    model, retriever = open_model(settings), open_documents(paths, settings)
    return create_mcp_server(model=model, retriever=retriever, config=settings.config(), cache=replies)


def check_host(host: str, port: int) -> None:
    """Complain of a host that is not this machine alone, for there is no log-in.

    Raises:
        InputError: It is not.
    """
    if host not in LOOPBACK:
        msg = (
            f"--host {host} would let in everyone who can reach it, for there is no log-in; use {', '.join(LOOPBACK)}, "
            f"and let others in by an SSH tunnel (ssh -L {port}:{LOOPBACK[0]}:{port} HOST) or a reverse proxy with a "
            "log-in"
        )
        raise InputError(msg)


def http_server(server: MCPServer[Any]) -> uvicorn.Server:
    """Return a web server for any number of clients on this machine."""
    # With its default host, it refuses what a page of another web site sends.
    return web_server(server.streamable_http_app())
