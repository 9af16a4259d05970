from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from langchain_core.documents import Document
from scripted import ScriptedChatModel

from langchain_qwen_longctx import LongContextConfig, QAOutput, build_graph, cli
from langchain_qwen_longctx.graphs.long_context_qa import gather_resources
from langchain_qwen_longctx.graphs.retrieval import build_retrieval_graph

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [Document("Ada Brook took the chair.")]


def test_its_picture_has_every_node_of_the_graph() -> None:
    picture = re.search(r"```mermaid\n(.*?)```", README, re.DOTALL)
    graph = build_graph(model=ScriptedChatModel(), documents=DOCUMENTS)
    search = build_retrieval_graph(gather_resources(ScriptedChatModel(), DOCUMENTS, None, None))

    assert picture
    assert set(graph.nodes) | set(search.nodes) <= set(re.findall(r"[a-z]+", picture.group(1)))


def test_it_names_every_key_of_the_output() -> None:
    assert [key for key in QAOutput.__annotations__ if f"`{key}`" not in README] == []


@pytest.mark.parametrize("name", ["context_window", "chunk_tokens", "answer_tokens", "evidence_tokens"])
def test_it_gives_the_defaults_there_are(name: str) -> None:
    default = {field.name: field.default for field in fields(LongContextConfig)}[name]

    assert f"{name}={default}," in README


def test_it_names_every_command_and_exit_code() -> None:
    codes = {value for name, value in vars(cli).items() if name.startswith("EXIT_") and name != "EXIT_INTERNAL"}

    assert [command for command in cli.cli.commands if f"qwen-longctx {command}" not in README] == []
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} >= codes
