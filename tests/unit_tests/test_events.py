"""What is told while a question is answered."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from notebook import BORN, FACTS, LIT, NOTEBOOK, STEPS, notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.events import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_qwen_longctx.schemas import Level, QAOutput

QUESTION = "Where was the person born who lit the lamp?"
PAGES = 30


async def tell(question: str, level: Level, **knobs: Any) -> tuple[list[tuple[str, Any]], QAOutput, list[str]]:
    """Return the custom events of a run, its result, and the nodes that streamed tokens."""
    well = expert({**FACTS, QUESTION: (BORN, "Hexham")}, **STEPS)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        is_broken = prompt_of(messages) == "READ" and "Entry 20 " in messages[1].text
        return "no idea" if is_broken else well(messages)

    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    qa = create_long_context_qa(
        model=RuleChatModel(respond=respond), documents=notebook(PAGES, {5: LIT, 25: BORN}), config=config
    )
    told: list[tuple[str, Any]] = []
    streaming: list[str] = []
    result: Any = None
    async for event in qa.astream_events({"question": question, "level": level}, version="v2"):
        if event["event"] == "on_custom_event":
            told.append((event["name"], event["data"]))
        elif event["event"] == "on_chat_model_stream":
            streaming.append(event["metadata"]["langgraph_node"])
        elif event["event"] == "on_chain_end" and not event["parent_ids"]:
            result = event["data"]["output"]
    return told, result, streaming


def data_of(told: list[tuple[str, Any]], name: str) -> list[Any]:
    return [data for event, data in told if event == name]


async def test_level_retrieve_tells_its_plan_and_its_choice() -> None:
    told, result, streaming = await tell("Who lit the lamp?", "retrieve")

    assert [name for name, _ in told] == ["analysis", "retrieved"]
    [analysis], [retrieved] = data_of(told, "analysis"), data_of(told, "retrieved")
    assert analysis == {"question": "Who lit the lamp?", "queries": ["Who lit the lamp?"], "keywords": []}
    assert retrieved["passages"] > 0
    assert 0 < retrieved["tokens"] <= LongContextConfig().evidence_tokens
    assert "answer" in streaming
    assert result["found"]


async def test_level_read_tells_each_reading_and_each_find() -> None:
    told, result, _ = await tell("Who lit the lamp?", "read", coverage="full", concurrency=4)

    outcomes = Counter(data["outcome"] for data in data_of(told, "chunk_read"))
    assert outcomes == {"relevant": 1, "failed": 1, "irrelevant": PAGES - 2}
    assert len({data["chunk_id"] for data in data_of(told, "chunk_read")}) == PAGES
    [find] = data_of(told, "evidence_found")
    assert find == {
        "chunk_id": result["citations"][0]["chunk_id"],
        "source": NOTEBOOK,
        "page": 6,
        "quotes": [LIT],
    }
    names = [name for name, _ in told]
    assert (names[0], names[-1]) == ("analysis", "retrieved")


async def test_level_reason_tells_each_hop_as_it_is_reported_in_the_end() -> None:
    told, result, _ = await tell(QUESTION, "reason", max_hops=2, max_readings=2)

    assert data_of(told, "hop") == result["steps"]
    assert [hop["found"] for hop in data_of(told, "hop")] == [True, True]


async def test_level_auto_tells_all_of_it_in_order() -> None:
    told, result, _ = await tell(QUESTION, "auto")

    assert [name for name, _ in told] == ["analysis", "retrieved"]
    assert data_of(told, "analysis")[0]["question"] == result["question"]


@pytest.mark.parametrize("level", ["retrieve", "read", "reason", "auto"])
async def test_a_run_that_nobody_listens_to_is_the_same(level: Level) -> None:
    _, result, _ = await tell(QUESTION, level, max_readings=2)
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, max_readings=2)
    model = RuleChatModel(respond=expert({**FACTS, QUESTION: (BORN, "Hexham")}, **STEPS))
    qa = create_long_context_qa(model=model, documents=notebook(PAGES, {5: LIT, 25: BORN}), config=config)

    unheard = qa.invoke({"question": QUESTION, "level": level})

    assert (unheard["answer"], unheard["citations"]) == (result["answer"], result["citations"])


def test_outside_of_a_run_there_is_nobody_to_tell() -> None:
    emit("hop", {"question": "Who?", "answer": "Ada", "found": True})
