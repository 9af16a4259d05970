import signal
import subprocess
import sys
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel, Field

from langchain_qwen_longctx.errors import ContextOverflowError, ModelUnavailableError
from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen

pytest.importorskip("xllamacpp", reason="the extra `embedded` is not installed")
pytestmark = pytest.mark.embedded

# One thread: two are faster on an idle machine, and slower by far where something else runs beside them.
SETTINGS: dict[str, Any] = {"num_ctx": 512, "max_tokens": 60, "timeout": 120, "n_threads": 1}


@pytest.fixture(scope="module")
def model() -> ChatEmbeddedQwen:
    return ChatEmbeddedQwen(**SETTINGS)


class TestStandard(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatEmbeddedQwen

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return SETTINGS

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return False


def test_a_prefix_shared_with_an_earlier_prompt_is_not_computed_again(model: ChatEmbeddedQwen) -> None:
    rules = SystemMessage("You answer in one word. " + "Be brief and exact. " * 40)

    first = model.invoke([rules, HumanMessage("Capital of France?")]).usage_metadata
    second = model.invoke([rules, HumanMessage("Capital of Italy?")]).usage_metadata

    assert first is not None
    assert second is not None
    assert second["input_tokens"] == first["input_tokens"] > 200
    assert second["input_token_details"]["cache_read"] > 200


def test_without_the_kv_cache_the_same_question_gets_the_same_answer(model: ChatEmbeddedQwen) -> None:
    warm = model.model_copy(update={"temperature": 0.8, "max_tokens": 12})

    answers = {warm.invoke("Tell me something about the sea.", cache_prompt=False).text for _ in range(2)}

    assert len(answers) == 1


def test_a_prompt_larger_than_the_window_is_an_error_not_a_truncation(model: ChatEmbeddedQwen) -> None:
    with pytest.raises(ContextOverflowError, match="the context window 512"):
        model.invoke("tree " * 1100)


def test_an_answer_that_fills_the_window_ends_by_its_length(model: ChatEmbeddedQwen) -> None:
    answer = model.invoke("Count from one to one hundred in words. " + "Go on. " * 155)

    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] <= 512
    assert answer.response_metadata["finish_reason"] == "length"


def test_a_stop_sequence_ends_the_answer_and_is_not_part_of_it(model: ChatEmbeddedQwen) -> None:
    answer = model.invoke("Count: one two three four five six. Repeat exactly that.", stop=["four"])

    assert "three" in answer.text
    assert "four" not in answer.text
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_call_beyond_the_timeout_is_given_up_and_the_next_one_works(model: ChatEmbeddedQwen) -> None:
    with pytest.raises(ModelUnavailableError, match="did not finish"):
        model.model_copy(update={"timeout": 0.5, "max_tokens": 400}).invoke("Write a long story.")

    assert model.invoke("Say yes.").text


class Relevant(BaseModel):
    """The sentences that answer the question."""

    numbers: list[int] = Field(description="numbers of the sentences that answer the question")


def test_structured_output_in_chinese_follows_the_schema(model: ChatEmbeddedQwen) -> None:
    reader = model.with_structured_output(Relevant, include_raw=True)

    result = reader.invoke(
        "问题：谁写了这封信？\n[1] 天气很好。\n[2] 这封信是王老师写的。\n用 JSON 给出相关句子的编号。"
    )

    assert isinstance(result, dict)
    assert result["parsing_error"] is None
    assert result["parsed"] == Relevant(numbers=[2])


def run_in_child(code: str) -> "subprocess.Popen[str]":
    start = (
        "from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen\n"
        "model = ChatEmbeddedQwen(num_ctx=512, max_tokens=400, n_threads=1)\n"
    )
    command = [sys.executable, "-W", "error", "-c", start + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603


def test_a_process_prints_nothing_of_its_own_and_ends_while_a_stream_is_open() -> None:
    child = run_in_child("stream = model.stream('Write a long story.'); print(bool(next(stream)))")

    out, err = child.communicate(timeout=60)

    assert (out, err, child.returncode) == ("True\n", "", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_a_call_at_once() -> None:
    child = run_in_child("for chunk in model.stream('Write a long story.'): print(chunk.content, flush=True)")
    assert child.stdout is not None
    child.stdout.readline()

    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=20)

    assert err.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode == -signal.SIGINT
