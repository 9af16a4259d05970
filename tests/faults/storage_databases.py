"""Kept replies and threads whose files are damaged or hostile: asked for again or refused by name, never believed."""

from __future__ import annotations

import os
import pickle
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import ormsgpack
from command_line import EXPERT, TOWN_QUESTION
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from outcomes import Outcome, trial, wrong
from scripted import RuleChatModel
from storage_damage import TOWN, damages

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.chat import build_chat_graph
from langchain_qwen_longctx.cli_parts import open_replies
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.persistence import REPLIES_FILE, THREADS_FILE, ReplyCache, open_checkpointer
from langchain_qwen_longctx.threads import _seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.runnables import RunnableConfig
    from trials import Trial

Files: TypeAlias = "Mapping[str, bytes]"

THREAD: Final[RunnableConfig] = {"configurable": {"thread_id": "a"}}
LOG: Final = "-wal"


class Kept(Protocol):
    """Something that is kept in a file.

    Attributes:
        name: What it is called in the table.
        file: The file's name.
        attack: How to put something of a kind into it.
    """

    name: str
    file: str
    attack: str

    def fill(self, folder: Path) -> sqlite3.Connection:
        """Keep something, and return what is still connected to it."""
        ...

    def use(self, folder: Path) -> Outcome:
        """Go on from what is there."""
        ...


def trials(count: int) -> Iterator[Trial]:
    """Try every damage so many times, on the files and on their logs, and what would run if it were believed."""
    for kept in (Replies(), Threads()):
        whole, logged = sample(kept)
        for what, damage in damages(count).items():
            on_file = (attempt(kept, {kept.file: changed}) for changed in damage(whole[kept.file]) if changed)
            yield trial(f"{kept.name} {what}", map(complete, on_file))
        for what, damage in damages(count).items():
            on_log = ({**logged, kept.file + LOG: changed} for changed in damage(logged[kept.file + LOG]))
            yield trial(f"{kept.name}, SQLite's log {what}", (attempt(kept, files) for files in on_log))
        yield trial(f"{kept.name} that would run something", attacks(kept, whole[kept.file]))


def sample(kept: Kept) -> tuple[Files, Files]:
    """Return the files of something kept: as they are in the end, and while it is connected, with a log."""
    with tempfile.TemporaryDirectory() as folder:
        with closing(kept.fill(Path(folder))):
            logged = {name: (Path(folder) / name).read_bytes() for name in (kept.file, kept.file + LOG)}
        return {kept.file: (Path(folder) / kept.file).read_bytes()}, logged


def complete(outcome: Outcome) -> Outcome:
    """Return an outcome, unless less is left than was kept: nothing in the file itself may be overlooked."""
    return wrong(outcome.verdict) if "of 3 questions" in outcome.verdict else outcome


def attempt(kept: Kept, files: Files) -> Outcome:
    """Go on from files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            return kept.use(Path(folder))
        except InputError as error:
            return Outcome("refused by name") if kept.file in str(error) else wrong(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            return wrong(repr(error))


class Replies:
    """Replies to a question about the town."""

    name, file, attack = "kept replies", REPLIES_FILE, "UPDATE cache SET encoding = ?, val = ?"

    def __init__(self) -> None:
        self._model, self._cache = RuleChatModel(respond=EXPERT), Exchangeable()
        config = LongContextConfig(context_window=2048, answer_tokens=256, coverage="full")
        documents = [Document(TOWN, metadata={"source": "镇志.txt"})]
        self._qa = create_long_context_qa(model=self._model, documents=documents, config=config, cache=self._cache)

    def fill(self, folder: Path) -> sqlite3.Connection:
        self.use(folder)
        assert self._cache.replies is not None
        connection: sqlite3.Connection = self._cache.replies._store._conn  # type: ignore[attr-defined]
        return connection

    def use(self, folder: Path) -> Outcome:
        kept, before = open_replies(folder), self._model.calls
        self._cache.replies = kept._replies if kept else None
        answer = self._qa.invoke({"question": TOWN_QUESTION, "level": "read"})["answer"]
        if answer != "毛一清 [1]":
            return wrong(f"a damaged reply was believed: {answer!r}")
        return Outcome(
            "right, with calls made again" if self._model.calls > before else "right, with no call made again"
        )


class Exchangeable(ReplyCache):
    """Replies that are taken from elsewhere: to build the graph anew takes longer than a try."""

    replies: ReplyCache | None = None

    def __init__(self) -> None:
        """Have none."""

    def find(self, key: str) -> str | None:
        return self.replies.find(key) if self.replies else None

    def keep(self, key: str, text: str) -> bool:
        return self.replies is not None and self.replies.keep(key, text)


class Threads:
    """A conversation of three questions."""

    name, file, attack = "a kept conversation", THREADS_FILE, "UPDATE checkpoints SET type = ?, checkpoint = ?"

    def fill(self, folder: Path) -> sqlite3.Connection:
        graph, connection = conversation(folder)
        for number in range(3):
            graph.invoke({"question": f"第{number}问？"}, THREAD, durability="exit")
        self._whole = said(graph)
        return connection

    def use(self, folder: Path) -> Outcome:
        graph, connection = conversation(folder)
        with closing(connection):
            before = said(graph)
            graph.invoke({"question": "还有呢？"}, THREAD, durability="exit")
        if before != self._whole[: len(before)]:
            return wrong(f"goes on from something that was never said: {before}")
        questions = len(before) // 2
        return Outcome("goes on where it was" if before == self._whole else f"goes on after {questions} of 3 questions")


def conversation(folder: Path) -> tuple[Any, sqlite3.Connection]:
    """Return the graph of a conversation that is kept in a folder, and what is to be closed."""

    def answer(turn: dict[str, Any]) -> dict[str, Any]:
        return {"answer": f"{turn['question']}此前有{len(turn['history'])}句。", "citations": []}

    saver = open_checkpointer(folder)
    qa: Any = RunnableLambda(answer)
    return build_chat_graph(qa).compile(checkpointer=saver), saver.conn


def said(graph: Any) -> list[str]:  # noqa: ANN401 - a compiled graph
    """Return what a conversation consists of."""
    return [message.text for message in graph.get_state(THREAD).values.get("messages", [])]


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def attacks(kept: Kept, content: bytes) -> Iterator[Outcome]:
    """Go on from a file whose every value would make a folder, in each way that LangGraph or pickle knows."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "was here"
        made = {code: ormsgpack.packb(("os", "mkdir", str(target), "")) for code in range(6)}
        made[1] = ormsgpack.packb(("os", "mkdir", [str(target)]))
        made |= {code: ormsgpack.packb(("os", "mkdir", {"path": str(target)}, "")) for code in (2, 4, 5)}
        made[3] = ormsgpack.packb(("pathlib", "Path", str(target), "mkdir"))
        payloads = [("msgpack", ormsgpack.packb(ormsgpack.Ext(code, data))) for code, data in made.items()]
        for kind, payload in [*payloads, ("pickle", pickle.dumps(Trap(str(target))))]:
            for named in (kind, f"{kind} {_seal(payload)}"):
                outcome = attempt(kept, {kept.file: rewritten(content, kept.attack, named, payload)})
                yield wrong("it was run") if target.exists() else outcome


def rewritten(content: bytes, statement: str, *values: object) -> bytes:
    """Return a database after a statement."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "database"
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement, values)
            connection.commit()
        return path.read_bytes()
