"""What no text may carry into a prompt: marks of chat formats, and characters that a reader does not see. Pure.

Servers look for the marks of their model's chat format in the whole of a prompt, so that `<|im_end|>` in a document
would end the message that it stands in. Only what the model is told changes: quotes are cut from the source itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage
    from langchain_core.prompts import ChatPromptTemplate

_NAMED_MARKS: Final = """
s bos eos pad unk mask sop eop think tools tool_call tool_calls tool_response start_of_turn end_of_turn start_of_image
end_of_image im_start im_end
"""
"""Marks between angle brackets alone: Qwen's for tools and thoughts, Gemma's, Llama 2's and GLM's."""

_BRACKETED_MARKS: Final = """
INST SYS SYSTEM_PROMPT AVAILABLE_TOOLS TOOL_CALLS TOOL_RESULTS TOOL_CONTENT ARGS THINK IMG PREFIX MIDDLE SUFFIX gMASK
sMASK
"""
"""Marks between square brackets: Mistral's, Llama 2's and GLM's."""

_MARK: Final = re.compile(
    r"<(?=[|｜][^<>\n]{1,64}[|｜]>"
    rf"|/?(?:{'|'.join(_NAMED_MARKS.split())})>|</?SYS>>)"
    rf"|\[(?=/?(?:{'|'.join(_BRACKETED_MARKS.split())})\])"
)

_JOINING: Final = (
    "\u0600-\u0dff\u1000-\u109f\u1780-\u18af\u2190-\u2bff\ufb50-\ufdff\ufe0f\ufe70-\ufefc\U0001f000-\U0001faff"
)
"""Letters that are joined and symbols that are made of several: after one of them, a joiner says how it is written."""

_INVISIBLE: Final = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    f"\U000e0000-\U000e0fff](?<![{_JOINING}][\u200c\u200d])"
)
"""Control characters that are no white space, and what Unicode has for everyone to pass over.

That is its property Default_Ignorable_Code_Point: zero-width spaces, soft hyphens, direction marks, variation
selectors, tag characters. The joiners stay where they belong, in Persian or in an emoji of several people.
"""


def neutralize(text: str) -> str:
    """Return a text as a model may be told it: marks of chat formats come apart, and nothing in it is invisible."""
    is_plain = text.isascii() and text.replace("\n", "").isprintable()
    return _MARK.sub(r"\g<0> ", text if is_plain else _INVISIBLE.sub("", text))


def to_messages(prompt: ChatPromptTemplate, **variables: Any) -> list[BaseMessage]:
    """Return the messages of a prompt as a model may be told them."""
    return neutralized(prompt.format_messages(**variables))


def neutralized(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """Return messages of plain text as a model may be told them; one that may be told as it is is not copied."""
    told = [(message, neutralize(message.text)) for message in messages]
    return [
        message if text == message.content else message.model_copy(update={"content": text}) for message, text in told
    ]
