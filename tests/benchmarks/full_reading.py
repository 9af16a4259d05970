"""What a full reading of a long document costs apart from the model: time, memory and disk.

    python tests/benchmarks/full_reading.py --paragraphs 8200

Reads a made-up chronicle of about 125 tokens a paragraph from end to end, several times, with a model that answers at
once; every other time without keeping replies and state. Its own time, to make up what it says, is taken off. Prints a
Markdown table.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from pydantic import PrivateAttr

sys.path.insert(0, str(Path(__file__).parents[1]))

from chronicle import chronicle
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import (
    BilingualBM25Retriever,
    LongContextConfig,
    QwenTextSplitter,
    create_long_context_qa,
    open_checkpointer,
    open_reply_cache,
)

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

PLANTED = "渡口的老船工彭阿福把船桨传给了外孙女葛小满。"
QUESTION = "老船工彭阿福把船桨传给了谁？"


class TimedChatModel(RuleChatModel):
    """Knows how much of the processor's time it took itself, to count and find what it says."""

    _seconds: list[float] = PrivateAttr(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds in all."""
        return sum(self._seconds)

    def _generate(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        begun = time.thread_time()
        result = super()._generate(messages, *arguments, **kwargs)
        self._seconds.append(time.thread_time() - begun)
        return result


def main() -> None:
    """Read, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paragraphs", type=int, default=8200)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    text = chronicle(arguments.paragraphs, {arguments.paragraphs // 2: PLANTED})
    chunks = QwenTextSplitter(512).split_documents([Document(text, metadata={"source": "chronicle.txt"})])
    retriever = BilingualBM25Retriever.from_documents(chunks)
    rows = ["| kept | readings | ms a reading | MB more | disk, share of the document |", "|---|---|---|---|---|"]
    for run in range(2 * arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(read(retriever, len(text.encode()), Path(folder) if run % 2 else None, arguments.concurrency))
    print("\n".join(rows))  # noqa: T201


def read(retriever: BilingualBM25Retriever, size: int, folder: Path | None, concurrency: int) -> str:
    model = TimedChatModel(respond=expert({"船桨": (PLANTED, "葛小满")}))
    qa = create_long_context_qa(
        model=model,
        retriever=retriever,
        config=LongContextConfig(coverage="full", concurrency=concurrency),
        cache=open_reply_cache(folder) if folder else None,
        checkpointer=open_checkpointer(folder) if folder else None,
    )
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    result = qa.invoke({"question": QUESTION, "level": "read"}, {"configurable": {"thread_id": "1"}})
    seconds = time.perf_counter() - begun - model.seconds
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert result["found"]
    assert result["coverage"]["chunks_read"] == len(retriever.docs)
    disk = sum(file.stat().st_size for file in folder.iterdir()) / size if folder else 0
    share = f"{100 * disk:.0f}%" if folder else "–"
    count = len(retriever.docs)
    return f"| {'yes' if folder else 'no'} | {count:,} | {1000 * seconds / count:.2f} | {grown:.0f} | {share} |"


if __name__ == "__main__":
    main()
