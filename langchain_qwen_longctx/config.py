"""Every knob in one frozen, validated value. Nothing here reads the environment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Self

from langchain_qwen_longctx.errors import InputError

DEFAULT_CONTEXT_WINDOW: Final = 8192
DEFAULT_ANSWER_TOKENS: Final = 1024
MIN_CONTEXT_WINDOW: Final = 2048
MIN_CHUNK_TOKENS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class LongContextConfig:
    """How questions are answered.

    Attributes:
        context_window: Tokens the model reads and writes in one call; the `num_ctx` of every call. Default 8192.
        chunk_tokens: Most tokens in a chunk. Default 512, as in the Qwen-Agent article.
        answer_tokens: Tokens of the context window kept free for the model's reply. Default 1024.
        evidence_tokens: Most tokens of evidence in the answer's prompt; None fills the context window. Default 3072:
            with the next one, the gold chunk is there as often as in a full window of 8192, at a third of the tokens.
        min_relative_score: Evidence must score at least this share of the best chunk's BM25 score. Default 0.4. A
            question in another language than all documents gets twice the tokens, and half of this.
        max_attempts: Calls made at most while the transport fails (connection, timeout, server error). Default 3.

    Raises:
        InputError: A value is out of range; the message names it.
    """

    context_window: int = DEFAULT_CONTEXT_WINDOW
    chunk_tokens: int = 512
    answer_tokens: int = DEFAULT_ANSWER_TOKENS
    evidence_tokens: int | None = 3072
    min_relative_score: float = 0.4
    max_attempts: int = 3

    @classmethod
    def for_window(cls, context_window: int) -> Self:
        """Return the defaults for a context window, which keep at most a quarter of it for the reply."""
        return cls(context_window=context_window, answer_tokens=min(DEFAULT_ANSWER_TOKENS, context_window // 4))

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 0:
                msg = f"{field.name} is {value}; it cannot be negative"
                raise InputError(msg)
        self._require("context_window", self.context_window >= MIN_CONTEXT_WINDOW, f"at least {MIN_CONTEXT_WINDOW}")
        self._require("chunk_tokens", self.chunk_tokens >= MIN_CHUNK_TOKENS, f"at least {MIN_CHUNK_TOKENS}")
        self._require("max_attempts", self.max_attempts >= 1, "at least 1")
        self._require("min_relative_score", self.min_relative_score <= 1, "at most 1")
        room = self.context_window - self.chunk_tokens
        self._require("answer_tokens", 1 <= self.answer_tokens <= room // 2, f"between 1 and {room // 2}")

    def _require(self, name: str, holds: bool, bounds: str) -> None:  # noqa: FBT001 - the condition under test
        if not holds:
            msg = f"{name} is {getattr(self, name)}; it must be {bounds}"
            raise InputError(msg)
