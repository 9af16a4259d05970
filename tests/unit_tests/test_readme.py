from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from scripted import ScriptedChatModel

from langchain_qwen_longctx import LongContextConfig, QAOutput, build_graph, cli, console
from langchain_qwen_longctx.graphs.lookup import build_lookup_graph
from langchain_qwen_longctx.graphs.reading import build_reading_graph
from langchain_qwen_longctx.graphs.reasoning import build_reasoning_graph
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.graphs.retrieval import build_retrieval_graph

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [Document("Ada Brook took the chair.")]


def test_its_pictures_have_every_node_of_the_graphs() -> None:
    pictures = " ".join(re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL))
    resources = gather_resources(ScriptedChatModel(), DOCUMENTS, None, None)
    graphs: list[StateGraph[Any, None, Any, Any]] = [
        build_graph(model=ScriptedChatModel(), documents=DOCUMENTS),
        build_retrieval_graph(resources),
        build_reading_graph(resources),
        build_lookup_graph(resources),
        build_reasoning_graph(resources),
    ]

    assert {node for graph in graphs for node in graph.nodes} <= set(re.findall(r"[a-z_]+", pictures))


def test_it_names_every_key_of_the_output() -> None:
    assert [key for key in QAOutput.__annotations__ if f"`{key}`" not in README] == []


@pytest.mark.parametrize(
    "name", ["context_window", "evidence_tokens", "concurrency", "patience", "max_readings", "max_hops"]
)
def test_it_gives_the_defaults_there_are(name: str) -> None:
    default = {field.name: field.default for field in fields(LongContextConfig)}[name]

    assert f"{name}={default}," in README


def test_it_names_every_command_and_exit_code() -> None:
    named = {**vars(cli), **vars(console)}
    codes = {value for name, value in named.items() if name.startswith("EXIT_") and name != "EXIT_INTERNAL"}

    assert [command for command in cli.cli.commands if f"qwen-longctx {command}" not in README] == []
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} >= codes
