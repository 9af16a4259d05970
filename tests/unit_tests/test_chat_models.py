from __future__ import annotations

import httpx
import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from ollama import ResponseError
from pydantic import BaseModel
from scripted import ScriptedChatModel

from langchain_qwen_longctx import chat_models
from langchain_qwen_longctx.chat_models import ask, create_chat_model, is_transport_error, parse
from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)
from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen

PROMPT = ChatPromptTemplate([("system", "Be brief."), ("human", "{question}")])
VARIABLES = {"question": "Who?"}
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)


class Verdict(BaseModel):
    relevant: bool
    sentences: list[int]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def test_a_reply_carries_text_and_cost() -> None:
    reply = ask(ScriptedChatModel().enqueue("  Ada Brook \n"), PROMPT, VARIABLES, config=CONFIG)

    assert reply.text == "Ada Brook"
    assert reply.parsed is None
    assert (reply.model_calls, reply.input_tokens, reply.output_tokens) == (1, 18, 4)


def test_a_schema_gives_a_parsed_reply() -> None:
    model = ScriptedChatModel().enqueue('{"relevant": true, "sentences": [1, 3]}')

    reply = ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict)

    assert reply.parsed == Verdict(relevant=True, sentences=[1, 3])


def test_a_model_that_cannot_be_held_to_a_schema_is_read_leniently() -> None:
    model = FakeListChatModel(responses=['Sure:\n```json\n{"relevant": false, "sentences": []}\n```'])

    reply = ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict)

    assert reply.parsed == Verdict(relevant=False, sentences=[])


def test_an_unreadable_reply_is_repaired_once_with_its_error_shown() -> None:
    model = ScriptedChatModel().enqueue('{"relevant": "perhaps"}', '{"relevant": true, "sentences": []}')

    reply = ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict)

    assert reply.parsed == Verdict(relevant=True, sentences=[])
    assert reply.model_calls == 2
    assert [message.type for message in model.history[1]] == ["system", "human", "ai", "human"]
    assert "sentences: Field required" in model.history[1][-1].text


def test_a_second_unreadable_reply_is_an_error_that_quotes_it() -> None:
    model = ScriptedChatModel().enqueue("no idea", "still none")

    with pytest.raises(ModelResponseError, match="still none"):
        ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict)


def test_a_prompt_that_does_not_fit_is_never_sent() -> None:
    model = ScriptedChatModel()

    with pytest.raises(ContextOverflowError, match="context window of 2048"):
        ask(model, PROMPT, {"question": "why " * 1800}, config=CONFIG)

    assert model.history == []


def test_a_prompt_that_the_server_cut_is_an_error() -> None:
    model = ScriptedChatModel(read_share=0.9).enqueue("Ada Brook")

    with pytest.raises(PromptTruncatedError, match=r"read \d+ of \d+ tokens"):
        ask(model, PROMPT, {"question": "why " * 500}, config=CONFIG)


def test_a_model_with_another_vocabulary_may_count_fewer_tokens() -> None:
    model = ScriptedChatModel(model="llama", read_share=0.7).enqueue("Ada Brook")

    assert ask(model, PROMPT, {"question": "why " * 500}, config=CONFIG).text == "Ada Brook"


def test_a_failed_transport_is_tried_again() -> None:
    model = ScriptedChatModel().enqueue(httpx.ReadTimeout("slow"), ResponseError("busy", 503), "Ada Brook")

    assert ask(model, PROMPT, VARIABLES, config=CONFIG).text == "Ada Brook"


def test_a_transport_that_fails_for_good_names_the_model_and_the_remedy() -> None:
    model = ScriptedChatModel().enqueue(*[ConnectionError("refused")] * 3)

    with pytest.raises(ModelUnavailableError, match=r"scripted-qwen .* start the server"):
        ask(model, PROMPT, VARIABLES, config=CONFIG)

    assert len(model.history) == 3


def test_a_missing_model_is_not_asked_again() -> None:
    model = ScriptedChatModel().enqueue(ResponseError("model not found", 404))

    with pytest.raises(ModelUnavailableError, match="ollama pull scripted-qwen"):
        ask(model, PROMPT, VARIABLES, config=CONFIG)

    assert len(model.history) == 1


def test_a_fault_of_the_program_is_neither_hidden_nor_tried_again() -> None:
    model = ScriptedChatModel().enqueue(KeyError("bug"))

    with pytest.raises(KeyError, match="bug"):
        ask(model, PROMPT, VARIABLES, config=CONFIG)

    assert len(model.history) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), True),
        (ConnectionResetError(), True),
        (ResponseError("too many requests", 429), True),
        (ResponseError("bad request", 400), False),
        (ValueError("bug"), False),
    ],
)
def test_only_what_may_pass_counts_as_a_transport_error(error: Exception, expected: bool) -> None:
    assert is_transport_error(error) is expected


@pytest.mark.parametrize(
    "text",
    [
        '{"relevant": true, "sentences": [2]}',
        '```json\n{"relevant": true, "sentences": [2]}\n```',
        'Here it is: {"relevant": true, "sentences": [2]}',
        '{"relevant": true, "sentences": [2]',
        '{\r\n"relevant": true,\r\n"sentences": [2]}\r\n',
    ],
)
def test_json_is_found_in_what_models_wrap_around_it(text: str) -> None:
    assert parse(text, Verdict) == Verdict(relevant=True, sentences=[2])


@pytest.mark.parametrize("text", ["", "none", "[1, 2]", '{"sentences": []}', '{"relevant": "perhaps", "sentences": 3}'])
def test_a_reply_without_the_object_is_a_typed_error(text: str) -> None:
    with pytest.raises(ModelResponseError):
        parse(text, Verdict)


def test_an_ollama_model_gets_the_window_and_repeatable_answers() -> None:
    model = create_chat_model("ollama:qwen2:7b", context_window=4096, answer_tokens=300)

    assert isinstance(model, ChatOllama)
    assert (model.model, model.num_ctx, model.num_predict) == ("qwen2:7b", 4096, 300)
    assert (model.temperature, model.seed) == (0, chat_models.SEED)


def test_the_embedded_model_is_made_without_loading_it() -> None:
    model = create_chat_model("embedded", context_window=4096)

    assert isinstance(model, ChatEmbeddedQwen)
    assert (model.num_ctx, model.model_path) == (4096, None)


def test_an_openai_compatible_server_needs_no_key() -> None:
    model = create_chat_model("openai:Qwen/Qwen2-7B-Instruct", base_url="http://127.0.0.1:8000/v1")

    assert isinstance(model, ChatOpenAI)
    assert model.model_name == "Qwen/Qwen2-7B-Instruct"


@pytest.mark.parametrize("name", ["", "qwen2:7b", "ollama", "ollama:", "openai:", "azure:gpt"])
def test_a_name_of_another_form_is_refused_with_the_forms_there_are(name: str) -> None:
    with pytest.raises(InputError, match=r"ollama:NAME, embedded, embedded:PATH.gguf, openai:NAME"):
        create_chat_model(name)
