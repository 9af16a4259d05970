"""Level 1 with real models, over the demo documents and, where they are, the evaluation questions."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_ollama import ChatOllama

from langchain_qwen_longctx import (
    BilingualBM25Retriever,
    LongContextConfig,
    QwenTextSplitter,
    create_chat_model,
    create_long_context_qa,
    load_documents,
    source_text,
)
from langchain_qwen_longctx.chat_models import ask
from langchain_qwen_longctx.errors import PromptTruncatedError

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel

FAST = LongContextConfig(evidence_tokens=1500)


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("harbour_town.md", "Who chaired the Stannock Light Trust in 2019?", "Rosalind Thackwell"),
        ("桥镇纪事.md", "主持修造望月桥的石匠叫什么名字？", "鲁守砚"),
    ],
)
def test_a_question_over_a_demo_document_is_answered_with_a_verbatim_citation(
    real_model: BaseChatModel, demo_documents: Path, name: str, question: str, answer: str
) -> None:
    documents = load_documents(demo_documents / name)

    result = create_long_context_qa(model=real_model, documents=documents, config=FAST).invoke(
        {"question": question, "level": "retrieve"}
    )

    assert result["found"]
    assert answer in result["answer"]
    assert any(answer in citation["quote"] for citation in result["citations"])
    for citation in result["citations"]:
        text = source_text(documents, citation["source"])
        assert text[citation["start"] : citation["end"]] == citation["quote"]


@pytest.mark.ollama
def test_a_chinese_question_finds_its_passage_in_an_english_document(ollama_model: str, demo_documents: Path) -> None:
    documents = load_documents(demo_documents / "harbour_town.md")
    qa = create_long_context_qa(model=create_chat_model(ollama_model), documents=documents, config=FAST)

    result = qa.invoke({"level": "retrieve", "question": "2019年谁担任Stannock Light Trust的主席？"})

    assert "Rosalind Thackwell" in result["answer"]
    assert any("Rosalind Thackwell" in citation["quote"] for citation in result["citations"])


@pytest.mark.ollama
def test_the_shell_answers_on_stdout_and_talks_on_stderr(ollama_model: str, tmp_path: Path) -> None:
    (tmp_path / "minutes.txt").write_bytes(b"The board met in May.\r\nAda Brook took the chair in 2019.\r\n")
    command = [sys.executable, "-m", "langchain_qwen_longctx", "ask", "--json", "--no-cache", "--model", ollama_model]

    run = subprocess.run(  # noqa: S603 - our own command
        [*command, "Who took the chair in 2019?", str(tmp_path)], capture_output=True, text=True, check=False
    )

    result = json.loads(run.stdout)
    assert (run.returncode, result["found"]) == (0, True), run.stderr
    assert result["citations"][0]["quote"] == "Ada Brook took the chair in 2019."
    assert run.stderr.startswith(f"Model: {ollama_model}\n")


@pytest.mark.ollama
def test_a_prompt_that_the_server_cuts_is_noticed(ollama_model: str) -> None:
    model = ChatOllama(model=ollama_model.removeprefix("ollama:"), num_ctx=512, num_predict=8, temperature=0)
    prompt = ChatPromptTemplate([("human", "{text}\nWhich animal is it?")])
    config = LongContextConfig(context_window=2048, chunk_tokens=64, answer_tokens=64)

    with pytest.raises(PromptTruncatedError, match="the server cut the prompt"):
        ask(model, prompt, {"text": "The quick brown fox. " * 200}, config=config)


def test_the_question_alone_finds_the_gold_chunk_in_the_documents_language(longqa: Path) -> None:
    with (longqa / "cases.jsonl").open(encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    cases = [case for case in cases if case["length"] == "128k" and case["kind"] in {"single", "needle"}]
    retrievers = {name: index(longqa / name) for name in {case["document"] for case in cases}}

    found = [is_found(case, retrievers[case["document"]].invoke(case["question"], k=12)) for case in cases]

    assert sum(found) >= 0.97 * len(found)


def index(path: Path) -> BilingualBM25Retriever:
    return BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents(load_documents(path)))


def is_found(case: dict[str, list[dict[str, int]]], chunks: list[Document]) -> bool:
    gold = case["evidence"][-1]
    return any(chunk.metadata["start"] < gold["end"] and chunk.metadata["end"] > gold["start"] for chunk in chunks)
