"""A process that takes down what it reaches and what it writes to. As a script, it runs one command after another.

Each address it connects to, each name it looks up, and each path it writes to is a line of JSON in the file that
`WATCHED` names. Whatever is not on this machine is refused, so that nothing leaves it even where something tries.
"""

from __future__ import annotations

import asyncio
import json
import os
import pkgutil
import sys
from importlib import import_module
from typing import Any, Final

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """Hears of everything that the interpreter does, though not of what libraries in C do by themselves."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        match event, arguments:
            case "socket.connect", (_, (host, *_)):
                self._reach(os.fsdecode(host))
            case "socket.getaddrinfo" | "socket.gethostbyname" | "socket.gethostbyaddr", (host, *_):
                self._reach(os.fsdecode(host or "localhost"))
            case ("open", (str() | bytes() | os.PathLike() as path, _, flags)) if flags & WRITING:
                self._take_down("writes", os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - no more than text
            case "os.mkdir" | "os.rename" | "sqlite3.connect", (path, *_):
                self._take_down("writes", os.path.abspath(os.fsdecode(path)))  # noqa: PTH100

    def _reach(self, host: str) -> None:
        self._take_down("reaches", host)
        if host not in LOOPBACK:
            msg = f"{host} is not this machine"
            raise OSError(msg)

    def _take_down(self, kind: str, what: str) -> None:
        os.write(self._file, json.dumps([kind, what]).encode() + b"\n")


def import_all() -> None:
    """Import every module of the package."""
    package = import_module("langchain_qwen_longctx")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


async def ask_langgraph(question: str) -> None:
    """Ask the graph that a LangGraph server would take."""
    graph = await import_module("langchain_qwen_longctx.langgraph_server").make_graph()
    sys.stdout.write((await graph.ainvoke({"question": question, "level": "retrieve"}))["answer"])


def run(arguments: list[str]) -> int:
    """Run a command, and return its exit code."""
    match arguments:
        case ["import-all"]:
            import_all()
        case ["ask-langgraph", question]:
            asyncio.run(ask_langgraph(question))
        case _:
            sys.argv = ["qwen-longctx", *arguments]
            try:
                import_module("langchain_qwen_longctx.cli").main()
            except SystemExit as exit_:
                return int(exit_.code or 0)
    return 0


if __name__ == "__main__":
    sys.addaudithook(Watch(os.environ["WATCHED"]))
    for line in sys.argv[1:]:
        sys.stdout.write(f"exit code {run(json.loads(line))}\n")
        sys.stdout.flush()
