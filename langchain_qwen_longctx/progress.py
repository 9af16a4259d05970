"""What is going on while a question is answered: the graphs' events, in words and as a bar."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Protocol

import click
from langchain_core.callbacks import BaseCallbackHandler
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from langchain_qwen_longctx.console import format_duration, one_line, place
from langchain_qwen_longctx.graphs.budget import EXPECTED_ANSWER, work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from rich.console import RenderableType
    from rich.progress import Task

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.events import (
        AnalysisEvent,
        ChunkReadEvent,
        EvidenceEvent,
        HopEvent,
        RetrievedEvent,
    )
    from langchain_qwen_longctx.graphs.state import Spent

FIRST_STATUS: Final = "Working out what to search for"

STATUS_OF_NODES: Final = {
    "contextualize": "Putting the question into context",
    "analyze": FIRST_STATUS,
    "translate": "Translating the question",
    "translate_answer": "Translating the answer",
    "propose": "Working out what to ask next",
}
"""What is said when a node begins a call of the model; of readings and answers, the events say more."""

BAR_WIDTH: Final = 24


class Display(Protocol):
    """Where progress is shown."""

    def show(self, text: str, done: int = 0, expected: int | None = None) -> None:
        """Replace the status; with an expected number, by a bar as well."""

    def tell(self, line: str) -> None:
        """Say something that stays."""


class Plain:
    """A stream that is no terminal: lines if they are wanted, and no status."""

    def __init__(self, *, is_verbose: bool) -> None:
        self._is_verbose = is_verbose

    def show(self, text: str, done: int = 0, expected: int | None = None) -> None:
        """Say nothing."""

    def tell(self, line: str) -> None:
        """Print a line if that is wanted."""
        if self._is_verbose:
            click.echo(line, err=True)


class Terminal:
    """A status at the bottom of a terminal, and lines above it, shortened to its width unless all is wanted."""

    def __init__(self, progress: Progress, *, is_verbose: bool) -> None:
        self._progress = progress
        self._task = progress.add_task(FIRST_STATUS, total=None, done=0, expected=None)
        self._is_verbose = is_verbose

    def show(self, text: str, done: int = 0, expected: int | None = None) -> None:
        """Replace the status."""
        self._progress.update(self._task, description=text, done=done, expected=expected)

    def tell(self, line: str) -> None:
        """Print a line above the status."""
        overflow: Any = {} if self._is_verbose else {"no_wrap": True, "overflow": "ellipsis"}
        self._progress.console.print(Text(line, style="dim"), soft_wrap=self._is_verbose, **overflow)


class BarColumn(ProgressColumn):
    """A bar while something is counted; rich's own would also stand beside a status."""

    def render(self, task: Task) -> RenderableType:
        """Return the bar, or nothing."""
        expected = task.fields["expected"]
        return ProgressBar(expected, task.fields["done"], width=BAR_WIDTH) if expected else Text()


class Pace:
    """How fast the model is, by the time in which at least one call was under way."""

    def __init__(self) -> None:
        self.calls = 0
        self._work = 0.0
        self._seconds = 0.0
        self._began = 0.0
        self._under_way: set[UUID] = set()

    def begin(self, call: UUID) -> None:
        """Note that a call has begun."""
        if not self._under_way:
            self._began = time.monotonic()
        self._under_way.add(call)

    def end(self, call: UUID, spent: Spent) -> None:
        """Note that a call has ended, and what it took."""
        if call not in self._under_way:
            return
        self._under_way.remove(call)
        now = time.monotonic()
        self._seconds, self._began = self._seconds + now - self._began, now
        self.calls += 1
        self._work += work(spent)

    @property
    def seconds_per_call(self) -> float:
        """Seconds from one call's end to the next's; 0 before the first."""
        return self._seconds / self.calls if self.calls else 0.0

    def seconds_for(self, spent: Spent) -> float:
        """Return how long a call of this size takes; 0 if that cannot be known yet."""
        return self._seconds / self._work * work(spent) if self._work else 0.0


class Narrator(BaseCallbackHandler):
    """Listens to a question's run and tells a display what is going on.

    Args:
        display: Where to.
        chunks: Chunks of the documents.
        config: Says when a reading ends.
    """

    def __init__(self, display: Display, chunks: int, config: LongContextConfig) -> None:
        self._display = display
        self._chunks = chunks
        self._config = config
        self._lock = RLock()
        self._pace = Pace()
        self._begin_reading()
        self._tellers = {
            "analysis": self._analysis,
            "retrieved": self._retrieved,
            "chunk_read": self._chunk_read,
            "evidence_found": self._evidence_found,
            "hop": self._hop,
        }

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:  # noqa: ANN401 - LangChain's interface
        """Follow the graphs' own events; other names are not ours."""
        with self._lock:
            if teller := self._tellers.get(name):
                teller(data)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's interface
        messages: list[list[BaseMessage]],  # noqa: ARG002
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Say what the model is asked for, and start its time."""
        node = (metadata or {}).get("langgraph_node", "")
        with self._lock:
            (self._pace_of_readings if node == "read_chunks" else self._pace).begin(run_id)
            if node == "read_chunks":
                self._show_reading()
            elif status := STATUS_OF_NODES.get(node):
                self._display.show(status)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Take the time that a call took."""
        message = getattr(response.generations[0][0], "message", None)
        usage = (message and message.usage_metadata) or {}
        spent: Spent = {"input_tokens": usage.get("input_tokens", 0), "output_tokens": usage.get("output_tokens", 0)}
        with self._lock:
            self._pace.end(run_id, spent)
            self._pace_of_readings.end(run_id, spent)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002 - as above
        """Take the time that a failed call took."""
        with self._lock:
            self._pace.end(run_id, {})
            self._pace_of_readings.end(run_id, {})

    def _begin_reading(self) -> None:
        self._outcomes: list[str] = []
        self._pace_of_readings = Pace()

    def _analysis(self, _: AnalysisEvent) -> None:
        self._begin_reading()
        self._display.show(f"Searching {self._chunks:,} chunks")

    def _retrieved(self, event: RetrievedEvent) -> None:
        self._begin_reading()
        seconds = self._pace.seconds_for({"input_tokens": event["tokens"], "output_tokens": EXPECTED_ANSWER})
        estimate = f", about {format_duration(seconds)}" if seconds >= 1 else ""
        passages = f"{event['passages']} passage{'s' * (event['passages'] != 1)}"
        self._display.show(f"Answering from {passages}, {event['tokens']:,} tokens{estimate}")

    def _chunk_read(self, event: ChunkReadEvent) -> None:
        self._outcomes.append(event["outcome"])
        self._show_reading()

    def _show_reading(self) -> None:
        done, expected = len(self._outcomes), self._expected()
        counts = [f"{self._outcomes.count('relevant')} relevant"]
        if failed := self._outcomes.count("failed"):
            counts.append(f"{failed} failed")
        # Only a full reading is sure to go on to the end of the bar.
        is_full = self._config.coverage == "full"
        left = self._pace_of_readings.seconds_per_call * (expected - done) if is_full else 0
        if left >= 1:
            counts.append(f"about {format_duration(left)} left")
        of = f" of {self._chunks:,}" if is_full else ""
        self._display.show(f"Reading chunks: {done:,}{of} done, {', '.join(counts)}", done, expected)

    def _expected(self) -> int:
        """Return how many readings there will be if there is no find any more."""
        config, done = self._config, len(self._outcomes)
        if config.coverage == "full":
            return self._chunks
        finds = [number for number, outcome in enumerate(self._outcomes, 1) if outcome == "relevant"]
        expected = min(finds[-1] + config.patience, config.max_readings) if finds else config.max_readings
        return min(max(expected, done), self._chunks)

    def _evidence_found(self, event: EvidenceEvent) -> None:
        for quote in event["quotes"]:
            self._display.tell(f"{place(event['source'], event['page'])}: {one_line(quote)}")

    def _hop(self, event: HopEvent) -> None:
        self._begin_reading()
        answer = one_line(event["answer"]) if event["found"] else "not in the documents"
        self._display.tell(f"{one_line(event['question'])} -> {answer}")


@contextmanager
def narrating(chunks: int, config: LongContextConfig, *, is_verbose: bool) -> Iterator[Narrator]:
    """Show on stderr what is going on: live on a terminal, else only the lines of `--verbose`.

    Yields:
        A callback handler to run the graph with.
    """
    if not sys.stderr.isatty():
        yield Narrator(Plain(is_verbose=is_verbose), chunks, config)
        return
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Narrator(Terminal(progress, is_verbose=is_verbose), chunks, config)
