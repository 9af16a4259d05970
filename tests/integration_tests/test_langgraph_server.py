"""A LangGraph server, started by langgraph.json with a real model behind it, and LangGraph's own client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from langgraph_sdk import get_sync_client

from langchain_qwen_longctx.model_files import ensure_model_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langgraph_sdk.client import SyncLangGraphClient

pytest.importorskip("langgraph_api", reason='needs the server: pip install "langchain-qwen-longctx[langgraph-server]"')
pytestmark = pytest.mark.embedded

SPECIFICATION: Final = Path(__file__).parents[2] / "langgraph.json"
GRAPH: Final = "long_context_qa"
QUESTION: Final = {"question": "Who chaired the Stannock Light Trust in 2019?", "level": "retrieve"}
START_SECONDS: Final = 120
# The server and its command line would look for newer versions, count uses and trace to LangSmith.
OFFLINE: Final = {
    "LANGSMITH_TRACING": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "1",
}


@pytest.fixture(scope="module")
def document(demo_documents: Path) -> Path:
    return demo_documents / "harbour_town.md"


@pytest.fixture(scope="module")
def client(
    document: Path, embedded_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SyncLangGraphClient]:
    """Start a server that keeps what it keeps in a folder of its own, and return a client of it."""
    folder = tmp_path_factory.mktemp("server")
    own = {
        "QWEN_LONGCTX_DOCUMENTS": str(document),
        "QWEN_LONGCTX_MODEL": f"{embedded_model}:{ensure_model_file()}",
        "QWEN_LONGCTX_CACHE_DIR": str(folder / "cache"),
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    command += ["--config", str(SPECIFICATION), "--port", str(port)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603
            command, cwd=folder, env={**os.environ, **OFFLINE, **own}, stdout=log, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/ok", server, folder / "log")
            with get_sync_client(url=f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            server.terminate()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the server does not answer:\n{log.read_text()}")


def test_a_run_without_a_thread_is_answered_with_a_verbatim_citation(
    client: SyncLangGraphClient, document: Path
) -> None:
    result: Any = client.runs.wait(None, GRAPH, input=QUESTION)

    (citation,) = result["citations"]
    assert "Thackwell" in result["answer"]
    assert citation["source"] == str(document)
    assert document.read_text("utf-8")[citation["start"] : citation["end"]] == citation["quote"]


def test_progress_arrives_while_a_thread_answers(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]

    parts = list(client.runs.stream(thread, GRAPH, input=QUESTION, stream_mode=["events"]))

    events: list[Any] = [part.data for part in parts if part.event == "events"]
    assert [event["name"] for event in events if event["event"] == "on_custom_event"] == ["analysis", "retrieved"]
    state: Any = client.threads.get_state(thread)["values"]
    assert "Thackwell" in state["answer"]


def test_an_empty_question_is_an_error_that_says_so(client: SyncLangGraphClient) -> None:
    with pytest.raises(Exception, match="ask something"):
        client.runs.wait(None, GRAPH, input={"question": " "})
