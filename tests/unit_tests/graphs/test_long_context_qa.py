from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from scripted import ScriptedChatModel

from langchain_qwen_longctx import (
    LongContextConfig,
    build_graph,
    create_long_context_qa,
    source_text,
)
from langchain_qwen_longctx.errors import InputError, ModelResponseError, QuestionTooLongError
from langchain_qwen_longctx.schemas import QAOutput

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable
    from syrupy.assertion import SnapshotAssertion

FACT = "In 2019 the chair of the trust was Rosalind Thackwell."
FILLER = "The harbour wall was painted again, and the gulls came back to the old pier as they do every spring. "
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=512)


def document(*, filler: int = 200, newline: str = "\n") -> Document:
    half = newline.join([FILLER * 3] * (filler // 6))
    return Document(f"{half}{newline}{FACT}{newline}{half}", metadata={"source": "minutes.txt"})


def plan(question: str = "Who was the chair?", chinese: str = "谁是主席？", **fields: Any) -> str:
    keywords = {"keywords_en": ["chair", "trust"], "keywords_zh": ["主席"]}
    return json.dumps({"question_en": question, "question_zh": chinese, **keywords} | fields)


def test_an_answer_comes_with_its_citation_and_its_cost() -> None:
    minutes = document()
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")

    result = create_long_context_qa(model=model, documents=[minutes], config=CONFIG).invoke(
        {"question": "Who was the chair of the trust in 2019?", "level": "retrieve"}
    )

    [citation] = result["citations"]
    assert (result["answer"], result["found"], result["level"]) == ("Rosalind Thackwell [1]", True, "retrieve")
    assert citation["quote"] == FACT == source_text([minutes], "minutes.txt")[citation["start"] : citation["end"]]
    assert result["usage"]["model_calls"] == 2
    assert (
        result["coverage"]["chunks_read"] + result["coverage"]["chunks_skipped"] == result["coverage"]["chunks_total"]
    )


def test_the_output_has_the_keys_of_the_contract_and_is_json() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")

    result = create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": "Who?", "level": "retrieve"}
    )

    assert set(result) == QAOutput.__annotations__.keys()
    assert json.loads(json.dumps(result)) == result


def test_the_prompt_never_exceeds_the_window() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")

    result = create_long_context_qa(model=model, documents=[document(filler=2000)], config=CONFIG).invoke(
        {"question": "What about the harbour, the gulls and the chair?", "level": "retrieve"}
    )

    assert result["usage"]["input_tokens"] < 2 * CONFIG.context_window
    assert result["coverage"]["chunks_read"] < result["coverage"]["chunks_total"]


def test_long_names_of_many_sources_are_counted_before_the_window_is_filled() -> None:
    names = [f"{'/very/deep/folder' * 12}/minutes-{number}.txt" for number in range(40)]
    documents = [Document(FILLER * 4, metadata={"source": name}) for name in names]
    model = ScriptedChatModel().enqueue(plan(), "NOT FOUND")
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=512, evidence_tokens=None)

    result = create_long_context_qa(model=model, documents=documents, config=config).invoke(
        {"question": "When was the harbour wall painted?", "level": "retrieve"}
    )

    assert result["coverage"]["chunks_read"] > 1


def test_a_question_in_the_documents_language_is_not() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")

    create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": "Who was the chair?", "level": "retrieve"}
    )

    assert len(model.history) == 2


def test_a_plan_that_cannot_be_read_leaves_the_question_as_the_query() -> None:
    model = ScriptedChatModel().enqueue("no json", "none at all", "Rosalind Thackwell [1]")

    result = create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": "Who was the chair of the trust in 2019?", "level": "retrieve"}
    )

    assert result["citations"][0]["quote"] == FACT
    assert result["usage"]["model_calls"] == 3


def test_little_evidence_is_no_reason_to_refuse_a_question() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=512, evidence_tokens=100)

    result = create_long_context_qa(model=model, documents=[document()], config=config).invoke(
        {"question": "Who was the chair of the trust in 2019?", "level": "retrieve"}
    )

    assert result["usage"]["input_tokens"] < 600


def test_the_instruction_reaches_the_answers_prompt_but_not_the_query() -> None:
    question = "Who was the chair of the trust? Answer in one word."
    model = ScriptedChatModel().enqueue(plan("Who was the chair of the trust?"), "Thackwell [1]")

    create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": question, "level": "retrieve"}
    )

    assert model.history[1][-1].text.endswith(f"Question: {question}\nHow to answer: Answer in one word.")


def test_what_shares_no_word_with_the_documents_is_declined_without_asking() -> None:
    model = ScriptedChatModel().enqueue(plan("Xylophone?", "木琴？", keywords_en=["xylophone"], keywords_zh=["木琴"]))

    result = create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": "Xylophone?", "level": "retrieve"}
    )

    assert (result["found"], result["answer"]) == (False, "The documents do not answer this question.")
    assert (result["citations"], result["coverage"]["chunks_read"], len(model.history)) == ([], 0, 1)


def test_documents_that_fit_as_a_whole_are_read_as_a_whole() -> None:
    model = ScriptedChatModel().enqueue(plan("Xylophone?", "木琴？"), "Where is the xylophone?", "NOT FOUND")

    result = create_long_context_qa(
        model=model, documents=[Document(FACT, metadata={"source": "a.txt"})], config=CONFIG
    ).invoke({"question": "木琴在哪里？", "level": "retrieve"})

    assert (result["coverage"]["chunks_read"], result["found"]) == (1, False)
    assert result["answer"] == "文档中没有这个问题的答案。"


def test_an_answer_that_no_passage_supports_is_not_passed_off_as_found() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Napoleon Bonaparte")

    result = create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
        {"question": "Who?", "level": "retrieve"}
    )

    assert (result["answer"], result["found"], result["citations"]) == ("Napoleon Bonaparte", False, [])


def test_windows_newlines_keep_their_offsets() -> None:
    minutes = document(newline="\r\n")
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")

    result = create_long_context_qa(model=model, documents=[minutes], config=CONFIG).invoke(
        {"question": "Who was the chair of the trust in 2019?", "level": "retrieve"}
    )

    [citation] = result["citations"]
    assert minutes.page_content[citation["start"] : citation["end"]] == citation["quote"] == FACT


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answer=st.text(alphabet="Rosalind Thackwell 2019 [1234]。\n", max_size=80))
def test_every_citation_is_verbatim_whatever_the_model_writes(answer: str) -> None:
    minutes = document(filler=30)
    model = ScriptedChatModel().enqueue(plan(), answer, "No passage says so.")  # what is empty is asked for again

    result = create_long_context_qa(model=model, documents=[minutes], config=CONFIG).invoke(
        {"question": "Who?", "level": "retrieve"}
    )

    for citation in result["citations"]:
        assert minutes.page_content[citation["start"] : citation["end"]] == citation["quote"]
    assert result["found"] is bool(result["citations"])


def test_a_model_that_says_nothing_is_not_taken_to_have_found_nothing() -> None:
    model = ScriptedChatModel().enqueue(plan(), "", "")

    with pytest.raises(ModelResponseError, match="scripted-qwen answers with nothing; look at its server's log"):
        create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke(
            {"question": "Who?", "level": "retrieve"}
        )


@pytest.mark.parametrize("question", ["", "  \n", "\u3000", None])
def test_a_question_that_asks_nothing_is_refused_before_any_call(question: str) -> None:
    model = ScriptedChatModel()

    with pytest.raises(InputError, match="ask something"):
        create_long_context_qa(model=model, documents=[document()], config=CONFIG).invoke({"question": question})

    assert model.history == []


def test_a_question_longer_than_the_window_is_refused_with_the_length_that_would_fit() -> None:
    qa = create_long_context_qa(model=ScriptedChatModel(), documents=[document()], config=CONFIG)

    with pytest.raises(QuestionTooLongError, match=r"has 2\d\d\d tokens .* shorten it to 6\d\d tokens"):
        qa.invoke({"question": "why " * 2500})


def test_an_unknown_level_is_refused_with_the_levels_there_are() -> None:
    qa = create_long_context_qa(model=ScriptedChatModel(), documents=[document()], config=CONFIG)

    with pytest.raises(InputError, match="auto, retrieve"):
        qa.invoke({"question": "Who?", "level": "guess"})  # type: ignore[typeddict-item]


def test_a_thread_counts_each_question_for_itself() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]", plan(), "Rosalind Thackwell [1]")
    qa = create_long_context_qa(model=model, documents=[document()], config=CONFIG, checkpointer=InMemorySaver())

    results = [
        qa.invoke({"question": "Who?", "level": "retrieve"}, {"configurable": {"thread_id": "1"}}) for _ in range(2)
    ]

    assert [result["usage"]["model_calls"] for result in results] == [2, 2]


def test_the_state_holds_ids_and_no_text_of_the_documents() -> None:
    model = ScriptedChatModel().enqueue(plan(), "NOT FOUND")
    saver = InMemorySaver()
    qa = create_long_context_qa(model=model, documents=[document()], config=CONFIG, checkpointer=saver)

    qa.invoke({"question": "Who?", "level": "retrieve"}, {"configurable": {"thread_id": "1"}})

    assert "harbour wall" not in str(list(saver.list(None)))


async def test_it_runs_asynchronously_and_streams_events() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]", plan(), "Rosalind Thackwell [1]")
    qa = create_long_context_qa(model=model, documents=[document()], config=CONFIG)

    result = await qa.ainvoke({"question": "Who?", "level": "retrieve"})
    names = {
        event["name"] async for event in qa.astream_events({"question": "Who?", "level": "retrieve"}, version="v2")
    }

    assert result["found"]
    assert {"long_context_qa", "analyze", "search", "answer", "cite"} <= names


def test_it_runs_in_a_chain_and_in_batches() -> None:
    model = ScriptedChatModel().enqueue(*[plan(), "Rosalind Thackwell [1]"] * 3)
    qa = create_long_context_qa(model=model, documents=[document()], config=CONFIG)

    ask: Runnable[str, Any] = RunnableLambda(lambda text: {"question": text, "level": "retrieve"})
    chain = ask | qa | (lambda result: result["answer"])

    assert chain.invoke("Who?") == "Rosalind Thackwell [1]"
    assert [r["found"] for r in qa.batch([{"question": "Who?", "level": "retrieve"}] * 2, {"max_concurrency": 1})] == [
        True,
        True,
    ]


@pytest.mark.filterwarnings("ignore:This API is in beta")  # as_tool, in LangChain
def test_it_serves_as_a_tool_with_the_questions_schema() -> None:
    model = ScriptedChatModel().enqueue(plan(), "Rosalind Thackwell [1]")
    qa = create_long_context_qa(model=model, documents=[document()], config=CONFIG)

    tool = qa.as_tool(name="ask_minutes", description="Answers questions about the minutes.")

    assert set(tool.args) == {"question", "level", "history"}
    assert tool.invoke({"question": "Who?", "level": "retrieve"})["found"]


def test_the_graph_draws_itself(snapshot: SnapshotAssertion) -> None:
    graph = build_graph(model=ScriptedChatModel(), documents=[document()], config=CONFIG).compile()

    assert graph.get_graph(xray=True).draw_mermaid() == snapshot
