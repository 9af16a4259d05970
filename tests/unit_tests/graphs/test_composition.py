"""The method as a part of something larger: chains, tools, other graphs, servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from notebook import FACTS, LIT, notebook
from scripted import RuleChatModel, expert
from typing_extensions import TypedDict

from langchain_qwen_longctx import LongContextConfig, build_graph, create_long_context_qa
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.schemas import Level  # noqa: TC001 - LangGraph reads the annotations

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.schemas import QAInput, QAOutput

QUESTION = "Who lit the lamp?"
LEVELS: list[Level] = ["retrieve", "read", "reason", "auto"]
PAGES = 60


class Report(TypedDict, total=False):
    """State of another graph that asks on its way; it shares `question`, `level` and `answer`."""

    question: str
    level: Level
    answer: str
    title: str


def config(**knobs: Any) -> LongContextConfig:
    return LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **{"max_readings": 2, **knobs})


def model_of(latency: float = 0.0) -> RuleChatModel:
    return RuleChatModel(respond=expert(FACTS, decompose=QUESTION), latency=latency)


def qa_of(model: RuleChatModel | None = None, **knobs: Any) -> Runnable[QAInput, QAOutput]:
    documents = notebook(PAGES, {5: LIT})
    return create_long_context_qa(model=model or model_of(), documents=documents, config=config(**knobs))


def substance(result: Any) -> dict[str, Any]:  # noqa: ANN401 - an output as it comes from anywhere
    return {name: value for name, value in result.items() if name != "usage"}


@pytest.mark.parametrize("level", LEVELS)
async def test_asynchronously_it_answers_the_same(level: Level) -> None:
    asked: QAInput = {"question": QUESTION, "level": level}

    result = await qa_of().ainvoke(asked)

    assert result["found"]
    assert substance(result) == substance(qa_of().invoke(asked))


@pytest.mark.parametrize("level", LEVELS)
def test_a_stream_ends_with_the_result(level: Level) -> None:
    asked: QAInput = {"question": QUESTION, "level": level}

    *_, last = qa_of().stream(asked)

    assert "Rosalind Thackwell" in str(last)


def test_a_batch_keeps_its_order_and_counts_each_question_for_itself() -> None:
    model = model_of()
    asked: list[QAInput] = [
        {"question": QUESTION, "level": "retrieve"},
        {"question": "Who painted the pier?", "level": "retrieve"},
        {"question": QUESTION, "level": "read"},
    ]

    results = qa_of(model).batch(asked, {"max_concurrency": 3})

    assert [result["found"] for result in results] == [True, False, True]
    assert sum(result["usage"]["model_calls"] for result in results) == model.calls


@pytest.mark.parametrize("level", LEVELS)
def test_a_long_run_in_a_chain_is_not_taken_for_an_endless_loop(level: Level) -> None:
    fill: Runnable[str, Any] = RunnableLambda(lambda text: {"question": text, "level": level})
    qa = qa_of(RuleChatModel(respond=expert({})), wave_size=1, max_readings=2 * PAGES)

    result: Any = (fill | qa).invoke("Who painted the pier?")

    assert result["coverage"]["chunks_read"] == (PAGES if level != "retrieve" else result["coverage"]["chunks_read"])
    assert not result["found"]


@pytest.mark.filterwarnings("ignore:This API is in beta")  # as_tool, in LangChain
def test_a_tool_needs_the_question_alone() -> None:
    tool = qa_of().as_tool(name="ask_notebook", description="Answers questions about the notebook.")

    assert set(tool.args) == {"question", "level", "history"}
    assert tool.tool_call_schema.model_json_schema()["required"] == ["question"]  # type: ignore[union-attr]
    assert tool.invoke({"question": QUESTION})["answer"] == "Rosalind Thackwell [1]"


@pytest.mark.parametrize("level", LEVELS)
def test_it_is_embedded_in_another_graph_as_a_node(level: Level) -> None:
    inner = build_graph(model=model_of(), documents=notebook(PAGES, {5: LIT}), config=config()).compile()
    graph = StateGraph(Report)
    graph.add_node("ask", inner)
    graph.add_node("print", lambda state: {"title": f"{state['question']} {state['answer']}"})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "print")
    graph.add_edge("print", END)

    result = graph.compile().invoke({"question": QUESTION, "level": level})

    assert result["title"] == "Who lit the lamp? Rosalind Thackwell [1]"


def test_embedded_it_is_kept_by_the_outer_checkpointer() -> None:
    inner = build_graph(model=model_of(), documents=notebook(PAGES, {5: LIT}), config=config()).compile()
    graph = StateGraph(Report)
    graph.add_node("ask", inner)
    graph.add_edge(START, "ask")
    saver, thread = InMemorySaver(), RunnableConfig(configurable={"thread_id": "1"})
    outer = graph.compile(checkpointer=saver)

    results = [outer.invoke({"question": QUESTION}, thread) for _ in range(2)]

    assert [result["answer"] for result in results] == ["Rosalind Thackwell [1]"] * 2
    assert "window" not in str(list(saver.list(None)))


def test_an_error_of_the_input_reaches_whoever_composed_it() -> None:
    fill: Runnable[str, Any] = RunnableLambda(lambda text: {"question": text})

    with pytest.raises(InputError, match="ask something"):
        (fill | qa_of()).invoke(" ")


# LangGraph does not await the tasks that it has not begun.
@pytest.mark.filterwarnings("ignore:.*arun_with_retry:pytest.PytestUnraisableExceptionWarning")
async def test_a_cancelled_run_ends_with_the_tasks_under_way() -> None:
    model = model_of(latency=0.02)
    running = asyncio.create_task(
        qa_of(model, coverage="full", concurrency=1).ainvoke({"question": QUESTION, "level": "read"})
    )
    await asyncio.sleep(0.3)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await asyncio.sleep(1)
    at_the_end = model.calls
    await asyncio.sleep(0.3)
    assert 0 < model.calls == at_the_end < PAGES
