"""Every knob in one frozen, validated value. Nothing here reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, Self, TypeAlias, get_args

from langchain_qwen_longctx.errors import InputError

DEFAULT_CONTEXT_WINDOW: Final = 8192
DEFAULT_ANSWER_TOKENS: Final = 1024
MIN_CONTEXT_WINDOW: Final = 2048
MIN_CHUNK_TOKENS: Final = 16

ReadingCoverage: TypeAlias = Literal["adaptive", "full"]
ReadingOrder: TypeAlias = Literal["rank", "document"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LongContextConfig:
    """How questions are answered.

    Attributes:
        context_window: Tokens the model reads and writes in one call; the `num_ctx` of every call. Default 8192.
        chunk_tokens: Most tokens in a chunk. Default 512, as in the Qwen-Agent article.
        answer_tokens: Tokens of the context window kept free for the model's reply. Default 1024.
        evidence_tokens: Most tokens of evidence in the answer's prompt; None fills the context window. Default 768:
            the passage with the answer is there as often as in 3072 tokens of whole chunks, at a quarter of the time.
        min_relative_score: Evidence must score at least this share of the best chunk's BM25 score. Default 0.4. A
            question in another language than all documents gets half of this.
        max_attempts: Calls made at most while the transport fails (connection, timeout, server error). Default 3.
        call_timeout: Seconds after which a call without a reply counts as failed. Default 600.
        coverage: `adaptive` ends a reading when more of it is unlikely to change the answer, `full` reads every chunk.
            Default `adaptive`.
        reading_order: Chunks are read by `rank`, the best first, or as in the `document`. Default `rank`.
        wave_size: Readings begun together, after which an adaptive reading decides whether to go on. Default 2.
        concurrency: Readings under way at once; more than the server answers side by side gains nothing. Default 2.
        patience: Readings in a row without a find after which an adaptive reading ends, once it has one. Default 3.
        max_readings: Chunks that an adaptive reading reads at most; half as many where level 1 has found nothing
            before. Default 8.
        max_hops: Sub-questions of level `reason` at most. Default 4.
        max_model_calls: Model calls per question at most, failed ones included; None is no limit, the default.
        max_tokens: Tokens per question at most, read and written together. Default None.
        max_seconds: Seconds per question after which no more is read. Default None.

    Raises:
        InputError: A value is out of range; the message names it.
    """

    context_window: int = DEFAULT_CONTEXT_WINDOW
    chunk_tokens: int = 512
    answer_tokens: int = DEFAULT_ANSWER_TOKENS
    evidence_tokens: int | None = 768
    min_relative_score: float = 0.4
    max_attempts: int = 3
    call_timeout: float = 600.0
    coverage: ReadingCoverage = "adaptive"
    reading_order: ReadingOrder = "rank"
    wave_size: int = 2
    concurrency: int = 2
    patience: int = 3
    max_readings: int = 8
    max_hops: int = 4
    max_model_calls: int | None = None
    max_tokens: int | None = None
    max_seconds: float | None = None

    @classmethod
    def for_window(cls, context_window: int) -> Self:
        """Return the defaults for a context window, which keep at most a quarter of it for the reply."""
        return cls(context_window=context_window, answer_tokens=min(DEFAULT_ANSWER_TOKENS, context_window // 4))

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value < 0:
                msg = f"{field.name} is {value}; it cannot be negative"
                raise InputError(msg)
        self._require("context_window", self.context_window >= MIN_CONTEXT_WINDOW, f"at least {MIN_CONTEXT_WINDOW}")
        self._require("chunk_tokens", self.chunk_tokens >= MIN_CHUNK_TOKENS, f"at least {MIN_CHUNK_TOKENS}")
        for name in ("max_attempts", "wave_size", "concurrency", "patience", "max_readings", "max_hops"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("call_timeout", self.call_timeout > 0, "above 0")
        self._require("coverage", self.coverage in get_args(ReadingCoverage), "adaptive or full")
        self._require("reading_order", self.reading_order in get_args(ReadingOrder), "rank or document")
        self._require("min_relative_score", self.min_relative_score <= 1, "at most 1")
        room = self.context_window - self.chunk_tokens
        self._require("answer_tokens", 1 <= self.answer_tokens <= room // 2, f"between 1 and {room // 2}")

    def _require(self, name: str, holds: bool, bounds: str) -> None:  # noqa: FBT001 - the condition under test
        if not holds:
            msg = f"{name} is {getattr(self, name)}; it must be {bounds}"
            raise InputError(msg)
