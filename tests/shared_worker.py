"""A worker process of the tests: it asks one question, and writes down every call of its model.

`python shared_worker.py URL LOG [THREAD]`
"""

from __future__ import annotations

import json
import os
import sys
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chronicle import chronicle
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from scripted import RuleChatModel, prompt_of

from langchain_qwen_longctx import (
    LongContextConfig,
    build_graph,
    open_postgres_cache,
    open_postgres_checkpointer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

LATENCY: Final = 0.05
AT_ONCE: Final = 2
PARAGRAPHS: Final = 520


class WitnessedModel(RuleChatModel):
    """A model without mistakes that writes down when a call begins and when it ends."""

    log: Path

    def _reply(self, messages: list[BaseMessage]) -> str | BaseException:
        self._write("begin", messages)
        reply = super()._reply(messages)
        self._write("end", messages)
        return reply

    def _write(self, what: str, messages: Sequence[BaseMessage]) -> None:
        said = "\n".join(message.text for message in messages)
        digest = blake2b(said.encode(), digest_size=8).hexdigest()
        line = json.dumps({"worker": os.getpid(), "what": what, "prompt": prompt_of(messages), "said": digest}) + "\n"
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line.encode())
        os.close(file)


def main(url: str, log: Path, thread: str | None = None) -> None:
    """Answer the question, or go on with a thread that another worker has begun, and print the result."""
    graph = build_graph(
        model=WitnessedModel(respond=EXPERT, latency=LATENCY, log=log),
        documents=[Document(chronicle(PARAGRAPHS, {40: TOWN_FACT}), metadata={"source": "镇志.txt"})],
        config=LongContextConfig(coverage="full", concurrency=AT_ONCE),
        cache=open_postgres_cache(url),
    )
    qa = graph.compile(checkpointer=open_postgres_checkpointer(url) if thread else None)
    place: RunnableConfig = {"configurable": {"thread_id": thread}} if thread else {}
    is_begun = thread and qa.get_state(place).values
    result = qa.invoke(None if is_begun else {"question": TOWN_QUESTION, "level": "read"}, place)
    print(json.dumps({name: result[name] for name in ("answer", "coverage", "usage")}))  # noqa: T201 - for the tests to read


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
