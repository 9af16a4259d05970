"""LangServe's routes, where LangServe alone would fail."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from command_line import EXPERT
from langchain_core.documents import Document
from langserve import RemoteRunnable
from scripted import RuleChatModel
from serving import serving
from starlette.testclient import TestClient
from waiting import Held, until

from langchain_qwen_longctx.langserve_routes import MAX_BATCH
from langchain_qwen_longctx.server import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES = [Document("It rained. Ada Brook took the chair. It snowed.", metadata={"source": "minutes.txt"})]
ASKED = {"question": "Who took the chair?", "level": "retrieve"}
ROUTES = ("/qa/invoke", "/qa/batch", "/qa/stream", "/qa/stream_log", "/qa/stream_events", "/read/invoke")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(model=RuleChatModel(respond=EXPERT), documents=MINUTES)) as client:
        yield client


def body_of(route: str, question: object) -> dict[str, Any]:
    return {"inputs": [question]} if route.endswith("/batch") else {"input": question}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"input": "\xff"}', b"[" * 100_000, b'{"input": ' + b"9" * 5000 + b"}"],
    ids=["nothing", "cut off", "no UTF-8", "deep", "digits"],
)
def test_a_body_that_is_no_json_is_refused(client: TestClient, route: str, body: bytes) -> None:
    answer = client.post(route, content=body)

    assert answer.status_code == 400
    assert answer.json()["detail"] == "the body is no JSON, or none that can be read"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "question",
    [
        None,
        5,
        {},
        {"question": " "},
        {"question": "\ud800"},
        {"question": "x", "history": [1]},
        {"question": "x", "max_seconds": float("nan")},
        {"question": "x", "history": [{"lc": 1, "type": "constructor", "id": ["langchain_core", "x"], "kwargs": {}}]},
    ],
)
def test_what_is_no_question_is_refused_without_being_repeated(client: TestClient, route: str, question: Any) -> None:  # noqa: ANN401
    answer = client.post(route, content=json.dumps(body_of(route, question)))

    assert answer.status_code == 422
    assert all(set(fault) == {"loc", "msg"} for fault in answer.json()["detail"])


@pytest.mark.parametrize("route", ROUTES)
def test_a_collection_that_is_not_there_is_told_before_a_stream_begins(client: TestClient, route: str) -> None:
    assert client.post(route, json=body_of(route, {"question": "x", "collection": "no"})).status_code == 404


@pytest.mark.parametrize(
    "inputs", [None, "abc", {"a": 1}, [ASKED] * (MAX_BATCH + 1)], ids=["none", "text", "object", "many"]
)
def test_a_batch_is_a_list_of_so_many_questions_at_most(client: TestClient, inputs: Any) -> None:  # noqa: ANN401
    answer = client.post("/qa/batch", json={"inputs": inputs})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == "there must be a list of at most 100 questions"


def test_a_configuration_that_is_null_is_refused(client: TestClient) -> None:
    assert client.post("/qa/invoke", json={"input": ASKED, "config": None}).status_code == 422


@pytest.mark.parametrize("file", ["%00", "assets", "assets/", "..%2f..%2fserver.py", "/etc/passwd", "x%0a.js"])
def test_the_playground_has_no_other_files_than_its_own(client: TestClient, file: str) -> None:
    assert client.get(f"/qa/playground/{file}").status_code == 404


def test_a_batch_is_answered_as_many_questions_at_a_time_as_there_are_calls() -> None:
    held = Held(EXPERT)
    app = create_app(model=RuleChatModel(respond=held), documents=MINUTES)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor() as pool, held:
        batch = pool.submit(client.post, "/qa/batch", json={"inputs": [ASKED] * 9})
        held.wait_until_asked()
        until(lambda: "longctx_questions_under_way 2.0" in httpx.get(f"{url}/metrics").text)
        figures = httpx.get(f"{url}/metrics").text
        held.let_go()
        answers = batch.result().json()["output"]

    assert "longctx_questions_under_way 2.0" in figures
    assert len(answers) == 9


def test_characters_that_end_a_line_elsewhere_do_not_end_an_event() -> None:
    question = "Who\u2028took\u2029the\u0085chair?"
    with serving(create_app(model=RuleChatModel(respond=EXPERT), documents=MINUTES)) as url:
        remote: Any = RemoteRunnable(f"{url}/qa")
        answers = list(remote.stream({**ASKED, "question": question}))

    assert answers[-1]["question"] == question
