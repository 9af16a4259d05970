"""The MCP server as the official client sees it: in memory, over HTTP, and over standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import httpx
import pytest
from chronicle import chronicle
from click.testing import CliRunner
from command_line import BIRTH_FACT, TOWN_FACT, TOWN_QUESTION, Shell, own_variables
from langchain_core.documents import Document
from mcp import Client
from ollama_server import FakeOllama, ServedModel
from scripted import RuleChatModel, expert, prompt_of, search_plan
from waiting import PATIENCE, until

from langchain_qwen_longctx import BilingualBM25Retriever, LongContextConfig, QwenTextSplitter, mcp_server
from langchain_qwen_longctx.cli import cli
from langchain_qwen_longctx.cli_mcp import MCP_PATH, http_server
from langchain_qwen_longctx.listening import listen, url_of
from langchain_qwen_longctx.mcp_server import Cancellation, create_mcp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from mcp.server.mcpserver import MCPServer
    from mcp.types import CallToolResult

Connect: TypeAlias = "Callable[..., Client]"

TOWN: Final = chronicle(40, {4: TOWN_FACT, 11: BIRTH_FACT})
MINUTES: Final = "The board met in May. Ada Brook took the chair in 2019."
EXPERT: Final = expert(
    {"谁设计": (TOWN_FACT, "毛一清"), "took the chair": ("Ada Brook took the chair in 2019.", "Ada Brook")}
)
DOCUMENTS: Final = [
    Document(TOWN, metadata={"source": "镇志.txt"}),
    Document(MINUTES, metadata={"source": "minutes.pdf", "page": 1}),
]


def index(documents: list[Document]) -> BilingualBM25Retriever:
    return BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents(documents))


@pytest.fixture(scope="module")
def retriever() -> BilingualBM25Retriever:
    return index(DOCUMENTS)


@pytest.fixture(params=["legacy", "auto"])
def connect(request: pytest.FixtureRequest, retriever: BilingualBM25Retriever) -> Connect:
    """Return how to connect to a server in memory, by the handshake of today's clients and without one."""

    def client(model: BaseChatModel, documents: BilingualBM25Retriever = retriever, **knobs: Any) -> Client:
        server = create_mcp_server(model=model, retriever=documents, config=LongContextConfig(**knobs))
        return Client(server, mode=request.param)

    return client


@pytest.fixture
def model() -> RuleChatModel:
    return RuleChatModel(respond=EXPERT)


def text_of(result: CallToolResult) -> str:
    [block] = result.content
    assert block.type == "text"
    return block.text


def output_of(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text_of(result)
    output: dict[str, Any] = result.structured_content
    return output


@dataclass
class Told:
    """Remembers what progress tells."""

    numbers: list[float] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.numbers.append(progress)
        self.messages.append(message or "")


class Watched(Cancellation):
    """A cancellation that waits for the events, whatever time they take."""

    def __init__(self) -> None:
        super().__init__()
        self._has_ended = Event()
        self._readings = 0

    def on_chain_error(self, error: BaseException, *, parent_run_id: UUID | None = None, **_: Any) -> None:
        if parent_run_id is None:
            self._has_ended.set()

    def wait_for_end(self) -> None:
        assert self._has_ended.wait(PATIENCE)

    def hold_third_reading(self, messages: Sequence[BaseMessage]) -> str | BaseException:
        """Answer as `EXPERT`, but once two chunks have been read, only after the question is cancelled."""
        self._readings += prompt_of(messages) == "READ"
        if self._readings > 2:
            until(lambda: self.is_cancelled)
        return EXPERT(messages)


@pytest.fixture
def cancellation(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return what the next question is cancelled by."""
    watched = Watched()
    monkeypatch.setattr(mcp_server, "Cancellation", lambda: watched)
    return watched


async def ask_and_cancel(client: Client) -> bool:
    """Ask, cancel it once two chunks have been read, and return whether it was."""
    with anyio.CancelScope() as request:

        async def cancel(progress: float, total: float | None, message: str | None) -> None:
            if message and message.startswith("Reading chunks: 2 of "):
                request.cancel()

        asked = {"question": TOWN_QUESTION, "level": "read"}
        await client.call_tool("ask_documents", asked, progress_callback=cancel)
    return request.cancelled_caught


class TestAsking:
    @pytest.mark.parametrize(
        ("question", "answer", "quote"),
        [
            (TOWN_QUESTION, "毛一清 [1]", f"镇志.txt: {TOWN_FACT}"),
            ("Who took the chair?", "Ada Brook [1]", "minutes.pdf, page 1: Ada Brook took the chair in 2019."),
        ],
        ids=["zh", "en"],
    )
    async def test_the_answer_is_there_as_text_with_its_citations_and_as_data(
        self, connect: Connect, model: RuleChatModel, question: str, answer: str, quote: str
    ) -> None:
        async with connect(model) as client:
            result = await client.call_tool("ask_documents", {"question": question, "level": "retrieve"})

        output = output_of(result)
        assert text_of(result) == f"{answer}\n\n[1] {quote}"
        assert (output["question"], output["answer"], output["found"]) == (question, answer, True)
        [citation] = output["citations"]
        source = {document.metadata["source"]: document.page_content for document in DOCUMENTS}[citation["source"]]
        assert source[citation["start"] : citation["end"]] == citation["quote"]

    async def test_that_the_documents_do_not_say_it_is_no_error(self, connect: Connect, model: RuleChatModel) -> None:
        async with connect(model) as client:
            result = await client.call_tool("ask_documents", {"question": "镇上的钟楼有多高？", "level": "retrieve"})

        assert (output_of(result)["found"], output_of(result)["citations"]) == (False, [])

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ({"question": " \n"}, "the question is ' \\n'; ask something"),
            ({"question": TOWN_QUESTION, "level": "hard"}, "'auto', 'retrieve', 'read' or 'reason'"),
            (
                {"question": "钟楼由谁设计？" * 1429},
                "leaves no room for evidence in a context window of 8192; shorten it",
            ),
            ({}, "Field required"),
        ],
        ids=["empty", "level", "ten thousand characters", "none"],
    )
    async def test_a_bad_question_is_an_error_that_says_so_and_costs_nothing(
        self, connect: Connect, model: RuleChatModel, arguments: dict[str, str], complaint: str
    ) -> None:
        async with connect(model) as client:
            result = await client.call_tool("ask_documents", arguments)

        assert (result.is_error, result.structured_content, model.calls) == (True, None, 0)
        assert complaint in text_of(result)
        assert "Traceback" not in text_of(result)

    async def test_a_model_that_does_not_answer_is_an_error_with_what_to_do(self, connect: Connect) -> None:
        gone = RuleChatModel(respond=lambda _: ConnectionError("refused"))

        async with connect(gone, max_attempts=1) as client:
            result = await client.call_tool("ask_documents", {"question": TOWN_QUESTION})

        assert result.is_error
        assert "scripted-qwen at its server does not answer (refused); start the server" in text_of(result)

    async def test_a_fault_of_the_program_goes_to_its_log_and_not_to_the_client(
        self, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        faulty = RuleChatModel(respond=lambda _: KeyError("secret"))

        async with connect(faulty) as client:
            result = await client.call_tool("ask_documents", {"question": TOWN_QUESTION})

        assert (result.is_error, text_of(result)) == (True, "Error executing tool ask_documents")
        assert "secret" in caplog.text

    async def test_progress_says_in_rising_numbers_what_it_is_at(self, connect: Connect, model: RuleChatModel) -> None:
        told = Told()

        async with connect(model, concurrency=1) as client:
            asked = {"question": TOWN_QUESTION, "level": "read"}
            await client.call_tool("ask_documents", asked, progress_callback=told)

        assert told.numbers == list(range(1, len(told.messages) + 1))
        assert told.messages[0] == "Working out what to search for"
        assert "Reading chunks: 1 done, 1 relevant" in told.messages
        assert f"镇志.txt: {TOWN_FACT}" in told.messages
        assert told.messages[-1].startswith("Answering from ")

    async def test_several_clients_are_answered_side_by_side(self, connect: Connect) -> None:
        together = Barrier(4, timeout=PATIENCE)

        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            together.wait()
            return EXPERT(messages)

        async def ask() -> str:
            async with connect(RuleChatModel(respond=respond)) as client:
                asked = {"question": TOWN_QUESTION, "level": "retrieve"}
                return text_of(await client.call_tool("ask_documents", asked))

        answers = await asyncio.gather(*(ask() for _ in range(4)))

        assert set(answers) == {f"毛一清 [1]\n\n[1] 镇志.txt: {TOWN_FACT}"}

    async def test_a_cancelled_question_makes_no_further_call(
        self, connect: Connect, cancellation: Watched, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = RuleChatModel(respond=cancellation.hold_third_reading)

        async with connect(model, coverage="full", concurrency=1) as client:
            is_cancelled = await ask_and_cancel(client)
            await asyncio.to_thread(cancellation.wait_for_end)

        assert is_cancelled
        assert model.prompts["READ"] in {2, 3}
        assert caplog.text == ""

    def test_a_cancelled_run_ends_with_the_next_token(self, model: RuleChatModel) -> None:
        cancellation = Cancellation()
        tokens = RuleChatModel(respond=lambda _: "one two three").stream("Count.", {"callbacks": [cancellation]})
        first = next(tokens).text

        cancellation.is_cancelled = True

        with pytest.raises(asyncio.CancelledError):
            list(tokens)
        assert first == "one "


class TestLooking:
    async def test_every_tool_says_what_it_does_and_that_it_changes_nothing(
        self, connect: Connect, model: RuleChatModel
    ) -> None:
        async with connect(model) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}

        assert list(tools) == ["ask_documents", "search_documents", "list_documents"]
        for tool in tools.values():
            assert tool.title
            assert tool.description
            assert tool.annotations
            assert tool.annotations.read_only_hint
            assert all("description" in field for field in tool.input_schema["properties"].values())
        schemas = {name: (tool.output_schema or {})["required"] for name, tool in tools.items()}
        assert schemas["ask_documents"] >= ["question", "answer", "found", "level", "citations"]
        assert schemas["search_documents"] == ["chunks"]
        assert schemas["list_documents"] == ["documents"]

    async def test_the_client_is_told_how_much_there_is(self, connect: Connect, model: RuleChatModel) -> None:
        async with connect(model) as client:
            instructions = client.instructions

        characters = len(TOWN.rstrip()) + len(MINUTES)
        assert instructions
        assert f"number of documents: 2, of characters: {characters:,}." in instructions

    async def test_a_search_returns_verbatim_chunks_best_first_without_the_model(
        self, connect: Connect, model: RuleChatModel
    ) -> None:
        async with connect(model) as client:
            result = await client.call_tool("search_documents", {"query": "钟楼、学堂、水井", "k": 3})

        chunks = output_of(result)["chunks"]
        best = chunks[0]
        assert (len(chunks), model.calls) == (3, 0)
        assert TOWN_FACT in best["text"]
        assert all(TOWN[chunk["start"] : chunk["end"]] == chunk["text"] for chunk in chunks)
        assert all(one["score"] >= next_["score"] for one, next_ in pairwise(chunks))
        place = f"[1] 镇志.txt, characters {best['start']}-{best['end']}, score {best['score']}:\n"
        assert text_of(result).startswith(f"{place}{best['text']}\n\n[2] ")

    async def test_a_search_names_the_page(self, connect: Connect, model: RuleChatModel) -> None:
        async with connect(model) as client:
            result = await client.call_tool("search_documents", {"query": "chair"})

        [chunk] = output_of(result)["chunks"]
        assert (chunk["source"], chunk["page"], chunk["text"]) == ("minutes.pdf", 1, MINUTES)
        assert text_of(result).startswith("[1] minutes.pdf, page 1, characters 0-55, score ")

    async def test_a_search_without_a_find_says_so(self, connect: Connect, model: RuleChatModel) -> None:
        async with connect(model) as client:
            result = await client.call_tool("search_documents", {"query": "xylophone"})

        assert output_of(result) == {"chunks": []}
        assert text_of(result) == "No chunk shares a word with the query."

    @pytest.mark.parametrize("k", [0, 51])
    async def test_a_number_of_chunks_out_of_range_is_an_error(
        self, connect: Connect, model: RuleChatModel, k: int
    ) -> None:
        async with connect(model) as client:
            result = await client.call_tool("search_documents", {"query": "chair", "k": k})

        assert result.is_error
        assert f"input_value={k}" in text_of(result)

    async def test_the_list_has_every_document_with_its_size(
        self, connect: Connect, model: RuleChatModel, retriever: BilingualBM25Retriever
    ) -> None:
        async with connect(model) as client:
            result = await client.call_tool("list_documents")

        chunks, characters = len(retriever.docs) - 1, len(TOWN.rstrip())
        assert output_of(result) == {
            "documents": [
                {"source": "镇志.txt", "chunks": chunks, "characters": characters},
                {"source": "minutes.pdf", "chunks": 1, "characters": 55},
            ]
        }
        assert text_of(result).splitlines()[0] == f"镇志.txt: {chunks} chunks, {characters:,} characters"

    async def test_a_name_that_is_no_text_does_not_keep_a_result_from_the_client(self, model: RuleChatModel) -> None:
        odd = index([Document(MINUTES, metadata={"source": "caf\udce9.txt"})])
        told = Told()

        async with served(create_mcp_server(model=model, retriever=odd)) as url, Client(url) as client:
            listed = await client.call_tool("list_documents")
            question = {"question": "Who took the chair?", "level": "read"}
            asked = await client.call_tool("ask_documents", question, progress_callback=told)

        assert text_of(listed).startswith("caf?.txt: ")
        assert output_of(asked)["citations"][0]["source"] == "caf?.txt"
        assert "caf?.txt: Ada Brook took the chair in 2019." in told.messages


@asynccontextmanager
async def served(server: MCPServer) -> AsyncIterator[str]:
    """Serve over HTTP on this machine, and yield the address."""
    with listen("127.0.0.1", 0) as listener:
        web = http_server(server)
        serving = asyncio.create_task(web.serve(sockets=[listener]))
        try:
            yield url_of(listener) + MCP_PATH
        finally:
            web.should_exit = True
            await serving


class TestHTTP:
    async def test_clients_are_answered_and_told_the_progress(
        self, model: RuleChatModel, retriever: BilingualBM25Retriever
    ) -> None:
        told = Told()

        asked = {"question": TOWN_QUESTION, "level": "retrieve"}
        async with (
            served(create_mcp_server(model=model, retriever=retriever)) as url,
            Client(url) as one,
            Client(url, mode="legacy") as other,
        ):
            answers = await asyncio.gather(
                one.call_tool("ask_documents", asked, progress_callback=told),
                other.call_tool("ask_documents", asked, progress_callback=told),
            )

        assert {text_of(answer) for answer in answers} == {f"毛一清 [1]\n\n[1] 镇志.txt: {TOWN_FACT}"}
        assert told.messages.count("Working out what to search for") == 2

    async def test_a_client_that_leaves_ends_its_question(
        self, retriever: BilingualBM25Retriever, cancellation: Watched
    ) -> None:
        model = RuleChatModel(respond=cancellation.hold_third_reading)
        config = LongContextConfig(coverage="full", concurrency=1)

        async with served(create_mcp_server(model=model, retriever=retriever, config=config)) as url:
            async with Client(url) as client:
                await ask_and_cancel(client)
            await asyncio.to_thread(cancellation.wait_for_end)

        assert model.prompts["READ"] in {2, 3}

    async def test_a_page_of_another_site_is_refused(
        self, model: RuleChatModel, retriever: BilingualBM25Retriever
    ) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

        async with served(create_mcp_server(model=model, retriever=retriever)) as url, httpx.AsyncClient() as client:
            rebound = await client.post(url, json=message, headers={"Host": "documents.example"})
            foreign = await client.post(url, json=message, headers={"Origin": "https://documents.example"})

        assert (rebound.status_code, foreign.status_code) == (421, 403)


class TestCommand:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "documents.example", "127.0.0.1.example", ""])  # noqa: S104
    def test_a_host_that_others_can_reach_is_refused_with_the_ways_to_let_them_in(
        self, shell: Shell, reader: RuleChatModel, town: Path, host: str
    ) -> None:
        result = shell("mcp", "--transport", "http", "--host", host, town)

        assert (result.code, result.out) == (2, "")
        assert "an SSH tunnel (ssh -L 8765:127.0.0.1:8765 HOST) or a reverse proxy with a log-in" in result.err

    def test_a_port_that_is_taken_is_bad_input(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            result = shell("mcp", "--transport", "http", "--port", port, town)

        assert (result.code, result.out) == (2, "")
        assert f"port {port} of 127.0.0.1 cannot be used" in result.err

    def test_documents_and_messages_cannot_both_come_from_stdin(self, shell: Shell, reader: RuleChatModel) -> None:
        result = shell("mcp", "-", stdin="text")

        assert (result.code, result.out) == (2, "")
        assert "give the documents as files or folders" in result.err

    def test_without_the_extra_it_says_how_to_get_it(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "langchain_qwen_longctx.mcp_server")
        monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)

        result = shell("mcp", town)

        assert (result.code, result.out) == (2, "")
        assert 'pip install "langchain-qwen-longctx[mcp]"' in result.err

    def test_what_its_help_says_for_configuration_files_is_json(self) -> None:
        shown = CliRunner().invoke(cli, ["mcp", "--help"]).output

        first, end = json.JSONDecoder().raw_decode(shown, shown.index("{"))
        second, _ = json.JSONDecoder().raw_decode(shown, shown.index("{", end))
        assert first["mcpServers"]["notes"] == {"command": "qwen-longctx", "args": ["mcp", "/home/me/notes"]}
        assert second["mcpServers"]["notes"] == {"url": "http://127.0.0.1:8765/mcp"}


@dataclass
class Session:
    """The command in a process of its own, asked line by line."""

    process: subprocess.Popen[str]

    def send(self, **message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def received(self) -> dict[str, Any]:
        assert self.process.stdout
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message


class TestStdio:
    @pytest.fixture
    def ollama(self) -> Iterator[FakeOllama]:
        with FakeOllama([ServedModel("qwen2.5:1.5b")]) as ollama:
            yield ollama

    @pytest.fixture
    def session(self, ollama: FakeOllama, town: Path, tmp_path: Path) -> Iterator[Session]:
        """Start the command, and greet it as a client of today does."""
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OLLAMA_HOST": ollama.url}
        for name in own_variables():
            del environment[name]
        process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-m", "langchain_qwen_longctx", "mcp", str(town)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
        )
        session = Session(process)
        client = {"name": "test", "version": "1"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        session.send(id=1, method="initialize", params=hello)
        assert session.received()["result"]["serverInfo"]["name"] == "qwen-longctx"
        session.send(method="notifications/initialized")
        yield session
        process.kill()
        process.communicate()

    def test_stdout_has_nothing_but_the_protocol_and_it_ends_with_the_client(
        self, session: Session, ollama: FakeOllama
    ) -> None:
        ollama.enqueue(search_plan(TOWN_QUESTION), "毛一清 [1]")
        asked = {"question": TOWN_QUESTION, "level": "retrieve"}

        session.send(id=2, method="tools/call", params={"name": "ask_documents", "arguments": asked})

        answer = session.received()
        out, err = session.process.communicate()
        assert answer["result"]["structuredContent"]["answer"] == "毛一清 [1]"
        assert (session.process.returncode, out) == (0, "")
        assert [line.split()[0] for line in err.splitlines()] == ["Model:", "Documents:", "Serving"]

    def test_an_interruption_ends_it_at_once(self, session: Session) -> None:
        session.process.send_signal(signal.SIGINT)

        # The client has not left: standard input is open.
        assert session.process.wait(PATIENCE) == 130
        _, err = session.process.communicate()
        assert "Interrupted. Saved indexes are kept" in err
