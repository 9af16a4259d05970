"""What `doctor` prints of what is there and of what a model can do, and the exit codes that stand for it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from command_line import NOWHERE, Shell, take
from ollama_server import FakeOllama, ServedModel
from scripted import NOT_FOUND, RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import doctor
from langchain_qwen_longctx.sample_texts import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage

FAULTLESS = expert({sample.question: (sample.sentences[2].page_content, sample.answer) for sample in SAMPLES})
MODEL = ("--model", "ollama:scripted-qwen", "--concurrency", "1")


@pytest.fixture(autouse=True)
def _no_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "has_embedded", lambda: False)


@pytest.fixture
def faultless(monkeypatch: pytest.MonkeyPatch) -> RuleChatModel:
    return take(RuleChatModel(respond=FAULTLESS), monkeypatch)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama([ServedModel("qwen2:7b")]) as server:
        yield server


class TestSelfTest:
    def test_without_it_no_model_is_called_and_the_way_to_it_is_told(
        self, shell: Shell, faultless: RuleChatModel, ollama: FakeOllama
    ) -> None:
        result = shell("doctor", "--base-url", ollama.url)

        assert result.code == 0
        assert faultless.calls == 0
        assert result.out.endswith("\nWhether a model can do its part, and how fast: qwen-longctx doctor --self-test\n")

    @pytest.mark.parametrize("options", [("--self-test",), MODEL], ids=lambda options: options[0])
    def test_what_a_model_can_do_comes_after_what_there_is(
        self, shell: Shell, faultless: RuleChatModel, ollama: FakeOllama, options: tuple[str, ...]
    ) -> None:
        result = shell("doctor", "--base-url", ollama.url, *options)

        subjects = [line[8:24].strip() for line in result.out.splitlines() if not line.startswith(" ")]
        assert result.code == 0
        assert result.err == "Model: ollama:scripted-qwen\n"
        assert subjects.index("Ollama server") < subjects.index("reading") < subjects.index("to expect")
        assert "ok      declining       tells a text that answers from one that does not, in English" in result.out

    def test_a_model_that_fails_is_exit_code_1(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        respond = expert({}, read="It is sentence 3.", answer=NOT_FOUND, check="no")
        take(RuleChatModel(respond=respond), monkeypatch)

        result = shell("doctor", *MODEL)

        assert result.code == 1
        assert "fails   reading         replies are not the JSON that is asked for" in result.out
        assert "fails   declining       declines though the text answers" in result.out

    def test_a_weakness_is_exit_code_0(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            is_unanswered = prompt_of(messages) == "CHECK" and SAMPLES[0].unanswered in messages[-1].text
            return "yes" if is_unanswered else FAULTLESS(messages)

        take(RuleChatModel(respond=respond), monkeypatch)

        result = shell("doctor", *MODEL)

        assert result.code == 0
        assert "note    declining       weak at declining: " in result.out

    def test_a_model_that_does_not_answer_is_exit_code_3(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        take(RuleChatModel(respond=lambda _: ConnectionError("gone")), monkeypatch)

        result = shell("doctor", *MODEL)

        assert result.code == 3
        assert "does not answer (gone)" in result.err

    def test_without_a_model_there_is_nothing_to_test(self, shell: Shell, faultless: RuleChatModel) -> None:
        result = shell("doctor", "--self-test")

        assert result.code == 3
        assert "No model can answer yet. Get one:" in result.out
        assert faultless.calls == 0

    def test_a_window_that_is_too_small_is_bad_input(self, shell: Shell, faultless: RuleChatModel) -> None:
        result = shell("doctor", *MODEL, "--context-window", "100")

        assert result.code == 2
        assert "context_window is 100" in result.err


class TestJSON:
    def test_it_is_one_object_with_all_that_was_found(
        self, shell: Shell, faultless: RuleChatModel, ollama: FakeOllama
    ) -> None:
        result = shell("doctor", "--json", "--self-test", "--base-url", ollama.url)

        found = json.loads(result.out)
        assert found["usable"] is True
        assert {check["subject"] for check in found["checks"]} >= {"package", "Ollama model", "extra", "reading"}
        assert found["checks"][0].keys() == {"status", "subject", "finding", "remedy"}

    def test_without_a_model_it_says_so_and_the_exit_code_is_the_same(self, shell: Shell) -> None:
        result = shell("doctor", "--json")

        assert (result.code, json.loads(result.out)["usable"]) == (3, False)


class TestExtras:
    @pytest.mark.parametrize("extra", ["openai", "server", "mcp", "langgraph-server", "eval"])
    def test_one_that_is_not_installed_is_told_with_the_line_that_installs_it(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, extra: str
    ) -> None:
        missing = doctor.EXTRAS[extra][0]
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else find_spec(name))

        lines = shell("doctor").out.splitlines()

        (place,) = (
            number for number, line in enumerate(lines) if line.startswith(f"note    extra           {extra}, ")
        )
        assert lines[place].endswith("is not installed")
        assert lines[place + 1].strip() == f'-> pip install "langchain-qwen-longctx[{extra}]"'

    def test_one_that_is_there_is_told_with_its_version(self, shell: Shell) -> None:
        pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

        assert (
            f"ok      extra           mcp, for qwen-longctx mcp (mcp {doctor._version('mcp')})\n" in shell("doctor").out
        )


def test_an_openai_server_is_not_asked_whether_it_is_ollama(shell: Shell, faultless: RuleChatModel) -> None:
    result = shell("doctor", "--model", "openai:any", "--base-url", "http://127.0.0.1:9/v1", "--concurrency", "1")

    assert result.code == 0
    assert f"no Ollama server answers at {NOWHERE}" in result.out
