from __future__ import annotations

import json
import time
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langgraph.cache.memory import InMemoryCache
from ollama import ResponseError
from pydantic import BaseModel, PrivateAttr
from scripted import FakeChatModel, RuleChatModel, ScriptedChatModel

from langchain_qwen_longctx import chat_models
from langchain_qwen_longctx.chat_models import Allowance, Meter, ask, create_chat_model, parse
from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelResponseError,
    ModelUnavailableError,
    OutOfBudgetError,
    PromptTruncatedError,
)
from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen
from langchain_qwen_longctx.persistence import ReplyCache

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

PROMPT = ChatPromptTemplate([("system", "Be brief."), ("human", "{question}")])
VARIABLES = {"question": "Who?"}
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
DOWN, JUNK, GOOD = ConnectionError("refused"), "no idea", '{"relevant": true, "sentences": []}'


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

    reply = ask(model, PROMPT, VARIABLES, config=CONFIG)

    assert reply.text == "Ada Brook"
    assert (reply.model_calls, reply.input_tokens, reply.output_tokens) == (3, 18, 2)


def test_a_call_that_hangs_is_tried_again() -> None:
    wakes = iter([Event(), None])
    model = RuleChatModel(respond=lambda _: "late" if (wake := next(wakes)) and wake.wait(60) else "Ada Brook")
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, call_timeout=0.05)

    reply = ask(model, PROMPT, VARIABLES, config=config)

    assert (reply.text, reply.model_calls) == ("Ada Brook", 2)


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


def test_an_error_carries_what_was_spent_before_it() -> None:
    model = ScriptedChatModel().enqueue(JUNK, DOWN, JUNK)

    with pytest.raises(ModelResponseError) as raised:
        ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict)

    spent = raised.value.spent
    assert spent["model_calls"] == model.calls == 3
    assert spent["input_tokens"] > 2 * 18
    assert spent["output_tokens"] > 0


def test_a_prompt_that_was_never_sent_has_cost_nothing() -> None:
    with pytest.raises(ContextOverflowError) as raised:
        ask(ScriptedChatModel(), PROMPT, {"question": "why " * 1800}, config=CONFIG)

    assert sum(raised.value.spent.values()) == 0


@given(replies=st.lists(st.sampled_from([DOWN, JUNK, GOOD]), min_size=6, max_size=6), calls=st.integers(0, 7))
def test_never_more_calls_are_made_than_allowed_and_all_are_counted(replies: list[str | Exception], calls: int) -> None:
    model = ScriptedChatModel().enqueue(*replies)

    try:
        counted = ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, allowance={"calls": calls}).model_calls
    except (ModelUnavailableError, ModelResponseError, OutOfBudgetError) as error:
        counted = error.spent["model_calls"]

    assert counted == model.calls <= calls


@given(tokens=st.integers(0, 1500))
def test_never_more_tokens_are_used_than_allowed(tokens: int) -> None:
    model = ScriptedChatModel().enqueue(JUNK, "not again " * 100)

    with pytest.raises((ModelResponseError, OutOfBudgetError)) as raised:
        ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, allowance={"tokens": tokens})

    error = raised.value
    assert isinstance(error, ModelResponseError | OutOfBudgetError)
    assert error.spent["input_tokens"] + error.spent["output_tokens"] <= tokens


def test_a_repair_that_is_not_covered_is_not_made() -> None:
    model = ScriptedChatModel().enqueue(JUNK, GOOD)

    with pytest.raises(OutOfBudgetError) as raised:
        ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, allowance={"calls": 1})

    assert raised.value.reason == "budget"
    assert raised.value.spent == {"model_calls": 1, "input_tokens": 18, "output_tokens": 2}


@pytest.mark.parametrize(
    ("allowance", "reason"),
    [
        ({"calls": 0}, "budget"),
        ({"calls": -2}, "budget"),
        ({"tokens": 255}, "budget"),
        ({"deadline": 1.0}, "deadline"),
        ({"calls": 5, "tokens": 5000, "deadline": 1.0}, "deadline"),
    ],
)
def test_a_call_beyond_the_allowance_is_refused_with_the_reason(allowance: Allowance, reason: str) -> None:
    model = ScriptedChatModel()

    with pytest.raises(OutOfBudgetError) as raised:
        ask(model, PROMPT, VARIABLES, config=CONFIG, allowance=allowance)

    assert (raised.value.reason, raised.value.spent["model_calls"], model.calls) == (reason, 0, 0)


def test_a_meter_covers_the_call_that_fits_to_the_token() -> None:
    Meter({"tokens": 300, "calls": 1, "deadline": time.time() + 60}).admit(300)

    with pytest.raises(OutOfBudgetError):
        Meter({"tokens": 299}).admit(300)


def test_a_reply_from_the_cache_costs_nothing() -> None:
    model, cache = ScriptedChatModel().enqueue(GOOD), ReplyCache(InMemoryCache())

    first, second = (ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, cache=cache) for _ in range(2))

    assert (first.model_calls, first.cached_calls) == (1, 0)
    assert (second.model_calls, second.cached_calls, second.input_tokens, second.output_tokens) == (0, 1, 0, 0)
    assert (second.text, second.parsed) == (first.text, first.parsed)


def test_a_reply_from_the_cache_needs_no_allowance() -> None:
    model, cache = ScriptedChatModel().enqueue("Ada Brook"), ReplyCache(InMemoryCache())
    ask(model, PROMPT, VARIABLES, config=CONFIG, cache=cache)

    reply = ask(model, PROMPT, VARIABLES, config=CONFIG, cache=cache, allowance={"calls": 0})

    assert reply.text == "Ada Brook"


def test_a_repaired_reply_is_kept_and_its_broken_form_is_not() -> None:
    model, cache = ScriptedChatModel().enqueue(JUNK, GOOD), ReplyCache(InMemoryCache())

    ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, cache=cache)

    assert ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, cache=cache).text == GOOD


def test_a_reply_that_could_not_be_read_is_asked_for_again() -> None:
    model, cache = ScriptedChatModel().enqueue(JUNK, JUNK, GOOD), ReplyCache(InMemoryCache())

    with pytest.raises(ModelResponseError):
        ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, cache=cache)

    assert ask(model, PROMPT, VARIABLES, config=CONFIG, schema=Verdict, cache=cache).model_calls == 1


def test_an_empty_reply_is_asked_for_once_more() -> None:
    model = ScriptedChatModel().enqueue("  ", "Ada Brook", "", "")

    replies = [ask(model, PROMPT, VARIABLES, config=CONFIG) for _ in range(2)]

    assert [(reply.text, reply.model_calls) for reply in replies] == [("Ada Brook", 2), ("", 2)]


def test_an_empty_reply_is_not_kept() -> None:
    model, cache = ScriptedChatModel().enqueue("", "", "Ada Brook"), ReplyCache(InMemoryCache())

    replies = [ask(model, PROMPT, VARIABLES, config=CONFIG, cache=cache).text for _ in range(3)]

    assert replies == ["", "Ada Brook", "Ada Brook"]


def line(text: str = "", **more: Any) -> bytes:
    """Return a line of a reply as Ollama writes it."""
    return json.dumps({"message": {"role": "assistant", "content": text}, "done": False, **more}).encode() + b"\n"


END = line(done=True, done_reason="stop", prompt_eval_count=18, eval_count=2)


def ollama(*bodies: bytes) -> tuple[ChatOllama, list[httpx.Request]]:
    """Return a model whose server sends these bodies, one a call, and what it is asked."""
    left, asked = list(bodies), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=left.pop(0))

    return ChatOllama(model="qwen2", sync_client_kwargs={"transport": httpx.MockTransport(answer)}), asked


@pytest.mark.parametrize(
    "body",
    [
        line("Ada"),
        b"",
        line("Ada") + b"\xff\xfe\n" + END,
        line("Ada") + END[: len(END) // 2],
        b"[1, 2]\n",
        b"<!doctype html>\n",
        line("Ada") + b'{"error": "the runner has crashed"}\n',
    ],
    ids=["without an end", "empty", "garbage", "cut", "another shape", "a page", "an error"],
)
def test_a_reply_that_is_damaged_on_its_way_is_asked_for_again(body: bytes) -> None:
    model, asked = ollama(body, line("Ada Brook") + END)

    assert ask(model, PROMPT, VARIABLES, config=CONFIG).text == "Ada Brook"
    assert len(asked) == 2


def test_a_server_that_sends_no_replies_is_told_from_one_that_is_not_there() -> None:
    model, _ = ollama(b"[]", b"[]", b"[]")

    with pytest.raises(ModelUnavailableError, match=r"qwen2 at its server sends what is no reply .* the server's log"):
        ask(model, PROMPT, VARIABLES, config=CONFIG)


@pytest.mark.parametrize("body", [line("la ") * 3000, line("la " * 60_000)], ids=["tokens", "characters"])
def test_a_reply_larger_than_the_context_window_is_stopped_and_an_error(body: bytes) -> None:
    model, asked = ollama(body + END)

    with pytest.raises(ModelResponseError, match=r"qwen2 does not end its reply .* 2048 tokens.* num_predict"):
        ask(model, PROMPT, VARIABLES, config=CONFIG)

    assert len(asked) == 1


class Dripping(FakeChatModel):
    """Says a word every few milliseconds, without an end."""

    _words: int = PrivateAttr(default=0)
    _ended: Event = PrivateAttr(default_factory=Event)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        assert run_manager is not None
        try:
            while True:
                self._words += 1
                run_manager.on_llm_new_token("la ")
                Event().wait(0.005)
        finally:
            self._ended.set()


def test_a_call_that_is_given_up_is_ended_at_its_next_token() -> None:
    model = Dripping()
    config = LongContextConfig(
        context_window=2048, chunk_tokens=128, answer_tokens=256, call_timeout=0.05, max_attempts=1
    )

    with pytest.raises(ModelUnavailableError, match=r"no reply within 0\.05 s"):
        ask(model, PROMPT, VARIABLES, config=config)

    assert model._ended.wait(5)
    assert model._words < 100


def test_who_listens_to_the_calls_around_still_does() -> None:
    class Listener(BaseCallbackHandler):
        names: ClassVar[list[str]] = []

        def on_chat_model_start(self, *_: Any, **told: Any) -> None:
            self.names.append(told["name"])

    prompt = PROMPT.model_copy(update={"name": "read"})

    def respond(_: object) -> str:
        return ask(ScriptedChatModel().enqueue("Ada"), prompt, VARIABLES, config=CONFIG).text

    assert RunnableLambda(respond).invoke(None, {"callbacks": [Listener()]}) == "Ada"
    assert Listener.names == ["read"]


def test_a_schema_is_given_as_json_or_openais_client_would_insist_on_a_reply_that_follows_it() -> None:
    model = create_chat_model("openai:qwen2", base_url="http://127.0.0.1:8000/v1")

    bound: Any = chat_models._constrained(chat_models._Identity(model), Verdict)

    assert bound.kwargs["response_format"]["json_schema"]["schema"]["required"] == ["relevant", "sentences"]


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


def test_langchains_own_setting_for_a_proxy_is_left_to_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_PROXY", "http://127.0.0.1:3128")

    model = create_chat_model("openai:qwen2", base_url="http://127.0.0.1:8000/v1")

    assert isinstance(model, ChatOpenAI)
    assert model.openai_proxy == "http://127.0.0.1:3128"


def test_an_openai_compatible_server_needs_no_key() -> None:
    model = create_chat_model("openai:Qwen/Qwen2-7B-Instruct", base_url="http://127.0.0.1:8000/v1")

    assert isinstance(model, ChatOpenAI)
    assert model.model_name == "Qwen/Qwen2-7B-Instruct"


@pytest.mark.parametrize("name", ["", "qwen2:7b", "ollama", "ollama:", "openai:", "azure:gpt"])
def test_a_name_of_another_form_is_refused_with_the_forms_there_are(name: str) -> None:
    with pytest.raises(InputError, match=r"ollama:NAME, embedded, embedded:PATH.gguf, openai:NAME"):
        create_chat_model(name)
