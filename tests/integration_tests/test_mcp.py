"""A client of the Model Context Protocol that starts the command itself, and a real model behind it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from mcp import Client, StdioServerParameters

from langchain_qwen_longctx import load_documents, source_text

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.client.session import IncomingMessage


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("harbour_town.md", "Who chaired the Stannock Light Trust in 2019?", "Rosalind Thackwell"),
        ("harbour_town.md", "2019年谁担任Stannock Light Trust的主席？", "Rosalind Thackwell"),
        ("桥镇纪事.md", "主持修造望月桥的石匠叫什么名字？", "鲁守砚"),
    ],
    ids=["en", "across languages", "zh"],
)
async def test_a_question_is_answered_over_standard_input_and_output(
    embedded_model: str, demo_documents: Path, name: str, question: str, answer: str
) -> None:
    path = demo_documents / name
    command = ["-m", "langchain_qwen_longctx", "mcp", "--model", embedded_model, "--no-cache", str(path)]
    strays: list[IncomingMessage] = []
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async def keep(message: IncomingMessage) -> None:
        strays.append(message)

    asked = {"question": question, "level": "retrieve"}
    async with Client(StdioServerParameters(command=sys.executable, args=command), message_handler=keep) as client:
        result = await client.call_tool("ask_documents", asked, progress_callback=note)
        refused = await client.call_tool("ask_documents", {"question": ""})

    output = result.structured_content
    assert output, result.content
    assert output["found"]
    assert answer in output["answer"]
    text = source_text(load_documents(path), str(path))
    assert all(text[cited["start"] : cited["end"]] == cited["quote"] for cited in output["citations"])
    assert any(answer in cited["quote"] for cited in output["citations"])
    assert told[0] == "Working out what to search for"
    assert refused.is_error
    assert not any(isinstance(message, Exception) for message in strays)
