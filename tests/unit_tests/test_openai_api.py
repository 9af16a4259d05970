"""The route for OpenAI's clients, asked by OpenAI's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, HOPS_QUESTION, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI, UnprocessableEntityError
from scripted import RuleChatModel, only_after_reading
from serving import serving

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.openai_api import annotate
from langchain_qwen_longctx.server import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionMessageParam

    from langchain_qwen_longctx.schemas import QAOutput

MODEL = "qwen-longctx-retrieve"


TOWN = Document(chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT}), metadata={"source": "镇志.txt"})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_app(model=RuleChatModel(respond=EXPERT), documents=[TOWN])) as url:
        yield url


def client_of(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with client_of(url) as client:
        yield client


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_the_levels_are_its_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [
        "qwen-longctx",
        "qwen-longctx-retrieve",
        "qwen-longctx-read",
        "qwen-longctx-reason",
    ]


def test_an_answer_has_what_it_cost_and_annotations_that_lead_to_the_passages(client: OpenAI, url: str) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=asked(TOWN_QUESTION))

    message = completion.choices[0].message
    assert message.content == "毛一清 [1]"
    assert message.annotations
    citation = message.annotations[0].url_citation
    assert message.content[citation.start_index : citation.end_index] == "[1]"
    assert citation.title == "镇志.txt"
    assert citation.url.startswith(url)
    assert httpx.get(citation.url).json()["quote"] == TOWN_FACT
    assert completion.usage
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 0


def test_a_stream_thinks_aloud_and_then_says_only_what_is_certain() -> None:
    reader = RuleChatModel(respond=only_after_reading(EXPERT))
    with serving(create_app(model=reader, documents=[TOWN])) as url, client_of(url) as client:
        chunks = list(
            client.chat.completions.create(model="qwen-longctx-reason", messages=asked(HOPS_QUESTION), stream=True)
        )

    deltas: list[Any] = [chunk.choices[0].delta for chunk in chunks]
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert "".join(delta.content or "" for delta in deltas) == "岭下村 [1] [2]"
    assert f"{TOWN_QUESTION} -> 毛一清\n" in thoughts
    assert f"- 镇志.txt: {BIRTH_FACT}\n" in thoughts
    assert [len(delta.annotations) for delta in deltas if getattr(delta, "annotations", None)] == [2]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage


def test_what_was_said_before_is_the_conversation(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "Be brief."},
        *asked(TOWN_QUESTION),
        {"role": "assistant", "content": "毛一清 [1]"},
        {"role": "user", "content": [{"type": "text", "text": "她的出生地是哪里？"}]},
    ]

    completion = client.chat.completions.create(model=MODEL, messages=messages)

    assert completion.choices[0].message.content == "岭下村 [1]"


def test_a_message_in_many_parts_may_be_longer_than_one(client: OpenAI) -> None:
    long: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": [{"type": "text", "text": "x" * 60_000}, {"type": "text", "text": "y" * 60_000}]},
        {"role": "assistant", "content": "毛一清 [1]"},
        *asked(TOWN_QUESTION),
    ]

    completion = client.chat.completions.create(model=MODEL, messages=long)

    assert completion.choices[0].message.content


def test_a_model_that_is_gone_says_when_to_come_again() -> None:
    def gone(_: object) -> Exception:
        return httpx.ConnectError("refused")

    app = create_app(
        model=RuleChatModel(respond=gone), config=LongContextConfig(max_attempts=1), documents=[Document("x")]
    )
    with (
        serving(app) as url,
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(InternalServerError, match="does not answer") as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=asked("x"))

    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (503, "5")


def test_an_upload_is_asked_by_its_name(client: OpenAI, url: str) -> None:
    upload = httpx.post(f"{url}/collections", files={"files": ("塔.txt", TOWN_FACT.encode())}).json()

    completion = client.chat.completions.create(
        model=MODEL, messages=asked(TOWN_QUESTION), extra_body={"collection": upload["id"]}
    )

    annotations = completion.choices[0].message.annotations or []
    assert [each.url_citation.title for each in annotations] == ["塔.txt"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "gpt-5"}, UnprocessableEntityError, "there is no model 'gpt-5'; take one of qwen-longctx, "),
        ({"messages": [{"role": "system", "content": "x"}]}, UnprocessableEntityError, "must be the user's question"),
        ({"messages": [*asked("x"), {"role": "assistant", "content": "y"}]}, UnprocessableEntityError, "last message"),
        ({"messages": asked(" ")}, UnprocessableEntityError, "ask something"),
        ({"extra_body": {"collection": "no"}}, NotFoundError, "there is no collection 'no'"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(
    client: OpenAI, arguments: dict[str, Any], error: type[BadRequestError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": asked("x"), **arguments})

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "invalid_request_error"


def test_a_marker_that_names_no_citation_gets_no_annotation() -> None:
    result: Any = {"answer": "It is so [1], or so [2].", "citations": [citation(page=3)]}
    whole: QAOutput = result

    annotations = annotate(whole, "served", "http://here/")

    assert [each["url_citation"]["start_index"] for each in annotations] == [9]
    assert annotations[0]["url_citation"]["title"] == "a b.pdf, page 3"
    assert annotations[0]["url_citation"]["url"] == (
        "http://here/collections/served/passage?source=a%20b.pdf&start=4&end=9"
    )


def citation(page: int) -> dict[str, Any]:
    return {"quote": "so it", "source": "a b.pdf", "page": page, "start": 4, "end": 9, "chunk_id": "c"}
