"""A chat model that says what a test tells it to, and remembers what it was told."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from pydantic import PrivateAttr

from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable


class ScriptedChatModel(BaseChatModel):
    """Answers each call with the next thing that was enqueued: a text, or an exception to raise.

    Attributes:
        model: The name it goes by.
        read_share: Share of the prompt's tokens it claims to have read.
    """

    model: str = "scripted-qwen"
    read_share: float = 1.0
    _replies: deque[str | Exception] = PrivateAttr(default_factory=deque)
    _history: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    def enqueue(self, *replies: str | Exception) -> ScriptedChatModel:
        self._replies.extend(replies)
        return self

    @property
    def history(self) -> list[list[BaseMessage]]:
        """The messages of every call, in order."""
        return self._history

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self._history.append(messages)
        reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        read, written = int(count_message_tokens(messages) * self.read_share), count_tokens(reply)
        usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(reply, usage_metadata=usage))])

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        return self | RunnableLambda(lambda message: {"raw": message, "parsed": None, "parsing_error": None})
