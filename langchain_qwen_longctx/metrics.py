"""What a server counts, for Prometheus."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_qwen_longctx.schemas import QAOutput

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_1_0_0

QUESTION_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
CALL_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._questions = Counter(
            "longctx_questions",
            "Questions, by level and outcome",
            ["level", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "longctx_question_seconds", "From question to answer", buckets=QUESTION_SECONDS, registry=registry
        )
        self._under_way = Gauge("longctx_questions_under_way", "Questions being answered", registry=registry)
        self._calls = Counter(
            "longctx_model_calls", "Calls of the model, and replies taken from the cache", ["kind"], registry=registry
        )
        self._tokens = Counter("longctx_tokens", "Tokens read and written by the model", ["kind"], registry=registry)
        self._wait = Histogram(
            "longctx_turn_wait_seconds", "A call's wait for its turn", buckets=CALL_SECONDS, registry=registry
        )
        self._call = Histogram(
            "longctx_model_call_seconds", "A call of the model", buckets=CALL_SECONDS, registry=registry
        )

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a figure that is asked for whenever the figures are."""
        Gauge(name, description, registry=self._registry).set_function(value)

    def call_made(self, waited: float, took: float) -> None:
        """Count a call of the model, by its seconds."""
        self._wait.observe(waited)
        self._call.observe(took)

    @contextmanager
    def question(self) -> Iterator[None]:
        """Count a question while it is answered, and if it ends in an error, or its client goes, as such."""
        self._under_way.inc()
        try:
            yield
        except BaseException:
            self._questions.labels("", "error").inc()
            raise
        finally:
            self._under_way.dec()

    def answered(self, result: QAOutput) -> None:
        """Count an answer, and what it took."""
        outcome = "found" if result["found"] else result["stopped"] or "not_found"
        usage = result["usage"]
        self._questions.labels(result["level"], outcome).inc()
        self._seconds.observe(usage["seconds"])
        self._calls.labels("model").inc(usage["model_calls"])
        self._calls.labels("cache").inc(usage["cached_calls"])
        self._tokens.labels("input").inc(usage["input_tokens"])
        self._tokens.labels("output").inc(usage["output_tokens"])
