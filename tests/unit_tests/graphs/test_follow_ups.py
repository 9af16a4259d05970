"""Questions that refer to what was said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from notebook import diary, notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.graphs.long_context_qa import recent
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.schemas import QAInput, QAOutput

LIT = "The lamp was lit by Rosalind Thackwell."
BORN = "Rosalind Thackwell was born at Hexham."
FACTS = {"lit the lamp": (LIT, "Rosalind Thackwell"), "Thackwell born": (BORN, "Hexham")}
FOLLOW_UP, STANDALONE = "And where was she born?", "Where was Rosalind Thackwell born?"
HISTORY: list[AnyMessage] = [HumanMessage("Who lit the lamp?"), AIMessage("Rosalind Thackwell [1]")]
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)


def qa_of(model: RuleChatModel, **options: Any) -> Runnable[QAInput, QAOutput]:
    defaults = {"documents": notebook(80, {5: LIT, 70: BORN}), "config": CONFIG}
    return create_long_context_qa(model=model, **{**defaults, **options})


def sent(model: RuleChatModel, prompt: str) -> list[str]:
    return [messages[-1].text for messages in model.history if prompt_of(messages) == prompt]


def test_a_follow_up_is_made_to_stand_on_its_own_and_reported_as_asked() -> None:
    model = RuleChatModel(respond=expert(FACTS, standalone=f"{STANDALONE}\nBecause she was mentioned before."))

    result = qa_of(model).invoke({"question": FOLLOW_UP, "level": "retrieve", "history": HISTORY})

    assert sent(model, "STANDALONE") == [
        f"User: Who lit the lamp?\nAssistant: Rosalind Thackwell\n\nLast question: {FOLLOW_UP}"
    ]
    assert sent(model, "ANALYZE") == [f"Question: {STANDALONE}"]
    assert (result["question"], result["answer"]) == (FOLLOW_UP, "Hexham [1]")
    assert result["usage"]["model_calls"] == model.calls == 3


def test_a_chinese_follow_up() -> None:
    lit, born = "灯是沈若兰点的。", "沈若兰生于东栅。"
    pages = diary(80, {5: lit, 70: born})
    model = RuleChatModel(respond=expert({"沈若兰生于": (born, "东栅")}, standalone="沈若兰生于哪里？"))
    history: list[AnyMessage] = [HumanMessage("灯是谁点的？"), AIMessage("沈若兰 [1]")]

    result = qa_of(model, documents=pages).invoke(
        {"question": "那她生于哪里？", "level": "retrieve", "history": history}
    )

    assert (result["question"], result["answer"]) == ("那她生于哪里？", "东栅 [1]")
    assert [citation["quote"] for citation in result["citations"]] == [born]


@pytest.mark.parametrize("reply", ["", " \n\n"])
def test_without_a_rewritten_question_the_one_asked_is_taken(reply: str) -> None:
    model = RuleChatModel(respond=expert(FACTS, standalone=reply))

    qa_of(model).invoke({"question": FOLLOW_UP, "level": "retrieve", "history": HISTORY})

    assert sent(model, "ANALYZE") == [f"Question: {FOLLOW_UP}"]


def test_a_first_question_is_left_as_it_is() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    qa_of(model).invoke({"question": "Who lit the lamp?", "level": "retrieve", "history": []})

    assert model.prompts["STANDALONE"] == 0


def test_messages_may_come_as_a_server_receives_them() -> None:
    model = RuleChatModel(respond=expert(FACTS, standalone=STANDALONE))
    history: Any = [{"role": "user", "content": "Who lit the lamp?"}, ("ai", "Rosalind Thackwell")]

    qa_of(model).invoke({"question": FOLLOW_UP, "level": "retrieve", "history": history})

    assert sent(model, "STANDALONE")[0].startswith("User: Who lit the lamp?\nAssistant: Rosalind Thackwell\n")


def test_without_an_allowance_the_question_is_taken_as_it_is() -> None:
    model = RuleChatModel(respond=expert(FACTS))
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, max_model_calls=1)

    result = qa_of(model, config=config).invoke(
        {"question": "Who lit the lamp?", "level": "retrieve", "history": HISTORY}
    )

    assert model.prompts == {"ANSWER": 1}
    assert (result["found"], result["stopped"]) == (True, "budget")


def test_a_thread_does_not_inherit_history_or_level() -> None:
    model = RuleChatModel(respond=expert(FACTS, standalone=STANDALONE))
    qa, thread = qa_of(model, checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
    qa.invoke({"question": FOLLOW_UP, "level": "retrieve", "history": HISTORY}, thread)  # type: ignore[arg-type]
    before = model.prompts

    result = qa.invoke({"question": "Who lit the lamp?"}, thread)  # type: ignore[arg-type]

    assert (model.prompts - before)["STANDALONE"] == 0
    assert (model.prompts - before)["ANALYZE"] == 1
    assert result["answer"] == "Rosalind Thackwell [1]"


@given(said=st.lists(st.text(alphabet="ab桥 [1]\n", max_size=60), max_size=8), room=st.integers(0, 120))
def test_the_latest_messages_that_fit_are_told(said: list[str], room: int) -> None:
    history: list[AnyMessage] = [AIMessage(text) if n % 2 else HumanMessage(text) for n, text in enumerate(said)]

    lines = recent(history, room).splitlines()

    assert sum(map(count_tokens, lines)) <= room
    assert lines == recent(history, 10**6).splitlines()[len(history) - len(lines) :]
    assert "[1]" not in "".join(lines)
