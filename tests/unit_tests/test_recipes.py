"""The recipes of the cookbook, with a model that makes no mistakes in the place of a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from as_a_tool import build_agent
from in_a_batch import QUESTIONS, ask_all
from in_a_chain import CHRONICLE, build_chain
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.types import Command
from scripted import RuleChatModel, expert
from with_a_trace import ask_traced, drawn
from with_approval import build_office
from with_vectors import LetterTriples, build_qa

from langchain_qwen_longctx import BilingualBM25Retriever

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.messages import BaseMessage

QUESTION = QUESTIONS[0]
ANSWER = "Rosalind Thackwell [1]"
HEADLINE = "Thackwell takes the chair"
CHAIRED = "In 2019 the chair was held by Rosalind Thackwell, the veterinary surgeon"
KNOWS = expert(
    {
        "Trust in 2019": (CHAIRED, "Rosalind Thackwell"),
        "gallery roof": ("The re-leading of the gallery roof, carried out by Messrs Cobb and Daughter", "£18,460"),
        "living things": ("They found 61 kinds of living things", "61"),
    }
)


class CallingModel(GenericFakeChatModel):
    """Says one message after the other, some of which call tools."""

    def bind_tools(self, tools: object, **kwargs: Any) -> CallingModel:
        return self


@pytest.fixture
def model() -> RuleChatModel:
    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return HEADLINE if "headline" in messages[-1].text else KNOWS(messages)

    return RuleChatModel(respond=respond)


def test_in_a_chain_the_answer_goes_into_the_next_prompt_and_keeps_its_citations(model: RuleChatModel) -> None:
    story = build_chain(model).invoke(QUESTION)

    assert model.history[-1][-1].text.endswith(f"for this: {ANSWER}")
    assert story["headline"] == HEADLINE
    assert story["citations"][0]["quote"].startswith(CHAIRED)


def test_as_a_tool_an_agent_reads_the_answer_and_the_program_all_that_backs_it(model: RuleChatModel) -> None:
    call = AIMessage("", tool_calls=[{"name": "look_up", "args": {"question": QUESTION}, "id": "1"}])
    agent_model = CallingModel(messages=iter([call, AIMessage("It was Rosalind Thackwell.")]))

    said = build_agent(agent_model, model).invoke({"messages": [("human", QUESTION)]})["messages"]

    found = next(message for message in said if isinstance(message, ToolMessage))
    assert found.content == ANSWER
    assert found.artifact["citations"][0]["quote"].startswith(CHAIRED)
    assert said[-1].content == "It was Rosalind Thackwell."


@pytest.mark.parametrize(("is_right", "reply"), [(True, ANSWER), (False, "We are looking into it.")])
def test_with_approval_nothing_is_sent_before_and_nothing_asked_again_after(
    model: RuleChatModel, is_right: bool, reply: str
) -> None:
    office, thread = build_office(model), RunnableConfig(configurable={"thread_id": "1"})

    halted = office.invoke({"question": QUESTION}, thread)
    calls = model.calls
    sent = office.invoke(Command(resume=is_right), thread)

    (shown,) = halted["__interrupt__"]
    assert shown.value["answer"] == ANSWER
    assert shown.value["quotes"][0].startswith(CHAIRED)
    assert "reply" not in halted
    assert (sent["reply"], model.calls) == (reply, calls)


def test_with_vectors_an_answer_is_cited_as_ever(model: RuleChatModel) -> None:
    result = build_qa(model, LetterTriples()).invoke({"question": QUESTION})

    (citation,) = result["citations"]
    assert result["answer"] == ANSWER
    assert CHRONICLE.read_text("utf-8")[citation["start"] : citation["end"]] == citation["quote"]


def test_with_vectors_a_misspelt_name_is_found_that_words_do_not_find() -> None:
    documents = [Document("Zara Finch took the chair."), Document("Rosalind Thackwell declined to stand.")]
    vectors = InMemoryVectorStore.from_documents(documents, LetterTriples())

    found = vectors.similarity_search("Rosalynd Thakwel", k=1)

    assert found[0].page_content == documents[1].page_content
    assert BilingualBM25Retriever.from_documents(documents).invoke("Rosalynd Thakwel") == []


def test_in_a_batch_answers_keep_the_order_of_their_questions(model: RuleChatModel, tmp_path: Path) -> None:
    answers = [result["answer"] for result in ask_all(model, QUESTIONS, tmp_path)]

    assert answers == [ANSWER, "£18,460 [1]", "61 [1]"]


def test_in_a_batch_what_was_asked_before_costs_nothing(model: RuleChatModel, tmp_path: Path) -> None:
    ask_all(model, QUESTIONS[:2], tmp_path)

    results = ask_all(model, QUESTIONS, tmp_path)

    assert [result["usage"]["model_calls"] > 0 for result in results] == [False, False, True]


def test_with_a_trace_the_calls_of_the_model_are_lines_of_a_tree(model: RuleChatModel) -> None:
    result, trace = ask_traced(model, QUESTION, "demo")

    lines = list(drawn(trace))
    assert result["answer"] == ANSWER
    assert lines[0].endswith(" s  chronicle (chain)")
    assert [line.split()[-2] for line in lines if line.endswith("(llm)")] == ["analyze", "answer"]
    assert trace.tags == ["demo"]
