"""Chat models that say what a test tells them to, and remember what they were told."""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from pydantic import PrivateAttr

from langchain_qwen_longctx import prompts
from langchain_qwen_longctx.languages import han_share
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.runnables import Runnable

Respond: TypeAlias = Callable[[Sequence[BaseMessage]], str | BaseException]

NOT_FOUND = "NOT FOUND"
"""How a model says that there is no answer, of its own accord."""

_PASSAGE = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


class FakeChatModel(BaseChatModel):
    """Remembers every call and counts tokens as a server does; its subclasses say what the reply is.

    Attributes:
        model: The name it goes by.
        read_share: Share of the prompt's tokens it claims to have read.
    """

    model: str = "scripted-qwen"
    read_share: float = 1.0
    _history: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @property
    def history(self) -> list[list[BaseMessage]]:
        """The messages of every call, in order."""
        return self._history

    @property
    def calls(self) -> int:
        """How often it was called."""
        return len(self._history)

    @property
    def prompts(self) -> Counter[str]:
        """How often it was called with which prompt."""
        return Counter(map(prompt_of, self._history))

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _reply(self, messages: list[BaseMessage]) -> str | BaseException:
        raise NotImplementedError

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self._history.append(messages)
        reply = self._reply(messages)
        if isinstance(reply, BaseException):
            raise reply
        read, written = int(count_message_tokens(messages) * self.read_share), count_tokens(reply)
        usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(reply, usage_metadata=usage))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        whole: Any = self._generate(messages).generations[0].message
        for word in re.findall(r"\S*\s*", whole.content):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=whole.usage_metadata))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        def parse(reply: dict[str, Any]) -> dict[str, Any]:
            return {**reply, "parsed": None, "parsing_error": None}

        return RunnableParallel(raw=self) | RunnableLambda(parse)


class ScriptedChatModel(FakeChatModel):
    """Answers each call with the next thing that was enqueued: a text, or an exception to raise."""

    _replies: deque[str | Exception] = PrivateAttr(default_factory=deque)

    def enqueue(self, *replies: str | Exception) -> ScriptedChatModel:
        self._replies.extend(replies)
        return self

    def _reply(self, messages: list[BaseMessage]) -> str | BaseException:
        return self._replies.popleft()


class RuleChatModel(FakeChatModel):
    """Answers each call by a rule, in whatever order calls come.

    Attributes:
        respond: The rule: from messages to a text, or an exception to raise.
        latency: Seconds that a call takes.
    """

    respond: Respond
    latency: float = 0.0
    _lock: Lock = PrivateAttr(default_factory=Lock)
    _under_way: int = PrivateAttr(default=0)
    _most_under_way: int = PrivateAttr(default=0)

    @property
    def most_under_way(self) -> int:
        """How many calls were under way at once, at most."""
        return self._most_under_way

    def _reply(self, messages: list[BaseMessage]) -> str | BaseException:
        with self._lock:
            self._under_way += 1
            self._most_under_way = max(self._most_under_way, self._under_way)
        try:
            Event().wait(self.latency)
            return self.respond(messages)
        finally:
            with self._lock:
                self._under_way -= 1


def prompt_of(messages: Sequence[BaseMessage]) -> str:
    """Return the name of the constant in `prompts` that messages were made from, such as `READ`."""
    for name, prompt in vars(prompts).items():
        if isinstance(prompt, ChatPromptTemplate):
            opening = str(prompt.messages[0].prompt.template).partition("{")[0]  # type: ignore[union-attr]
            if messages[0].text.startswith(opening):
                return name
    msg = f"no prompt begins with {messages[0].text[:80]!r}"
    raise AssertionError(msg)


def expert(facts: Mapping[str, tuple[str, str]], **others: str | Mapping[str, str]) -> Respond:
    """Return the rule of a model that makes no mistakes.

    Args:
        facts: By words of a question: the sentence of the documents that answers it, and the answer.
        others: By the name of a prompt in lower case, what it writes: always, or by words of what it is given. For
            prompts that are not named, it repeats the last line.
    """

    def respond(messages: Sequence[BaseMessage]) -> str:
        name, text = prompt_of(messages), messages[-1].text
        match others.get(name.lower()):
            case str(reply):
                return reply
            case {} as replies:
                return next((reply for words, reply in replies.items() if words in text), text.splitlines()[-1])
        return _without_mistakes(facts, name, text)

    return respond


def only_after_reading(respond: Respond) -> Respond:
    """Return the rule of a model that declines to answer a question until it has read for it."""
    read_for: set[str] = set()

    def hesitate(messages: Sequence[BaseMessage]) -> str | BaseException:
        name, question = prompt_of(messages), messages[-1].text.partition("Question: ")[2].splitlines()[:1]
        if name == "READ":
            read_for.update(question)
        return NOT_FOUND if name == "ANSWER" and read_for.isdisjoint(question) else respond(messages)

    return hesitate


def _without_mistakes(facts: Mapping[str, tuple[str, str]], name: str, text: str) -> str:
    match name:
        case "ANALYZE":
            return search_plan(text.removeprefix("Question: "))
        case "READ":
            question, _, sentences = text.partition("\n\nText:\n")
            wanted = [sentence for words, (sentence, _) in facts.items() if words in question]
            return reading(*(n for n, said in _numbered(sentences) if any(s in said for s in wanted)))
        case "ANSWER":
            evidence, _, question = text.rpartition("\n\nQuestion: ")
            known = {sentence: answer for words, (sentence, answer) in facts.items() if words in question}
            found = ((n, known[s]) for n, said in _numbered(evidence) for s in known if s in said)
            return next((f"{answer} [{n}]" for n, answer in found), NOT_FOUND)
        case "CHECK":
            question, _, said = text.partition("\n\nText: ")
            return "yes" if any(s in said for words, (s, _) in facts.items() if words in question) else "no"
        case _:
            return text.splitlines()[-1]


def search_plan(question: str, **fields: Any) -> str:
    """Return a plan as the model writes it: the question itself in its language, and nothing in the other."""
    own = {"question_zh": question} if han_share(question) else {"question_en": question}
    return json.dumps({"question_en": "", "question_zh": "", "keywords_en": [], "keywords_zh": [], **own, **fields})


def reading(*numbers: int) -> str:
    """Return a reading as the model writes it."""
    return json.dumps({"sentences": numbers})


def _numbered(text: str) -> list[tuple[int, str]]:
    """Return what stands behind each `[n]` at the beginning of a line."""
    _, *parts = _PASSAGE.split(text)
    return list(zip(map(int, parts[::2]), parts[1::2], strict=True))
