"""What everything but the model costs: seconds and memory of this package's own functions, and of others beside them.

Each measurement is made in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from langchain_qwen_longctx.bm25_engines import ENGINES, OWN
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from langchain_core.documents import Document

    from langchain_qwen_longctx.benchmark_texts import Text
    from langchain_qwen_longctx.bm25_engines import Analyzer, Engine
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

# ruff: noqa: PLC0415 - the imports are a part of what is measured

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")

Figures: TypeAlias = dict[str, float]
"""Seconds by what was done, bytes and other counts by their names. What is not known is not there."""

QUERY_TERMS: Final = (20, 800)
QUERIES: Final = 3
"""So many different queries of each length, of which the median counts."""

CHUNKS_DRAWN_FROM: Final = 32
"""The terms of a query come from so many chunks."""

SAMPLE: Final = "The old mill stood by the harbour in 1887. 老磨坊在港口旁边。"
QUESTION: Final = "What is said about this?"
NO_FIND: Final = '{"sentences": []}'
"""A reading that points at nothing, as `schemas.Reading` has it."""

LANGGRAPH: Final = "import langgraph.graph"
STARTS: Final = {
    "python -c pass": ("-c", "pass"),
    "qwen-longctx --help": ("-m", "langchain_qwen_longctx", "--help"),
    "import langchain_qwen_longctx": ("-c", "import langchain_qwen_longctx"),
    "import create_long_context_qa": ("-c", "from langchain_qwen_longctx import create_long_context_qa"),
    LANGGRAPH: ("-c", LANGGRAPH),
}
"""What is started, and how: arguments of a new Python."""


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: an engine on a text, for the first, second … time."""

    engine: str
    text: Text
    run: int

    def __str__(self) -> str:
        return f"{self.engine}, {self.text.name} {self.text.length}, run {self.run}"


@contextmanager
def timed(figures: Figures, name: str) -> Iterator[None]:
    """Add the seconds of what is done meanwhile."""
    begun = perf_counter()
    yield
    figures[name] = perf_counter() - begun


class Clocked:
    """An analyzer that knows how many seconds it has taken."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.seconds = 0.0

    def __call__(self, text: str) -> list[str]:
        """Return the terms of a text."""
        begun = perf_counter()
        terms = self._analyzer(text)
        self.seconds += perf_counter() - begun
        return terms


def plan(texts: Iterable[Text], engines: Sequence[str], runs: int) -> Iterator[Job]:
    """Yield what is to be measured: each text so many times, and side by side with all engines each time."""
    for text in texts:
        for number in range(1, runs + 1):
            for engine in engines:
                yield Job(engine, text, number)


def outcome(job: Job) -> Figures | str:
    """Return the figures of a measurement in a new process, or what went wrong if the engine is not ours.

    Raises:
        InputError: The system has ended one of our own processes, most likely for want of memory.
        RuntimeError: One of our own processes has failed.
    """
    try:
        return in_new_process(measure, job)
    except (InputError, RuntimeError) as error:
        if job.engine == OWN:
            raise
        return str(error)


def in_new_process(function: Callable[[ArgumentT], ResultT], argument: ArgumentT) -> ResultT:
    """Return what a function returns in a process that is started for it.

    Raises:
        InputError: The process was ended from outside.
        RuntimeError: It failed, and has said on stderr why.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sender, function, argument), daemon=True)
    with _uninterrupted():
        child.start()
    sender.close()
    try:
        result: ResultT = receiver.recv()
    except EOFError as error:
        child.join()
        if (child.exitcode or 0) < 0:
            msg = f"its process was ended by signal {-(child.exitcode or 0)}; if memory is short, give fewer --tokens"
            raise InputError(msg) from error
        msg = f"its process ended with exit code {child.exitcode}"
        raise RuntimeError(msg) from error
    finally:
        receiver.close()
        child.kill()
        child.join()
    return result


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let what is started now ignore Ctrl-C, which the terminal sends to all: the one that waits for it ends it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _send(sender: Connection, function: Callable[[ArgumentT], object], argument: ArgumentT) -> None:
    sender.send(function(argument))


def measure(job: Job) -> Figures:
    """Measure an engine on a text in this process, from its imports on."""
    engine, figures = ENGINES[job.engine], Figures()
    with timed(figures, "start"):
        analyzer = warm_up(engine)
    before = peak_memory()
    index, chunks = make_searchable(engine, analyzer, job.text.path, figures)
    after = peak_memory()
    if before and after:
        figures |= {"peak_bytes": after, "bytes_per_byte": (after - before) / job.text.bytes}
    random = Random(0)  # noqa: S311 - nothing secret
    queries = {count: [draw_terms(chunks, analyzer, count, random) for _ in range(QUERIES)] for count in QUERY_TERMS}
    for count, drawn in queries.items():
        figures[f"query_{count}"] = median(seconds_of(engine, index, terms) for terms in drawn)
    if job.engine == OWN:
        measure_own(index, job.text.path.with_suffix(".index"), figures)
    if job.engine == "rank-bm25":
        figures["score_difference"] = score_difference(index, chunks, queries[max(QUERY_TERMS)][0])
    return figures


def warm_up(engine: Engine) -> Analyzer:
    """Do everything once with a sentence, so that what is imported and loaded for good is, and return the analyzer."""
    from langchain_core.documents import Document

    from langchain_qwen_longctx import document_loaders  # noqa: F401
    from langchain_qwen_longctx.text_splitters import QwenTextSplitter

    analyzer = engine.analyzer()
    index = engine.build(QwenTextSplitter().split_documents([Document(SAMPLE)]), analyzer)
    engine.search(index, analyzer(SAMPLE))
    return analyzer


def make_searchable(engine: Engine, analyzer: Analyzer, path: Path, figures: Figures) -> tuple[Any, list[Document]]:
    """Return the index of a file and its chunks, and take the time of each step."""
    from langchain_qwen_longctx.document_loaders import load_documents
    from langchain_qwen_longctx.text_splitters import QwenTextSplitter

    clocked = Clocked(analyzer)
    with timed(figures, "searchable"):
        with timed(figures, "load"):
            documents = load_documents(path)
        with timed(figures, "split"):
            chunks = QwenTextSplitter().split_documents(documents)
        # As in `open_index`, the whole text is not needed any more.
        del documents
        with timed(figures, "build"):
            index = engine.build(chunks, clocked)
    figures["analyze"] = clocked.seconds
    figures["build"] -= clocked.seconds
    figures["chunks"] = len(chunks)
    return index, chunks


def draw_terms(chunks: Sequence[Document], analyzer: Analyzer, count: int, random: Random) -> list[str]:
    """Return so many terms of some chunks by chance, the frequent ones more often; none if there are none."""
    sample = random.sample(chunks, min(len(chunks), CHUNKS_DRAWN_FROM))
    terms = [term for chunk in sample for term in analyzer(chunk.page_content)]
    return random.choices(terms, k=count) if terms else []


def seconds_of(engine: Engine, index: Any, terms: Sequence[str]) -> float:  # noqa: ANN401 - every engine has its own
    """Return how long a search takes."""
    begun = perf_counter()
    engine.search(index, terms)
    return perf_counter() - begun


def measure_own(retriever: BilingualBM25Retriever, path: Path, figures: Figures) -> None:
    """Measure what only our own has: a file to save it in, and graphs that read."""
    from langchain_qwen_longctx.analyzers import analyze
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

    retriever = retriever.model_copy(update={"preprocess_func": analyze})
    with timed(figures, "save"):
        retriever.save(path)
    with timed(figures, "open"):
        BilingualBM25Retriever.load(path)
    figures["index_bytes"] = path.stat().st_size
    figures["vocabulary"] = len(retriever.vectorizer.postings.vocabulary)
    figures["reading"] = seconds_a_reading(retriever)


def seconds_a_reading(retriever: BilingualBM25Retriever) -> float:
    """Return what one reading takes beside the model, by a full reading with one that finds nothing, at once.

    What a question takes at level `retrieve` is taken off: the same is done before and after the readings.
    """
    from langchain_core.language_models import FakeListChatModel

    from langchain_qwen_longctx import LongContextConfig, create_long_context_qa

    model, config = FakeListChatModel(responses=[NO_FIND]), LongContextConfig(coverage="full")
    qa = create_long_context_qa(model=model, retriever=retriever, config=config)
    figures = Figures()
    for name in ("warm-up", "retrieve", "read"):
        with timed(figures, name):
            qa.invoke({"question": QUESTION, "level": "read" if name == "read" else "retrieve"})
    return (figures["read"] - figures["retrieve"]) / len(retriever.docs)


def score_difference(index: Any, chunks: Sequence[Document], terms: Sequence[str]) -> float:  # noqa: ANN401
    """Return by how much our scores differ from those of rank_bm25, at most."""
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

    own = BilingualBM25Retriever.from_documents(chunks).vectorizer.get_scores(terms)
    return float(abs(own - index.get_scores(terms)).max())


def peak_memory() -> int | None:
    """Return the most resident memory, in bytes, that this process has had; None if the system does not say."""
    status = Path("/proc/self/status")
    if status.exists() and (match := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        # The figure of `getrusage` is that of the parent process, if that has more.
        return int(match[1]) * 1024
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def time_starts() -> Figures:
    """Return the seconds that a new Python takes for each of `STARTS`, from its start to its end."""
    figures = Figures()
    for name, arguments in STARTS.items():
        with timed(figures, name):
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603
    return figures
