import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import BaseModel

from langchain_qwen_longctx import llama_cpp
from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelError,
    ModelFileError,
    ModelUnavailableError,
)
from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen

Event = dict[str, Any]


class FakeServer:
    """Stands for `xllamacpp.Server`: answers with what was enqueued, remembers what was asked."""

    def __init__(self) -> None:
        self.loaded: list[SimpleNamespace] = []
        self.history: list[dict[str, Any]] = []
        self.answers: list[list[Event] | Exception] = []
        self.broken = False
        self.given_up = threading.Event()
        self.pause = 0.0

    def enqueue(self, *texts: str, finish_reason: str = "stop") -> None:
        first = {"choices": [{"finish_reason": None, "delta": {"role": "assistant", "content": None}}]}
        tokens = [{"choices": [{"finish_reason": None, "delta": {"content": text}}]} for text in texts]
        end = {"choices": [{"finish_reason": finish_reason, "delta": {}}]}
        count = {"prompt_tokens": 40, "completion_tokens": len(texts), "total_tokens": 40 + len(texts)}
        usage = {"choices": [], "usage": {**count, "prompt_tokens_details": {"cached_tokens": 25}}}
        self.answers.append([first, *tokens, end, usage])

    def enqueue_error(self, **error: object) -> None:
        self.answers.append([{"error": error}])

    def load(self, params: SimpleNamespace) -> "FakeServer":
        if self.broken:
            msg = "Failed to init server."
            raise RuntimeError(msg)
        self.loaded.append(params)
        return self

    def handle_chat_completions(self, request: dict[str, Any], callback: Callable[[Event], bool]) -> None:
        self.history.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for event in answer:
            time.sleep(self.pause)
            if callback(event):
                self.given_up.set()
                return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    fake = FakeServer()

    def common_params() -> SimpleNamespace:
        return SimpleNamespace(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

    monkeypatch.setitem(sys.modules, "xllamacpp", SimpleNamespace(CommonParams=common_params, Server=fake.load))
    monkeypatch.setattr(llama_cpp, "_engines", {})
    yield fake
    fake.given_up.set()


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "qwen-tiny.gguf"
    path.write_bytes(b"GGUF rest")
    return path


class TestStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatEmbeddedQwen

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @pytest.mark.xfail(reason="tries function_calling and json_mode too; only json_schema is there", raises=InputError)
    @pytest.mark.parametrize("schema", [{"type": "object", "title": "Any"}])
    def test_with_structured_output(self, model: BaseChatModel, schema: Any) -> None:  # noqa: ANN401
        super().test_with_structured_output(model, schema)


def test_importing_the_module_does_not_import_llama_cpp() -> None:
    code = "import sys, langchain_qwen_longctx.llama_cpp; sys.exit('xllamacpp' in sys.modules)"

    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0  # noqa: S603


def test_without_the_extra_the_pip_line_is_given_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    model = ChatEmbeddedQwen(cache_dir=tmp_path)

    with pytest.raises(ModelUnavailableError) as caught:
        model.invoke("Hello")

    assert 'pip install "langchain-qwen-longctx[embedded]"' in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_file_is_reported_at_the_first_call(server: FakeServer, tmp_path: Path) -> None:
    model = ChatEmbeddedQwen(model_path=tmp_path / "none.gguf")

    with pytest.raises(ModelFileError, match="Check model_path"):
        model.invoke("Hello")
    assert server.loaded == []


def test_a_file_llama_cpp_cannot_load_is_reported_with_remedies(server: FakeServer, gguf: Path) -> None:
    server.broken = True

    with pytest.raises(ModelFileError, match="a smaller num_ctx, or a newer xllamacpp"):
        ChatEmbeddedQwen(model_path=gguf).invoke("Hello")


def test_models_with_equal_settings_share_one_engine(server: FakeServer, gguf: Path) -> None:
    model = ChatEmbeddedQwen(model_path=gguf)
    for text in "abc":
        server.enqueue(text)

    model.invoke("Hello")
    model.model_copy(update={"temperature": 1.0}).invoke("Hello")
    assert len(server.loaded) == 1

    ChatEmbeddedQwen(model_path=gguf, num_ctx=1024).invoke("Hello")
    assert len(server.loaded) == 2


def test_the_engine_is_loaded_quiet_whole_and_behind_a_key(server: FakeServer, gguf: Path) -> None:
    server.enqueue("Hi")

    ChatEmbeddedQwen(model_path=gguf, num_ctx=2048, n_threads=3).invoke("Hello")

    (params,) = server.loaded
    assert params.model.path == str(gguf)
    assert (params.n_ctx, params.n_parallel) == (2048, 1)
    assert (params.ctx_shift, params.cache_prompt) == (False, True)
    assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (3, 3)
    assert params.verbosity < 0
    assert len(params.api_keys[0]) == 64


def test_the_fields_become_the_request(server: FakeServer, gguf: Path) -> None:
    server.enqueue("Hi")

    ChatEmbeddedQwen(model_path=gguf, temperature=0.5, seed=7, max_tokens=9, stop=["\n"]).invoke("Hello")

    assert server.history == [
        {
            "messages": [{"role": "user", "content": "Hello"}],
            "temperature": 0.5,
            "seed": 7,
            "max_tokens": 9,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
        }
    ]


def test_a_call_overrides_the_fields(server: FakeServer, gguf: Path) -> None:
    server.enqueue("Hi")

    ChatEmbeddedQwen(model_path=gguf, stop=["\n"]).invoke("Hello", stop=["END"], max_tokens=3)

    assert server.history[0]["stop"] == ["END"]
    assert server.history[0]["max_tokens"] == 3


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (SystemMessage("text"), "system"),
        (HumanMessage("text"), "user"),
        (HumanMessage([{"type": "text", "text": "te"}, {"type": "text", "text": "xt"}]), "user"),
        (AIMessage("text"), "assistant"),
        (ChatMessage(content="text", role="tool"), "tool"),
    ],
)
def test_messages_become_roles_and_plain_text(server: FakeServer, gguf: Path, message: BaseMessage, role: str) -> None:
    server.enqueue("Hi")

    ChatEmbeddedQwen(model_path=gguf).invoke([message])

    assert server.history[0]["messages"] == [{"role": role, "content": "text"}]


@pytest.mark.parametrize(
    "message",
    [ToolMessage("22", tool_call_id="1"), HumanMessage([{"type": "image", "url": "https://example.org/a.png"}])],
    ids=["tool result", "image"],
)
def test_what_the_model_cannot_take_is_refused_not_dropped(
    server: FakeServer, gguf: Path, message: BaseMessage
) -> None:
    with pytest.raises(InputError):
        ChatEmbeddedQwen(model_path=gguf).invoke([message])
    assert server.history == []


def test_the_answer_carries_usage_and_how_it_ended(server: FakeServer, gguf: Path) -> None:
    server.enqueue("He", "llo", finish_reason="length")

    answer = ChatEmbeddedQwen(model_path=gguf).invoke("Hello")

    assert answer.text == "Hello"
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata["model_name"] == "qwen-tiny"
    assert answer.usage_metadata == {
        "input_tokens": 40,
        "output_tokens": 2,
        "total_tokens": 42,
        "input_token_details": {"cache_read": 25},
    }


def test_the_stream_has_a_chunk_for_each_token_and_usage_on_the_last(server: FakeServer, gguf: Path) -> None:
    server.enqueue("He", "llo")

    chunks = [chunk for chunk in ChatEmbeddedQwen(model_path=gguf).stream("Hello") if isinstance(chunk, AIMessageChunk)]

    assert [chunk.content for chunk in chunks] == ["He", "llo", ""]
    assert [chunk.usage_metadata is not None for chunk in chunks] == [False, False, True]


def test_a_prompt_larger_than_the_window_is_an_overflow(server: FakeServer, gguf: Path) -> None:
    server.enqueue_error(type="exceed_context_size_error", code=400, n_prompt_tokens=9000, n_ctx=8192)

    with pytest.raises(ContextOverflowError, match="9000 tokens, the context window 8192"):
        ChatEmbeddedQwen(model_path=gguf).invoke("Hello")


def test_an_invalid_request_is_an_input_error(server: FakeServer, gguf: Path) -> None:
    server.enqueue_error(type="invalid_request_error", code=400, message="type must be number")

    with pytest.raises(InputError, match="type must be number"):
        ChatEmbeddedQwen(model_path=gguf).invoke("Hello")


def test_a_failure_of_the_engine_is_a_model_error(server: FakeServer, gguf: Path) -> None:
    server.enqueue_error(type="server_error", code=500, message="decode failed")

    with pytest.raises(ModelError, match="decode failed"):
        ChatEmbeddedQwen(model_path=gguf).invoke("Hello")


def test_a_schema_that_llama_cpp_rejects_is_an_input_error(server: FakeServer, gguf: Path) -> None:
    server.answers.append(ValueError("unrecognized type nonsense"))

    with pytest.raises(InputError, match="unrecognized type nonsense"):
        ChatEmbeddedQwen(model_path=gguf).with_structured_output({"type": "nonsense"}).invoke("Hello")


def test_a_call_that_takes_too_long_is_given_up(server: FakeServer, gguf: Path) -> None:
    server.pause = 0.1
    server.enqueue("He", "llo")

    with pytest.raises(ModelUnavailableError, match=r"within 0\.15 s"):
        ChatEmbeddedQwen(model_path=gguf, timeout=0.15).invoke("Hello")
    assert server.given_up.wait(5)


def test_closing_the_stream_stops_the_model(server: FakeServer, gguf: Path) -> None:
    server.pause = 0.05
    server.enqueue(*"a long answer")
    stream = ChatEmbeddedQwen(model_path=gguf).stream("Hello")

    next(stream)
    del stream

    assert server.given_up.wait(5)


def test_cancelling_the_task_stops_the_model(server: FakeServer, gguf: Path) -> None:
    server.pause = 0.05
    server.enqueue(*"a long answer that nobody waits for any more")

    async def cancel_soon() -> None:
        async with asyncio.timeout(0.2):
            await ChatEmbeddedQwen(model_path=gguf).ainvoke("Hello")

    with pytest.raises(TimeoutError):
        asyncio.run(cancel_soon())
    assert server.given_up.wait(5)


class Numbers(BaseModel):
    """Numbers of sentences."""

    numbers: list[int]


def test_structured_output_sends_the_schema_and_parses_the_answer(server: FakeServer, gguf: Path) -> None:
    server.enqueue('{"numbers": [1, 2]}')

    parsed = ChatEmbeddedQwen(model_path=gguf).with_structured_output(Numbers).invoke("Hello")

    assert parsed == Numbers(numbers=[1, 2])
    schema = server.history[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["numbers"]["items"] == {"type": "integer"}


def test_structured_output_by_a_json_schema_is_a_dict(server: FakeServer, gguf: Path) -> None:
    server.enqueue('{"numbers": [1, 2]}')
    schema = {"type": "object", "properties": {"numbers": {"type": "array"}}}

    parsed = ChatEmbeddedQwen(model_path=gguf).with_structured_output(schema).invoke("Hello")

    assert parsed == {"numbers": [1, 2]}
    assert server.history[0]["response_format"]["json_schema"]["schema"] == schema


def test_with_include_raw_a_cut_off_answer_is_returned_with_its_error(server: FakeServer, gguf: Path) -> None:
    server.enqueue('{"numbers": [1, 2', finish_reason="length")
    server.enqueue('{"numbers": [1, 2]}')
    model = ChatEmbeddedQwen(model_path=gguf).with_structured_output(Numbers, include_raw=True)

    cut_off, whole = model.invoke("Hello"), model.invoke("Hello")

    assert isinstance(cut_off, dict)
    assert isinstance(whole, dict)
    assert cut_off["raw"].text == '{"numbers": [1, 2'
    assert cut_off["parsed"] is None
    assert cut_off["parsing_error"] is not None
    assert whole["parsed"] == Numbers(numbers=[1, 2])
    assert whole["parsing_error"] is None


def test_a_cached_answer_costs_no_call_and_other_settings_miss(server: FakeServer, gguf: Path) -> None:
    model = ChatEmbeddedQwen(model_path=gguf, cache=InMemoryCache())
    server.enqueue("one")
    server.enqueue("two")

    assert model.invoke("Hello").text == "one"
    assert model.invoke("Hello").text == "one"
    assert model.model_copy(update={"seed": 1}).invoke("Hello").text == "two"
    assert len(server.history) == 2
