"""Long use: thousands of questions at one server, hundreds of turns of one conversation. Nothing of it may grow."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, FOLLOW_UP, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from scripted import RuleChatModel
from trials import Trial

from langchain_qwen_longctx.chat import build_chat_graph
from langchain_qwen_longctx.cli_parts import take_turn
from langchain_qwen_longctx.graphs.long_context_qa import build_graph
from langchain_qwen_longctx.listening import listen, url_of, web_server
from langchain_qwen_longctx.persistence import open_checkpointer
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.server import create_app
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

    from langchain_qwen_longctx.chat import ChatInput

TEXT: Final = chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT})
TOWN: Final = [Document(TEXT, metadata={"source": "chronicle.txt"})]
ASKED: Final = {"question": TOWN_QUESTION, "level": "retrieve"}
ANSWER: Final = "毛一清"
CLIENTS: Final = 8

STREAMED_EVERY, UPLOADED_EVERY, LEFT_EVERY = 10, 23, 50
"""One of so many questions is streamed, asked of an upload, or left half-way."""

GROWTH: Final = 1.05
"""How much more a figure may be in the last quarter than in the second: the first is warming up."""


class ForgetfulModel(RuleChatModel):
    """Does not remember what it was told: memory is under test."""

    def _reply(self, messages: Sequence[BaseMessage]) -> str | BaseException:
        self._history.clear()
        return super()._reply(list(messages))


@dataclass
class Figures:
    """What a process holds, each time that it was looked at.

    Attributes:
        memory: Resident, in MB.
        files: Open files and sockets.
        threads: Its threads.
        disk: Bytes in its folder, for each turn of the conversation there.
    """

    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)

    def look(self, pid: int, folder: Path | None = None, turns: int = 1) -> None:
        """Look once more, and into the folder in which a conversation of so many turns is kept, if there is one."""
        process = Path(f"/proc/{pid}")
        pages = int((process / "statm").read_text("ascii").split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.files.append(len(list((process / "fd").iterdir())))
        self.threads.append(len(list((process / "task").iterdir())))
        self.disk.append(sum(path.stat().st_size for path in folder.iterdir()) / turns if folder else 0)

    def trial(self, what: str) -> Trial:
        """Return whether all of them stay level."""
        kept, said = 0, []
        figures = {
            "MB of memory": self.memory,
            "files": self.files,
            "threads": self.threads,
            "bytes a turn": self.disk,
        }
        for name, values in figures.items():
            quarter = len(values) // 4
            before, after = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
            # A handful of files and threads comes and goes.
            kept += after <= before * GROWTH + 4
            said.append(f"{before:,.0f} to {after:,.0f} {name}")
        return Trial(f"{what}: what the process holds stays level", 4, kept, "; ".join(said))


def run(*, is_short: bool) -> Iterator[Trial]:
    """Run the trials; where there is no /proc, none of them can be told."""
    if not Path("/proc/self/statm").exists():
        yield Trial("long use", 0, 0, "not tried: this system does not show what a process holds")
        return
    yield from questions(400 if is_short else 20_000)
    yield from turns(40 if is_short else 200)


def questions(total: int) -> Iterator[Trial]:
    """Ask one server so many questions, in all the ways that there are."""
    what = f"{total:,} questions at one server"
    with server() as (url, pid):
        figures = Figures()
        rights = asyncio.run(ask_all(url, total, figures, pid))
    yield Trial(f"{what}, streamed, of uploads, left half-way", total, rights, "right answers")
    yield figures.trial(what)


async def ask_all(url: str, total: int, figures: Figures, pid: int) -> int:
    """Return how many questions were answered rightly, or left on purpose."""
    numbers, every = count(), max(1, total // 200)

    async def ask_on() -> AsyncIterator[bool]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            while (number := next(numbers)) < total:
                if number % every == 0:
                    figures.look(pid)
                yield await ask(client, number)

    async def rights() -> int:
        return sum([right async for right in ask_on()])

    return sum(await asyncio.gather(*(rights() for _ in range(CLIENTS))))


async def ask(client: httpx.AsyncClient, number: int) -> bool:
    """Ask one question in the way that is its number's turn, and return whether the answer is right."""
    if number % LEFT_EVERY == 0:
        with suppress(httpx.ReadTimeout):
            await client.post("/ask", json={**ASKED, "level": "reason"}, timeout=httpx.Timeout(60, read=0.005))
        return True
    if number % UPLOADED_EVERY == 0:
        made = await client.post("/collections", files={"files": ("chronicle.txt", TEXT)})
        collection = made.json()["id"]
        answer = await client.post("/ask", json={**ASKED, "collection": collection})
        await client.delete(f"/collections/{collection}")
        return ANSWER in answer.text
    headers = {"Accept": "text/event-stream"} if number % STREAMED_EVERY == 0 else {}
    return ANSWER in (await client.post("/ask", json=ASKED, headers=headers)).text


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Start the server in a process of its own, and yield its address and number."""
    command = [sys.executable, __file__]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this file
    try:
        assert process.stdout
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def serve() -> None:
    """Serve a town's chronicle with a model that makes no mistakes, until killed."""
    app = create_app(model=ForgetfulModel(respond=EXPERT), documents=TOWN)
    with listen("127.0.0.1", 0) as listener:
        print(url_of(listener), flush=True)  # noqa: T201 - for the parent
        web_server(app).run(sockets=[listener])


def turns(total: int) -> Iterator[Trial]:
    """Go on with one conversation so many times, each time from the disk."""
    what = f"{total} turns of one conversation, each opened anew"
    retriever = BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents(TOWN))
    qa = build_graph(model=ForgetfulModel(respond=EXPERT), retriever=retriever).compile(checkpointer=False)
    place: RunnableConfig = {"configurable": {"thread_id": "evening"}}
    figures, rights = Figures(), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(total):
            checkpointer = open_checkpointer(Path(folder))
            graph = build_chat_graph(qa).compile(checkpointer=checkpointer)
            question, answer = (FOLLOW_UP, "岭下村") if number else (TOWN_QUESTION, ANSWER)
            asked: ChatInput = {"question": question, "level": "retrieve"}
            rights += answer in take_turn(graph, place, asked, {})["answer"]
            checkpointer.conn.close()
            figures.look(os.getpid(), Path(folder), number + 1)
    yield Trial(what, total, rights, "right answers, all but the first to what was said before")
    yield figures.trial(what)


if __name__ == "__main__":
    serve()
