"""Conversations: questions that may refer to earlier ones, kept as a thread."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from langchain_qwen_longctx.schemas import Level, QAOutput  # noqa: TC001 - LangGraph reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import Runnable

PROMPT: Final = "> "
FAREWELLS: Final = frozenset({"exit", "quit"})


class ChatInput(TypedDict, total=False):
    """One turn of a conversation."""

    question: str
    level: Level


class ChatState(ChatInput, total=False):
    """State of a conversation.

    Attributes:
        messages: Questions and answers in turn; a question without an answer does not become part of it.
        result: The last answer with everything that backs it.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    result: QAOutput


def build_chat_graph(qa: Runnable[Any, Any]) -> StateGraph[ChatState, None, ChatInput, ChatState]:
    """Return a graph that answers each question in the light of those before, not yet compiled.

    Args:
        qa: A Runnable from `QAInput` to `QAOutput`. If it is a graph, compile it with `checkpointer=False`, or the
            thread keeps every step to an answer as well.
    """

    def answer(state: ChatState) -> ChatState:
        question, history = state["question"], state.get("messages", [])
        result = qa.invoke({"question": question, "level": state.get("level", "auto"), "history": history})
        return {"messages": [HumanMessage(question), AIMessage(result["answer"])], "result": result}

    graph = StateGraph(ChatState, input_schema=ChatInput)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph


def questions() -> Iterator[str]:
    """Yield the lines of standard input, behind a prompt on a terminal, until it ends or one says `exit` or `quit`."""
    while (line := _next_line()) is not None:
        question = line.strip()
        if question.lower() in FAREWELLS:
            return
        if question:
            yield question


def _next_line() -> str | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return sys.stdin.readline() or None
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - its import gives `input` editing and a history; Windows has none
    try:
        return input(PROMPT)
    except EOFError:
        print()  # noqa: T201 - what follows begins on a line of its own
        return None
