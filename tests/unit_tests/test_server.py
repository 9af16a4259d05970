"""The server from outside, over HTTP; only the model is scripted."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, HOPS_QUESTION, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from langserve import RemoteRunnable
from scripted import RuleChatModel, expert, only_after_reading
from serving import serving
from starlette.testclient import TestClient
from waiting import PATIENCE, Held, until

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.errors import InputError, ModelUnavailableError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.server import ServerSettings, create_app
from langchain_qwen_longctx.uploads import UploadLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

TOWN = [Document(chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT}), metadata={"source": "镇志.txt"})]
ASKED = {"question": TOWN_QUESTION, "level": "retrieve"}
STREAMED = {"Accept": "text/event-stream"}


class Answer(Protocol):
    """What starlette's test client and httpx have in common."""

    @property
    def text(self) -> str: ...


def app(model: RuleChatModel | None = None, settings: ServerSettings | None = None, **knobs: Any) -> FastAPI:
    return create_app(
        model=model or RuleChatModel(respond=EXPERT),
        documents=TOWN,
        config=LongContextConfig(**knobs),
        settings=settings,
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app()) as client:
        yield client


def events(answer: Answer) -> list[tuple[str, Any]]:
    """Return the names and the data of server-sent events."""
    blocks = [
        block.splitlines() for block in answer.text.replace("\r\n", "\n").split("\n\n") if block.startswith("event")
    ]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


class TestAsking:
    def test_a_question_gets_an_answer_with_its_citations(self, client: TestClient) -> None:
        result = client.post("/ask", json=ASKED).json()

        assert result["answer"] == "毛一清 [1]"
        assert result["citations"][0]["quote"] == TOWN_FACT

    def test_a_stream_tells_what_happens_and_ends_with_the_answer(self) -> None:
        with TestClient(app(RuleChatModel(respond=only_after_reading(EXPERT)))) as client:
            told = events(client.post("/ask", json={"question": HOPS_QUESTION, "level": "reason"}, headers=STREAMED))

        names = [name for name, _ in told]
        assert {"analysis", "retrieved", "chunk_read", "evidence_found", "hop", "draft_begin", "draft"} <= set(names)
        assert names.index("draft_begin") < names.index("draft")
        assert names[-1] == "result"
        assert told[-1][1]["answer"] == "岭下村 [1] [2]"

    def test_the_draft_is_what_the_model_writes(self, client: TestClient) -> None:
        told = events(client.post("/ask", json=ASKED, headers=STREAMED))

        assert "".join(data["text"] for name, data in told if name == "draft") == "毛一清 [1]"

    def test_characters_that_end_a_line_elsewhere_do_not_end_an_event(self, client: TestClient) -> None:
        question = "\u2028钟楼\u2029是\x85谁设计的？"

        # `events` divides lines as Python does, and as some clients do.
        told = events(client.post("/ask", json={**ASKED, "question": question}, headers=STREAMED))

        assert [name for name, _ in told][-1] == "result"
        assert told[-1][1]["question"] == question.strip()

    def test_a_follow_up_is_understood_from_the_conversation(self, client: TestClient) -> None:
        history = [{"type": "human", "content": TOWN_QUESTION}, {"type": "ai", "content": "毛一清 [1]"}]

        result = client.post(
            "/ask", json={"question": "她的出生地是哪里？", "level": "retrieve", "history": history}
        ).json()

        assert result["answer"] == "岭下村 [1]"

    def test_a_question_may_lower_the_budget(self, client: TestClient) -> None:
        assert client.post("/ask", json={**ASKED, "max_calls": 0}).json()["stopped"] == "budget"

    @pytest.mark.parametrize("headers", [{}, STREAMED])
    @pytest.mark.parametrize(
        ("question", "status", "detail"),
        [
            ({"question": " "}, 422, "ask something"),
            ({"question": "x", "collection": "no"}, 404, "there is no collection 'no'"),
            ({"question": "x", "level": "guess"}, 422, "'auto', 'retrieve'"),
            ({"question": "x" * 100_001}, 422, "at most 100000 characters"),
        ],
    )
    def test_a_bad_question_is_refused_with_the_reason(
        self, client: TestClient, headers: dict[str, str], question: dict[str, str], status: int, detail: str
    ) -> None:
        answer = client.post("/ask", json=question, headers=headers)

        told = dict(events(answer)).get("error") or {"status": answer.status_code, "detail": answer.text}
        assert told["status"] == status
        assert detail in told["detail"]

    @pytest.mark.parametrize(
        "question",
        [
            {"question": "\ud800"},
            {"question": "x", "max_seconds": float("nan")},
            {"question": "x", "history": [5]},
            {"question": 5, "level": "\udfff" * 1000},
        ],
    )
    def test_what_no_answer_could_repeat_is_refused_and_not_repeated(
        self, client: TestClient, question: dict[str, Any]
    ) -> None:
        answer = client.post("/ask", content=json.dumps(question), headers={"Content-Type": "application/json"})

        assert answer.status_code == 422
        assert all(set(fault) == {"loc", "msg"} for fault in answer.json()["detail"])
        assert len(answer.content) < 500

    def test_what_was_said_before_may_be_in_parts_of_which_only_text_counts(self, client: TestClient) -> None:
        picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}
        history = [{"type": "human", "content": [picture, {"type": "text", "text": TOWN_QUESTION}]}]

        question = {"question": "她的出生地是哪里？", "level": "retrieve", "history": history}

        assert client.post("/ask", json=question).json()["answer"] == "岭下村 [1]"

    def test_a_model_that_is_gone_is_named(self) -> None:
        def gone(_: object) -> Exception:
            return httpx.ConnectError("refused")

        with TestClient(app(RuleChatModel(respond=gone), max_attempts=1)) as client:
            answer, streamed = client.post("/ask", json=ASKED), client.post("/ask", json=ASKED, headers=STREAMED)

        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "scripted-qwen at its server does not answer" in answer.json()["detail"]
        assert events(streamed) == [("error", {"status": 503, "detail": answer.json()["detail"]})]

    def test_a_fault_of_the_server_stays_in_its_log(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(_: object) -> Exception:
            return ZeroDivisionError("secret")

        with TestClient(app(RuleChatModel(respond=fail)), raise_server_exceptions=False) as client:
            streamed = client.post("/ask", json=ASKED, headers=STREAMED)
            answer = client.post("/ask", json=ASKED)

        assert events(streamed) == [("error", {"status": 500, "detail": "a fault of the server; its log says more"})]
        assert answer.status_code == 500
        assert "secret" not in answer.text + streamed.text
        assert "secret" in caplog.text


class TestLangServe:
    def test_the_whole_is_a_remote_runnable(self) -> None:
        with serving(app()) as url:
            remote: Any = RemoteRunnable(f"{url}/qa")
            result = remote.invoke(ASKED)
            batch = remote.batch([ASKED, {**ASKED, "question": "毛一清的出生地是哪里？"}])
            chunks = list(remote.stream(ASKED))

        assert result["answer"] == "毛一清 [1]"
        assert [each["answer"] for each in batch] == ["毛一清 [1]", "岭下村 [1]"]
        assert chunks[-1]["answer"] == "毛一清 [1]"

    @pytest.mark.parametrize("level", ["retrieve", "read", "reason"])
    def test_each_level_has_a_route_of_its_own(self, client: TestClient, level: str) -> None:
        question = {"question": TOWN_QUESTION}

        output = client.post(f"/{level}/invoke", json={"input": question}).json()["output"]

        assert output["level"] == level
        assert output["found"]

    def test_events_have_the_progress_in_them(self, client: TestClient) -> None:
        answer = client.post("/qa/stream_events", json={"input": ASKED})

        data = [
            json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")
        ]
        names = {event["name"] for event in data if event["event"] == "on_custom_event"}
        assert {"analysis", "retrieved"} <= names

    def test_input_and_output_are_typed_in_the_description(self, client: TestClient) -> None:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]

        assert {"question", "level", "history", "collection", "max_calls", "max_seconds"} == set(
            schemas["QuestionAtLevel"]["properties"]
        )
        assert {"answer", "citations", "coverage", "usage"} <= set(schemas["QAOutput"]["properties"])
        assert "level" not in schemas["Question"]["properties"]

    def test_no_field_may_be_null_in_the_description_for_the_playground_is_blank_then(self, client: TestClient) -> None:
        assert "null" not in client.get("/qa/input_schema").text

    def test_the_playground_is_there(self, client: TestClient) -> None:
        page = client.get("/qa/playground/")

        script = page.text.partition('src="')[2].partition('"')[0]
        assert page.status_code == 200
        assert client.get(script).status_code == 200

    def test_a_client_cannot_set_what_the_graphs_are_configured_with(self, client: TestClient) -> None:
        config = {"configurable": {"thread_id": "theirs"}, "recursion_limit": 1, "max_concurrency": 1}

        answer = client.post("/qa/invoke", json={"input": ASKED, "config": config})

        assert answer.status_code == 200
        assert answer.json()["output"]["found"]


class TestDocuments:
    def test_an_upload_is_asked_looked_into_and_removed(self, client: TestClient) -> None:
        files = [("files", ("塔.txt", TOWN_FACT.encode()))]

        told = client.post("/collections", files=files)
        place = f"/collections/{told.json()['id']}"
        cited = client.post("/ask", json={**ASKED, "collection": told.json()["id"]}).json()["citations"][0]
        passage = client.get(f"{place}/passage", params={name: cited[name] for name in ("source", "start", "end")})

        assert told.status_code == 201
        assert client.get(place).json()["documents"] == [
            {"source": "塔.txt", "characters": 11, "chunks": 1, "pages": None}
        ]
        assert passage.json()["quote"] == cited["quote"] == TOWN_FACT
        assert client.delete(place).status_code == 204
        assert client.get(place).status_code == 404

    def test_no_other_file_of_the_machine_can_be_had(self, client: TestClient) -> None:
        span = {"start": 0, "end": 4}

        answers = [
            client.get("/collections/served/passage", params={**span, "source": "/etc/passwd"}),
            client.get("/collections/..%2f..%2fetc/passage", params={**span, "source": "passwd"}),
            client.get("/page/..%2f..%2fserver.py"),
            client.get("/page/../server.py"),
        ]

        assert [answer.status_code for answer in answers] == [404] * 4

    def test_an_upload_that_is_too_large_is_refused_before_it_is_taken(self) -> None:
        settings = ServerSettings(upload=UploadLimits(max_file_bytes=1_000, max_files=2))
        with TestClient(app(settings=settings)) as client:
            declared = client.post("/collections", files=[("files", ("a.txt", b"x" * 2_000_000))])
            undeclared = client.post(
                "/collections",
                content=iter([b"x" * 600_000] * 4),
                headers={"Content-Type": "multipart/form-data; boundary=b"},
            )
            one = client.post("/collections", files=[("files", ("a.txt", b"x" * 1_001))])

        assert [declared.status_code, undeclared.status_code, one.status_code] == [413, 413, 413]
        assert "larger than 1,002,000 bytes" in declared.json()["detail"]
        assert "a.txt has 1,001 bytes" in one.json()["detail"]

    def test_a_name_that_is_no_text_does_not_keep_an_answer_from_the_client(self) -> None:
        odd = Document("It rained. Ada Brook took the chair.", metadata={"source": "caf\udce9.txt"})
        respond = expert({"chair": ("Ada Brook took the chair.", "Ada Brook")})
        with TestClient(create_app(model=RuleChatModel(respond=respond), documents=[odd])) as client:
            told = client.get("/info").json()["served"]["documents"][0]
            asked = {"question": "Who took the chair?", "level": "retrieve"}
            cited = client.post("/ask", json=asked).json()["citations"][0]
            where = {name: cited[name] for name in ("source", "start", "end")}
            passage = client.get("/collections/served/passage", params=where)

        assert told["source"] == cited["source"] == r"caf\udce9.txt"
        assert passage.json()["quote"] == cited["quote"]

    def test_a_server_may_begin_without_documents(self) -> None:
        with TestClient(create_app(model=RuleChatModel(respond=EXPERT))) as client:
            told, answer = client.get("/info").json(), client.post("/ask", json=ASKED)

        assert told["served"] is None
        assert answer.status_code == 404
        assert "upload some first" in answer.json()["detail"]

    def test_documents_and_their_index_at_once_are_refused(self) -> None:
        index = BilingualBM25Retriever.from_documents([Document("a", metadata={"source": "a"})])
        with pytest.raises(InputError, match="either documents or a retriever"):
            create_app(model=RuleChatModel(respond=EXPERT), documents=TOWN, retriever=index)


class TestOperations:
    def test_no_page_of_it_loads_anything_from_elsewhere(self, client: TestClient) -> None:
        assert [client.get(page).status_code for page in ("/docs", "/redoc")] == [404, 404]
        assert "http" not in client.get("/").text.replace("http://www.w3.org/2000/svg", "")

    def test_it_says_what_it_has(self, client: TestClient) -> None:
        told = client.get("/info").json()

        assert told["model"] == "scripted-qwen"
        assert told["served"]["documents"][0]["source"] == "镇志.txt"
        assert ".pdf" in told["upload"]["suffixes"]

    def test_it_is_alive_and_ready_as_long_as_the_model_is(self) -> None:
        def gone() -> None:
            msg = "no server answers; start it"
            raise ModelUnavailableError(msg)

        model = RuleChatModel(respond=EXPERT)
        with TestClient(create_app(model=model)) as well, TestClient(create_app(model=model, check=gone)) as ill:
            assert well.get("/ready").json() == {"status": "ready", "model": "scripted-qwen"}
            assert ill.get("/ready").status_code == 503
            assert ill.get("/ready").json()["detail"] == "no server answers; start it"
            assert ill.get("/health").json() == {"status": "ok"}

    async def test_who_asks_at_once_whether_it_is_ready_shares_one_check(self) -> None:
        checks, may_end = [], Event()

        def check() -> None:
            checks.append(may_end.wait(PATIENCE))

        transport = httpx.ASGITransport(create_app(model=RuleChatModel(respond=EXPERT), check=check))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            asked = [asyncio.create_task(client.get("/ready")) for _ in range(4)]
            # Nothing comes over a network, so that each gets as far as it can.
            for _ in range(1000):
                await asyncio.sleep(0)
            may_end.set()
            answers = await asyncio.gather(*asked)
            await client.get("/ready")

        assert [answer.status_code for answer in answers] == [200] * 4
        assert checks == [True] * 2

    def test_every_status_that_a_route_may_answer_is_described(self, client: TestClient) -> None:
        paths = client.get("/openapi.json").json()["paths"]

        for path in ("/ask", "/collections", "/collections/{collection_id}/passage", "/v1/chat/completions"):
            for operation in paths[path].values():
                assert {"400", "401", "403", "404", "408", "413", "422", "502", "503"} <= set(operation["responses"])
        assert set(paths["/ask"]["post"]["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
        assert "text/event-stream" in paths["/qa/stream"]["post"]["responses"]["200"]["content"]

    def test_it_counts_questions_calls_and_tokens(self) -> None:
        with TestClient(app()) as client:
            usage = client.post("/ask", json=ASKED).json()["usage"]
            client.post("/ask", json={**ASKED, "collection": "no"})
            figures = client.get("/metrics").text

        for line in (
            'longctx_questions_total{level="retrieve",outcome="found"} 1.0',
            'longctx_questions_total{level="",outcome="error"} 1.0',
            f'longctx_model_calls_total{{kind="model"}} {usage["model_calls"]}.0',
            f'longctx_tokens_total{{kind="input"}} {usage["input_tokens"]}.0',
            f"longctx_turn_wait_seconds_count {usage['model_calls']}.0",
            "longctx_questions_under_way 0.0",
            "longctx_calls_waiting 0.0",
        ):
            assert f"\n{line}\n" in figures

    def test_the_page_lets_nothing_run_but_its_own(self, client: TestClient) -> None:
        page = client.get("/")

        assert page.status_code == 200
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]


class TestWhoMayAsk:
    @pytest.mark.parametrize("key", ["", " ", "two words", "schlüssel", "a\nb"])
    def test_a_key_that_would_let_everyone_in_or_nobody_is_refused(self, key: str) -> None:
        with pytest.raises(InputError, match="a key is empty, which would let everyone in"):
            ServerSettings(api_keys=("anna", key))

    def test_without_a_key_only_the_page_and_the_servers_health_are_open(self) -> None:
        with TestClient(app(settings=ServerSettings(api_keys=("anna", "ben")))) as client:
            closed = [
                client.post("/ask", json=ASKED),
                client.get("/info"),
                client.get("/openapi.json"),
                client.get("/metrics"),
            ]
            opened = [client.get("/"), client.get("/page/page.js"), client.get("/health"), client.get("/ready")]
            wrong = client.get("/info", headers={"Authorization": "Bearer eve"})
            right = [client.get("/info", headers={"Authorization": f"Bearer {key}"}) for key in ("anna", "ben")]

        assert {answer.status_code for answer in closed} == {401}
        assert "Authorization: Bearer KEY" in closed[0].json()["detail"]
        assert {answer.status_code for answer in opened} == {200}
        assert wrong.status_code == 401
        assert {answer.status_code for answer in right} == {200}

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_the_page_of_another_site_may_not_ask(self, client: TestClient, site: str) -> None:
        assert client.post("/ask", json=ASKED, headers={"Sec-Fetch-Site": site}).status_code == 403
        assert client.post("/ask", json=ASKED, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200

    def test_a_name_that_a_web_site_points_here_is_refused(self) -> None:
        with TestClient(app(settings=ServerSettings(allowed_hosts=("127.0.0.1",)))) as client:
            assert client.get("/health", headers={"Host": "rebound.example"}).status_code == 400
            assert client.get("/health", headers={"Host": "127.0.0.1:8000"}).status_code == 200

    def test_more_requests_than_it_can_take_are_told_to_come_again(self) -> None:
        held = Held(EXPERT)
        slow = app(RuleChatModel(respond=held), ServerSettings(max_requests=1))
        with serving(slow) as url, httpx.Client(base_url=url) as client, held, asking(url, ASKED, STREAMED) as first:
            held.wait_until_asked()
            second, reading = client.post("/ask", json=ASKED), client.get("/info")
            held.let_go()
            first.getresponse().read()
            until(lambda: client.post("/ask", json=ASKED).status_code == 200)

        assert second.status_code == 503
        assert second.headers["retry-after"] == "5"
        assert reading.status_code == 200

    @pytest.mark.parametrize("headers", [{}, STREAMED])
    def test_the_work_for_a_client_that_goes_is_not_done(self, headers: dict[str, str]) -> None:
        held = Held(EXPERT)
        model = RuleChatModel(respond=held)
        # While the only request is under way, whatever else would change something is told to come again.
        one_at_a_time = app(model, ServerSettings(max_requests=1))
        with serving(one_at_a_time) as url, httpx.Client(base_url=url) as client:
            with held:
                with asking(url, {"question": HOPS_QUESTION, "level": "reason"}, headers):
                    held.wait_until_asked()
                until(lambda: client.delete("/collections/none").status_code == 404)
                made = model.calls
            until(lambda: "longctx_questions_under_way 0.0" in client.get("/metrics").text)

        # By now the server has ended, and so have the threads that its questions ran in.
        assert model.calls == made


@contextmanager
def asking(url: str, question: dict[str, str], headers: dict[str, str]) -> Iterator[HTTPConnection]:
    """Send a question, and close the connection that the answer would come on."""
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)) as connection:
        connection.request("POST", "/ask", json.dumps(question), {"Content-Type": "application/json", **headers})
        yield connection
