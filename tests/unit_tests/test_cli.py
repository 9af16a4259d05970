"""The command line: what it prints where, its exit codes, and one clear line for everything that goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest
from click.testing import CliRunner
from command_line import (
    BIRTH_QUESTION,
    EXPERT,
    HOPS_QUESTION,
    NOWHERE,
    TOWN_FACT,
    TOWN_QUESTION,
    Result,
    Shell,
    take,
)
from ollama_server import FakeOllama, ServedModel
from scripted import RuleChatModel, ScriptedChatModel

from langchain_qwen_longctx import __version__, doctor
from langchain_qwen_longctx.cli import cli
from langchain_qwen_longctx.cli_options import LEVELS
from langchain_qwen_longctx.schemas import Level, SearchPlan
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langchain_core.outputs import ChatResult
    from syrupy.assertion import SnapshotAssertion

HARBOUR = "The harbour was built in 1887 by the town council.\r\n\r\nBoats carry salt from the marsh.\r\n"
CHINESE = "灯塔的看守人住在岛上。\r\n\r\n港口由镇议会于1887年建造。\r\n"
QUESTION = "When was the harbour built?"
PLAN = SearchPlan(
    information=QUESTION,
    question_en=QUESTION,
    question_zh="港口是什么时候建造的？",
    keywords_en=["harbour"],
    keywords_zh=["港口"],
).model_dump_json()
ANSWER = "It was built in 1887 [1]."
DECLINED = "NOT FOUND"


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.txt"
    path.write_bytes(HARBOUR.encode())
    return path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedChatModel:
    return take(ScriptedChatModel(), monkeypatch)


class TestAsk:
    def test_the_answer_goes_to_stdout_and_nothing_else(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, harbour)

        assert result.out == f"{ANSWER}\n\n[1] {harbour}: The harbour was built in 1887 by the town council.\n"

    def test_model_documents_and_cost_go_to_stderr(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, harbour)

        named, indexed, cost = result.err.splitlines()
        assert named == "Model: ollama:scripted-qwen"
        assert indexed == "Documents: 1 (1 read), 1 chunks"
        assert cost.startswith("Read 1 of 1 chunks, 2 model calls, ")

    def test_an_answer_exits_with_0(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, ANSWER)

        assert shell("ask", QUESTION, harbour).code == 0

    def test_a_question_that_the_documents_do_not_answer_exits_with_1(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        model.enqueue(PLAN, DECLINED)

        result = shell("ask", QUESTION, harbour)

        assert (result.code, result.out) == (1, "The documents do not answer this question.\n")

    def test_an_answer_that_nothing_supports_exits_with_1(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        model.enqueue(PLAN, "Perhaps by Martians, nobody knows.")

        result = shell("ask", QUESTION, harbour)

        assert result.code == 1
        assert result.out.endswith("(No passage supports this.)\n")

    def test_an_interruption_exits_with_130_and_says_what_is_kept(
        self, shell: Shell, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Interrupted(ScriptedChatModel):
            def _generate(self, *_: object, **__: object) -> ChatResult:
                raise KeyboardInterrupt

        take(Interrupted(), monkeypatch)

        result = shell("ask", QUESTION, harbour)

        assert (result.code, result.out) == (130, "")
        assert result.err.splitlines()[-1].startswith("Interrupted. Saved indexes are kept")
        assert "Traceback" not in result.err

    def test_a_folder_is_searched(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        (harbour.parent / "notes").mkdir()
        path = harbour.rename(harbour.parent / "notes" / "harbour.txt")
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, path.parent)

        assert f"[1] {path}: " in result.out

    def test_several_paths_are_searched_together(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, tmp_path: Path
    ) -> None:
        chinese = tmp_path / "港口.md"
        chinese.write_text(CHINESE)
        model.enqueue(PLAN, "港口是哪年建造的？", "1887 [1][2].")

        result = shell("ask", "--json", QUESTION, harbour, chinese)

        assert {citation["source"] for citation in json.loads(result.out)["citations"]} == {str(harbour), str(chinese)}

    def test_a_dash_reads_standard_input(self, shell: Shell, model: ScriptedChatModel) -> None:
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, "-", stdin=HARBOUR)

        assert "[1] stdin: The harbour was built in 1887" in result.out

    def test_a_file_in_a_folder_that_cannot_be_read_is_named_and_the_rest_answers(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        broken = harbour.parent / "here" / "broken.pdf"
        broken.write_bytes(b"\x00\x01 no pdf")
        harbour.rename(broken.with_name("harbour.txt"))
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, broken.parent)

        assert result.code == 0
        assert f"Skipped {broken}: " in result.err
        assert "Documents: 1 (1 read, 1 skipped)" in result.err

    def test_it_answers_though_a_file_name_is_not_unicode(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        path = harbour.rename(harbour.parent / "caf\udce9.txt")
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, path)

        assert result.code == 0
        assert "caf\\udce9.txt: The harbour" in result.out

    def test_every_option_has_a_variable_in_the_environment(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QWEN_LONGCTX_ASK_MODEL", "ollama:from-the-environment")
        monkeypatch.setenv("QWEN_LONGCTX_ASK_JSON", "1")
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, harbour)

        assert json.loads(result.out)["found"]
        assert "Model: ollama:from-the-environment" in result.err

    def test_an_option_weighs_more_than_the_environment(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QWEN_LONGCTX_ASK_MODEL", "ollama:from-the-environment")
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", "--model", "ollama:given", QUESTION, harbour)

        assert "Model: ollama:given" in result.err

    def test_a_small_context_window_will_do(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, ANSWER)

        assert shell("ask", "--context-window", "2048", QUESTION, harbour).code == 0


KEYS = {"question", "answer", "found", "level", "citations", "steps", "coverage", "usage", "stopped"}
CITATION_KEYS = {"quote", "source", "page", "start", "end", "chunk_id"}
COVERAGE_KEYS = {"chunks_total", "chunks_read", "chunks_relevant", "chunks_failed", "chunks_skipped"}
USAGE_KEYS = {"model_calls", "cached_calls", "input_tokens", "output_tokens", "seconds"}


class TestJson:
    def test_stdout_is_one_object_with_the_keys_of_the_contract(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path
    ) -> None:
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", "--json", QUESTION, harbour)

        output = json.loads(result.out)
        assert output.keys() == KEYS
        assert output["citations"][0].keys() == CITATION_KEYS
        assert output["coverage"].keys() == COVERAGE_KEYS
        assert output["usage"].keys() == USAGE_KEYS

    def test_its_values_are_those_of_the_answer(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, ANSWER)

        output = json.loads(shell("ask", "--json", QUESTION, harbour).out)

        assert (output["question"], output["answer"], output["found"]) == (QUESTION, ANSWER, True)
        assert (output["level"], output["steps"], output["stopped"]) == ("retrieve", [], None)
        assert output["usage"]["model_calls"] == 2

    def test_no_answer_is_an_object_too(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, DECLINED)

        result = shell("ask", "--json", QUESTION, harbour)

        output = json.loads(result.out)
        assert result.code == 1
        assert (output["found"], output["citations"]) == (False, [])

    @pytest.mark.parametrize("text", [HARBOUR, CHINESE, HARBOUR.replace("\r\n", "\n")])
    def test_a_quote_is_verbatim_what_the_file_holds_between_its_offsets(
        self, shell: Shell, model: ScriptedChatModel, tmp_path: Path, text: str
    ) -> None:
        path = tmp_path / "text.md"
        path.write_bytes(text.encode())
        translation = ["港口是哪年建造的？"] if text == CHINESE else []
        model.enqueue(PLAN, *translation, "1887 [1].")

        output = json.loads(shell("ask", "--json", QUESTION, path).out)

        (citation,) = output["citations"]
        assert "1887" in citation["quote"]
        assert path.read_bytes().decode()[citation["start"] : citation["end"]] == citation["quote"]
        assert (citation["source"], citation["page"]) == (str(path), None)

    def test_chinese_stays_readable(self, shell: Shell, model: ScriptedChatModel, tmp_path: Path) -> None:
        (tmp_path / "港口.md").write_text(CHINESE)
        model.enqueue(PLAN, "1887年[1]。")

        assert "港口由镇议会于1887年建造" in shell("ask", "--json", "港口何时建造？", tmp_path / "港口.md").out


class TestMistakes:
    @pytest.fixture(autouse=True)
    def _model(self, model: ScriptedChatModel) -> None:
        """Without a reply to give: a mistake must be found before a call."""

    @staticmethod
    def assert_one_line(result: Result, *parts: str | Path) -> None:
        assert result.code == 2
        assert result.out == ""
        assert len(result.complaint.splitlines()) == 1
        assert result.complaint.startswith("Error: ")
        assert [part for part in map(str, parts) if part not in result.complaint] == []

    @pytest.mark.parametrize("question", ["", "  \n"])
    def test_a_blank_question(self, shell: Shell, harbour: Path, question: str) -> None:
        self.assert_one_line(shell("ask", question, harbour), "the question is empty; ask something")

    def test_a_question_longer_than_the_window(self, shell: Shell, harbour: Path) -> None:
        result = shell("ask", " ".join(["why"] * 9000), harbour)

        assert result.code == 2
        assert "the question has 9000 tokens" in result.err.splitlines()[-1]
        assert "shorten it to" in result.err.splitlines()[-1]

    def test_a_path_to_nothing(self, shell: Shell, tmp_path: Path) -> None:
        self.assert_one_line(shell("ask", QUESTION, tmp_path / "no.txt"), tmp_path / "no.txt", "check the path")

    def test_a_path_that_is_empty_does_not_stand_for_the_working_folder(self, shell: Shell, harbour: Path) -> None:
        harbour.rename(harbour.parent / "here" / "harbour.txt")

        self.assert_one_line(shell("ask", QUESTION, ""), "no path in ['']; give a file, a folder, or '-'")

    def test_question_and_path_in_the_wrong_order(self, shell: Shell, harbour: Path) -> None:
        question = "Who built the harbour, and when? " * 20

        self.assert_one_line(shell("ask", harbour, question), question, "check the path")

    def test_an_empty_folder(self, shell: Shell, tmp_path: Path) -> None:
        self.assert_one_line(shell("ask", QUESTION, tmp_path / "here"), tmp_path / "here", "what can be read")

    def test_an_empty_file(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "empty.txt").touch()

        self.assert_one_line(shell("ask", QUESTION, tmp_path / "empty.txt"), "empty.txt", "the file is empty")

    def test_empty_standard_input(self, shell: Shell) -> None:
        self.assert_one_line(shell("ask", QUESTION, "-"), "stdin", "is empty")

    def test_a_pdf_that_is_none(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "junk.pdf").write_bytes(bytes(range(256)))

        self.assert_one_line(shell("ask", QUESTION, tmp_path / "junk.pdf"), "junk.pdf")

    def test_a_context_window_that_is_too_small(self, shell: Shell, harbour: Path) -> None:
        result = shell("ask", "--context-window", "100", QUESTION, harbour)

        self.assert_one_line(result, "context_window is 100; it must be at least 2048")

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--level", "guess", QUESTION, "x.txt"), "'guess' is not one of"),
            (("--coverage", "half", QUESTION, "x.txt"), "'half' is not one of"),
            (("--concurrency", "0", QUESTION, "x.txt"), "0 is not in the range x>=1"),
            (("--max-calls", "-1", QUESTION, "x.txt"), "-1 is not in the range x>=0"),
            (("--context-window", "big", QUESTION, "x.txt"), "'big' is not a valid integer"),
            (("--no-such-option", QUESTION, "x.txt"), "No such option '--no-such-option'"),
            ((QUESTION,), "Missing argument 'PATH...'"),
            ((), "Missing argument 'QUESTION'"),
        ],
    )
    def test_a_misuse_is_named_below_the_usage(self, shell: Shell, arguments: tuple[str, ...], complaint: str) -> None:
        result = shell("ask", *arguments)

        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("Usage: ")
        assert complaint in result.err.splitlines()[-1]


class TestNoModel:
    def test_a_name_without_its_server_exits_with_2_and_the_name_to_write(self, shell: Shell, harbour: Path) -> None:
        result = shell("ask", "--model", "qwen2:7b", QUESTION, harbour)

        assert (result.code, result.out) == (2, "")
        assert result.err.endswith("openai:NAME; for Ollama, write ollama:qwen2:7b\n")

    @pytest.mark.parametrize("name", ["ollama", "ollama:", "openai:"])
    def test_a_name_of_no_known_form_exits_with_2(self, shell: Shell, harbour: Path, name: str) -> None:
        result = shell("ask", "--model", name, QUESTION, harbour)

        assert (result.code, result.out) == (2, "")
        assert result.err.splitlines() == [
            f"Error: model {name!r} has none of the forms ollama:NAME, embedded, embedded:PATH.gguf, openai:NAME"
        ]

    def test_a_server_that_does_not_answer_exits_with_3(self, shell: Shell, harbour: Path) -> None:
        result = shell("ask", "--model", "ollama:qwen2:7b", QUESTION, harbour)

        assert (result.code, result.out) == (3, "")
        assert result.err.startswith(f"Error: no Ollama server answers at {NOWHERE}")
        assert "ollama serve" in result.err
        assert "Traceback" not in result.err

    def test_nothing_anywhere_exits_with_3_and_names_the_three_ways(
        self, shell: Shell, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doctor, "has_embedded", lambda: False)

        result = shell("ask", QUESTION, harbour)

        assert result.code == 3
        assert [line.split(":")[0].strip() for line in result.err.splitlines()[1:]] == [
            "1. Ollama",
            "2. no server",
            "3. any OpenAI-compatible server, such as vLLM",
        ]

    def test_a_model_that_the_server_does_not_have_exits_with_3(self, shell: Shell, harbour: Path) -> None:
        with FakeOllama([ServedModel("llama3:8b", family="llama")]) as ollama:
            result = shell("ask", "--model", "ollama:qwen2:7b", "--base-url", ollama.url, QUESTION, harbour)

        assert result.code == 3
        assert "it has llama3:8b. Run: ollama pull qwen2:7b" in result.err

    def test_a_model_that_fails_on_the_way_exits_with_3_and_says_what_to_do(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
        model.enqueue(*[ConnectionError("refused")] * 3)

        result = shell("ask", QUESTION, harbour)

        assert (result.code, result.out) == (3, "")
        assert result.err.splitlines()[-1].startswith("Error: scripted-qwen at its server does not answer (refused)")

    def test_a_server_that_cuts_the_prompt_exits_with_3(
        self, shell: Shell, harbour: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        take(ScriptedChatModel(read_share=0.5), monkeypatch).enqueue(PLAN)

        result = shell("ask", QUESTION, harbour)

        assert result.code == 3
        assert "the server cut the prompt" in result.err


class TestWithOllama:
    @pytest.fixture
    def ollama(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOllama]:
        with FakeOllama([ServedModel("llama3:8b", size=9_000, family="llama"), ServedModel("qwen2.5:1.5b")]) as ollama:
            monkeypatch.setenv("OLLAMA_HOST", ollama.url)
            yield ollama

    def test_the_best_model_it_has_is_found_and_answers(self, shell: Shell, ollama: FakeOllama, harbour: Path) -> None:
        ollama.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, harbour)

        assert result.code == 0
        assert result.out.startswith(f"{ANSWER}\n\n[1] {harbour}: ")
        assert "Model: ollama:qwen2.5:1.5b" in result.err

    def test_the_plan_is_asked_for_under_a_schema_and_the_answer_is_not(
        self, shell: Shell, ollama: FakeOllama, harbour: Path
    ) -> None:
        ollama.enqueue(PLAN, ANSWER)

        shell("ask", QUESTION, harbour)

        plan, answer = ollama.history
        assert plan["format"]["required"] == list(SearchPlan.model_fields)
        assert not answer.get("format")

    def test_every_call_has_the_same_window_temperature_and_seed(
        self, shell: Shell, ollama: FakeOllama, harbour: Path
    ) -> None:
        ollama.enqueue(PLAN, ANSWER)

        shell("ask", "--context-window", "4096", QUESTION, harbour)

        settings = [[body["options"][name] for name in ("num_ctx", "temperature", "seed")] for body in ollama.history]
        assert settings == [[4096, 0, 42]] * 2

    def test_a_plan_that_is_no_json_is_asked_for_once_more(
        self, shell: Shell, ollama: FakeOllama, harbour: Path
    ) -> None:
        ollama.enqueue("Sure! Here is the plan", PLAN, ANSWER)

        result = shell("ask", "--json", QUESTION, harbour)

        assert json.loads(result.out)["usage"]["model_calls"] == 3

    def test_tokens_are_those_that_the_server_counted(self, shell: Shell, ollama: FakeOllama, harbour: Path) -> None:
        ollama.enqueue(PLAN, ANSWER)

        usage = json.loads(shell("ask", "--json", QUESTION, harbour).out)["usage"]

        assert usage["output_tokens"] == count_tokens(PLAN) + count_tokens(ANSWER)


class TestCache:
    def test_the_next_question_reads_no_file_again(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        model.enqueue(PLAN, ANSWER, PLAN, ANSWER)
        first = shell("ask", QUESTION, harbour)

        second = shell("ask", QUESTION, harbour)

        assert "Documents: 1 (1 unchanged), 1 chunks" in second.err
        assert second.out == first.out

    def test_an_index_made_ahead_is_used(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        indexed = shell("index", harbour)
        model.enqueue(PLAN, ANSWER)

        asked = shell("ask", QUESTION, harbour)

        assert (indexed.code, indexed.out, indexed.err) == (0, "", "Documents: 1 (1 read), 1 chunks\n")
        assert "(1 unchanged)" in asked.err

    def test_no_cache_writes_nothing(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, tmp_path: Path
    ) -> None:
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", "--no-cache", QUESTION, harbour)

        assert result.code == 0
        assert not (tmp_path / "cache").exists()

    def test_no_cache_reads_anew_what_is_saved(self, shell: Shell, model: ScriptedChatModel, harbour: Path) -> None:
        shell("index", harbour)
        model.enqueue(PLAN, ANSWER)

        assert "(1 read)" in shell("ask", "--no-cache", QUESTION, harbour).err

    def test_the_folder_can_be_chosen(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, tmp_path: Path
    ) -> None:
        shell("index", "--cache-dir", tmp_path / "mine", harbour)

        assert [path.suffix for path in (tmp_path / "mine" / "index").iterdir()] == [".safetensors"]
        assert not (tmp_path / "cache").exists()

    def test_a_folder_that_cannot_be_written_costs_a_line_on_stderr_and_no_answer(
        self, shell: Shell, model: ScriptedChatModel, harbour: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "cache").touch()
        model.enqueue(PLAN, ANSWER)

        result = shell("ask", QUESTION, harbour)

        assert result.code == 0
        assert "the index could not be saved" in result.err


class TestLevels:
    def test_there_are_those_of_the_library(self) -> None:
        assert get_args(Level) == LEVELS

    @pytest.mark.parametrize("level", ["retrieve", "read", "reason"])
    def test_a_level_is_the_one_that_answers(self, shell: Shell, reader: RuleChatModel, town: Path, level: str) -> None:
        question = HOPS_QUESTION if level == "reason" else TOWN_QUESTION

        output = json.loads(shell("ask", "--json", "--level", level, question, town).out)

        assert (output["found"], output["level"]) == (True, level)

    def test_without_a_level_it_goes_no_further_than_it_must(
        self, shell: Shell, reader: RuleChatModel, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("QWEN_LONGCTX_ASK_LEVEL")

        output = json.loads(shell("ask", "--json", HOPS_QUESTION, town).out)

        # Two passages are as far as a question of two steps needs to go.
        assert output["level"] == "reason"
        assert "岭下村" in output["answer"]
        assert (reader.prompts["DECOMPOSE"], reader.prompts["READ"]) == (0, 0)

    def test_a_full_coverage_reads_every_chunk(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        output = json.loads(shell("ask", "--json", "--level", "read", "--coverage", "full", TOWN_QUESTION, town).out)

        assert output["coverage"]["chunks_read"] == output["coverage"]["chunks_total"] == reader.prompts["READ"]

    def test_concurrency_is_how_many_chunks_are_read_at_once(
        self, shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = take(RuleChatModel(respond=EXPERT, latency=0.02), monkeypatch)

        shell("ask", "--level", "read", "--coverage", "full", "--concurrency", "3", TOWN_QUESTION, town)

        assert slow.most_under_way == 3

    def test_in_a_small_window_there_is_room_for_an_answer(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("ask", "--level", "read", "--context-window", "2048", TOWN_QUESTION, town)

        assert result.code == 0


class TestBudget:
    def test_a_budget_that_is_too_small_for_any_answer_exits_with_4_and_says_so(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("ask", "--max-calls", "0", TOWN_QUESTION, town)

        assert (result.code, reader.calls) == (4, 0)
        assert result.err.splitlines()[-1].startswith("The budget ran out before any answer; raise --max-calls")

    @pytest.mark.parametrize(
        ("limit", "stopped"), [(("--max-calls", "4"), "budget"), (("--max-tokens", "5000"), "budget")]
    )
    def test_an_answer_within_it_exits_with_0_though_reading_was_stopped(
        self, shell: Shell, reader: RuleChatModel, town: Path, limit: tuple[str, str], stopped: str
    ) -> None:
        result = shell("ask", "--json", "--level", "read", "--coverage", "full", *limit, TOWN_QUESTION, town)

        output = json.loads(result.out)
        assert (result.code, output["found"], output["stopped"]) == (0, True, stopped)
        assert output["coverage"]["chunks_skipped"] > 0

    def test_after_the_seconds_no_more_is_read(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        result = shell("ask", "--json", "--level", "read", "--max-seconds", "0", TOWN_QUESTION, town)

        assert json.loads(result.out)["stopped"] == "deadline"
        assert reader.prompts["READ"] == 0

    def test_no_answer_within_it_is_an_object_too(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        result = shell("ask", "--json", "--max-calls", "0", TOWN_QUESTION, town)

        assert (result.code, json.loads(result.out)["stopped"]) == (4, "budget")


class TestDryRun:
    def test_it_makes_one_call_says_what_a_question_costs_and_exits_with_0(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("ask", "--dry-run", "--level", "read", "--coverage", "full", TOWN_QUESTION, town)

        assert (result.code, reader.prompts) == (0, {"PROBE": 1})
        assert [line[2:18].strip() for line in result.out.splitlines()[1:]] == [
            "chunks",
            "read one by one",
            "model calls",
            "tokens read",
            "tokens written",
            "time",
        ]

    def test_as_json_it_is_one_object(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        output = json.loads(shell("ask", "--dry-run", "--json", "--max-calls", "5", TOWN_QUESTION, town).out)

        assert output["model_calls"][1] <= 5
        assert len(output["seconds"]) == 2

    def test_no_model_is_what_it_is_without_it(self, shell: Shell, town: Path) -> None:
        assert shell("ask", "--dry-run", "--model", "ollama:qwen2:7b", TOWN_QUESTION, town).code == 3


class TestVerbose:
    def test_evidence_and_sub_questions_are_told_on_stderr_one_a_line(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("ask", "--verbose", "--level", "reason", HOPS_QUESTION, town)

        assert f"{TOWN_QUESTION} -> 毛一清" in result.err.splitlines()
        assert f"{BIRTH_QUESTION} -> 岭下村" in result.err.splitlines()

    def test_so_are_the_sentences_that_are_found(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        result = shell("ask", "--verbose", "--level", "read", TOWN_QUESTION, town)

        assert f"{town}: {TOWN_FACT}" in result.err.splitlines()

    def test_without_it_nothing_is_told_to_what_is_no_terminal(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("ask", "--level", "read", TOWN_QUESTION, town)

        assert [line.split()[0] for line in result.err.splitlines()] == ["Model:", "Documents:", "Read"]

    def test_stdout_is_the_same(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        quiet = shell("ask", "--level", "read", TOWN_QUESTION, town)
        verbose = shell("ask", "--level", "read", "--verbose", TOWN_QUESTION, town)

        assert verbose.out == quiet.out


class TestDoctor:
    @pytest.fixture(autouse=True)
    def _no_embedded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "has_embedded", lambda: False)

    def test_it_exits_with_0_where_a_model_can_answer(self, shell: Shell) -> None:
        with FakeOllama([ServedModel("qwen2:7b", parameters="7.6B")]) as ollama:
            result = shell("doctor", "--base-url", ollama.url)

        assert (result.code, result.err) == (0, "")
        assert "ok      Ollama model    qwen2:7b (7.6B parameters, context 32,768 tokens)\n" in result.out

    def test_it_exits_with_3_and_the_ways_to_a_model_where_none_can(self, shell: Shell) -> None:
        result = shell("doctor")

        assert result.code == 3
        assert f"no Ollama server answers at {NOWHERE}" in result.out
        assert "No model can answer yet. Get one:" in result.out


COMMANDS = ("ask", "bench", "chat", "doctor", "eval", "generate", "index", "mcp", "notes", "purge", "serve")


class TestHelp:
    @pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids="-".join)
    def test_it_is_what_it_was(self, command: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
        result = CliRunner().invoke(cli, [*command, "--help"], prog_name="qwen-longctx", env={"COLUMNS": "80"})

        assert result.output == snapshot

    def test_every_command_has_its_help_in_the_snapshots(self) -> None:
        assert set(cli.commands) == set(COMMANDS)

    def test_it_waits_for_no_heavy_import(self) -> None:
        script = (
            "import sys; sys.argv[1:] = ['ask', '--help']; from langchain_qwen_longctx.cli import main\n"
            "try: main()\n"
            "finally: print(*sys.modules, file=sys.stderr)"
        )

        done = subprocess.run(  # noqa: S603 - this very interpreter
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )

        heavy = {"langgraph", "langchain_core", "numpy", "pydantic", "rich", "httpx"}
        assert done.stdout.startswith("Usage: ")
        assert heavy & set(done.stderr.split()) == set()

    def test_it_goes_to_stdout_and_exits_with_0(self, shell: Shell) -> None:
        result = shell("ask", "-h")

        assert (result.code, result.err) == (0, "")

    def test_the_version_is_that_of_the_package(self, shell: Shell) -> None:
        result = shell("--version")

        assert (result.code, result.out) == (0, f"qwen-longctx, version {__version__}\n")
