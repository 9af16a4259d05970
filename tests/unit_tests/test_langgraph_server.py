"""The graph of a LangGraph server, made of what the environment says."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from command_line import BIRTH_QUESTION, EXPERT, NOWHERE, TOWN_QUESTION, Shell, take
from langgraph.graph.state import CompiledStateGraph
from scripted import RuleChatModel

from langchain_qwen_longctx import build_graph, chat_models
from langchain_qwen_longctx.errors import DocumentNotFoundError, InputError
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.langgraph_server import make_graph, open_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECIFICATION = Path(__file__).parents[2] / "langgraph.json"


@pytest.fixture(autouse=True)
def _environment(shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name the documents in an environment that the fixture `shell` has emptied."""
    monkeypatch.setenv("QWEN_LONGCTX_DOCUMENTS", str(town))
    open_graph.cache_clear()
    yield
    open_graph.cache_clear()


async def test_langgraph_json_names_a_factory_of_the_graph(reader: RuleChatModel) -> None:
    graphs = json.loads(SPECIFICATION.read_text("utf-8"))["graphs"]
    module, _, name = graphs["long_context_qa"]["path"].partition(":")

    factory = getattr(importlib.import_module(module), name)

    assert not inspect.signature(factory).parameters
    assert isinstance(await factory(), CompiledStateGraph)


async def test_it_is_the_graph_of_build_graph(reader: RuleChatModel, town: Path) -> None:
    retriever, _ = open_index([town], cache_dir=None)
    plain = build_graph(model=reader, retriever=retriever).compile()

    graph = await make_graph()

    assert graph.get_graph(xray=True).draw_mermaid() == plain.get_graph(xray=True).draw_mermaid()
    assert graph.get_input_jsonschema() == plain.get_input_jsonschema()
    assert graph.get_output_jsonschema() == plain.get_output_jsonschema()
    assert graph.name == "long_context_qa"


async def test_it_answers_from_all_of_the_documents(
    reader: RuleChatModel, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other notes.txt"
    other.write_text("The pier was painted green.")
    monkeypatch.setenv("QWEN_LONGCTX_DOCUMENTS", os.pathsep.join([str(other), "", str(town)]))

    result = await (await make_graph()).ainvoke({"question": TOWN_QUESTION, "level": "retrieve"})

    assert (result["answer"], result["citations"][0]["source"]) == ("毛一清 [1]", str(town))


async def test_what_the_shell_has_asked_is_known_here(reader: RuleChatModel, town: Path, shell: Shell) -> None:
    shell("ask", TOWN_QUESTION, town)
    calls = reader.calls

    known = await (await make_graph()).ainvoke({"question": TOWN_QUESTION, "level": "retrieve"})

    assert known["found"]
    assert reader.calls == calls > 0


async def test_what_was_asked_here_is_known_to_the_shell(reader: RuleChatModel, town: Path, shell: Shell) -> None:
    await (await make_graph()).ainvoke({"question": BIRTH_QUESTION, "level": "retrieve"})

    result = shell("ask", BIRTH_QUESTION, town)

    assert "(1 unchanged)" in result.err
    assert " 0 model calls" in result.err


async def test_the_model_is_made_as_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def create(name: str, **options: Any) -> RuleChatModel:
        asked.update(options, name=name)
        return RuleChatModel(respond=EXPERT)

    monkeypatch.setattr(chat_models, "create_chat_model", create)
    monkeypatch.setenv("QWEN_LONGCTX_MODEL", "openai:qwen")
    monkeypatch.setenv("QWEN_LONGCTX_BASE_URL", NOWHERE)
    monkeypatch.setenv("QWEN_LONGCTX_API_KEY", "secret")
    monkeypatch.setenv("QWEN_LONGCTX_CONTEXT_WINDOW", "2048")
    monkeypatch.setenv("QWEN_LONGCTX_CACHE_DIR", str(tmp_path / "kept"))

    await make_graph()

    assert asked == {
        "name": "openai:qwen",
        "base_url": NOWHERE,
        "api_key": "secret",
        "context_window": 2048,
        "answer_tokens": 512,
        "cache_dir": tmp_path / "kept",
    }
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"index", "replies"}


@pytest.mark.parametrize("paths", ["", os.pathsep])
async def test_without_documents_the_error_names_the_variable(paths: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_DOCUMENTS", paths)

    with pytest.raises(InputError, match="QWEN_LONGCTX_DOCUMENTS is not set; name files or folders"):
        await make_graph()


@pytest.mark.parametrize("window", ["8k", "-1", "²"])
async def test_a_context_window_that_is_no_number_is_an_error_that_shows_it(
    window: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_CONTEXT_WINDOW", window)

    with pytest.raises(InputError, match=f"QWEN_LONGCTX_CONTEXT_WINDOW is '{window}'; it must be a number of tokens"):
        await make_graph()


async def test_after_an_error_it_can_still_be_made(
    reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_DOCUMENTS", f"{town}.missing")
    with pytest.raises(DocumentNotFoundError):
        await make_graph()
    monkeypatch.setenv("QWEN_LONGCTX_DOCUMENTS", str(town))

    assert await make_graph()


async def test_asked_for_by_many_at_once_it_is_made_once_beside_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, made, begun, go_on = take(RuleChatModel(respond=EXPERT), monkeypatch), [], Event(), Event()

    def create(name: str, **_: Any) -> RuleChatModel:
        made.append(name)
        begun.set()
        assert go_on.wait(10), "the event loop waits for the model"
        return model

    monkeypatch.setattr(chat_models, "create_chat_model", create)
    asking = asyncio.gather(*(make_graph() for _ in range(4)))
    await asyncio.to_thread(begun.wait, 10)

    go_on.set()
    first, *others = await asking

    assert made == ["ollama:scripted-qwen"]
    assert all(graph is first for graph in others)
