"""Counting in Qwen tokens.

Qwen1.5, Qwen2, Qwen2.5 and Qwen3 share one byte-level BPE vocabulary for ordinary text, so one tokenizer counts for
the whole family. Special tokens are never recognised inside text: `<|im_start|>` in a document counts as the plain
characters it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.messages import BaseMessage
    from quicktok import Tokenizer

ItemT = TypeVar("ItemT")

# `<|im_start|>role\n` and `<|im_end|>\n` around every message, and the opened assistant turn at the end.
TOKENS_PER_MESSAGE: Final = 5
TOKENS_PER_REPLY_HEADER: Final = 3

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@cache
def _encoding() -> Tokenizer:
    # Imported here because the vocabulary takes half a second to build, which `--help` should not pay.
    from quicktok import get_encoding  # noqa: PLC0415

    return get_encoding("qwen3")


def encode(text: str) -> Sequence[int]:
    """Return the Qwen token ids of a text, its special tokens taken as plain characters.

    A lone surrogate, which UTF-8 cannot carry, counts as U+FFFD.
    """
    ids: Sequence[int] = _encoding().encode_ordinary(_LONE_SURROGATE.sub("\ufffd", text))
    return ids


def count_tokens(text: str) -> int:
    """Return how many Qwen tokens a text has: the length of what `encode` returns, which is not made for it."""
    count: int = _encoding().count(_LONE_SURROGATE.sub("\ufffd", text))
    return count


def count_message_tokens(messages: Iterable[BaseMessage]) -> int:
    """Return how many tokens a conversation takes in Qwen's chat template, ready for the reply.

    Args:
        messages: Messages whose content is text.

    Returns:
        Tokens of all contents, plus the template's own tokens around each message and before the reply.
    """
    return TOKENS_PER_REPLY_HEADER + sum(TOKENS_PER_MESSAGE + count_tokens(message.text) for message in messages)


def pack(candidates: Iterable[tuple[ItemT, int]], budget: int) -> list[ItemT]:
    """Choose what fits, best first.

    Args:
        candidates: `(item, tokens)` in order of preference.
        budget: Most tokens in all.

    Returns:
        The chosen items, in order of preference. One that does not fit is left out; smaller ones after it may still.
    """
    chosen = []
    for item, tokens in candidates:
        if tokens <= budget:
            chosen.append(item)
            budget -= tokens
    return chosen
