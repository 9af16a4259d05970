"""`eval` and `generate` from the shell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION, Shell, take
from langchain_core.globals import get_llm_cache, set_llm_cache
from scripted import RuleChatModel, expert

from langchain_qwen_longctx.cli_eval import BASELINES
from langchain_qwen_longctx.cli_options import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_cache_stays_behind() -> Iterator[None]:
    before = get_llm_cache()
    yield
    set_llm_cache(before)


@pytest.fixture
def cases(town: Path) -> Path:
    text = town.read_text("utf-8")
    start = text.index(TOWN_FACT)
    case = {
        "id": "clock",
        "question": TOWN_QUESTION,
        "answers": ["毛一清"],
        "document": town.name,
        "evidence": [{"start": start, "end": start + len(TOWN_FACT)}],
        "kind": "single",
        "length": "1k",
        "lang": "zh",
    }
    file = town.parent / "cases.jsonl"
    lines = [case, {**case, "id": "again"}, {**case, "id": "other", "kind": "none", "answers": [], "evidence": []}]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return file


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> RuleChatModel:
    return take(RuleChatModel(respond=EXPERT), monkeypatch)


class TestEval:
    def test_each_result_is_a_line_and_the_table_is_printed_and_kept(
        self, shell: Shell, reader: RuleChatModel, cases: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "runs" / "june.jsonl"

        result = shell("eval", cases, "--arm", "bm25", "--arm", "oracle", "--kind", "single", "--out", out)

        assert result.code == 0
        assert [json.loads(line)["right"] for line in out.read_text("utf-8").splitlines()] == [True] * 4
        assert result.out.splitlines()[2].startswith("| single | 1k | bm25 | 2 | 100% |")
        assert (tmp_path / "runs" / "june.summary.md").read_text("utf-8") == result.out
        assert json.loads((tmp_path / "runs" / "june.summary.json").read_text("utf-8"))[0]["accuracy"] == 1

    def test_the_same_command_runs_only_what_is_missing(
        self, shell: Shell, reader: RuleChatModel, cases: Path, tmp_path: Path
    ) -> None:
        command = ("eval", cases, "--arm", "bm25", "--kind", "single", "--out", tmp_path / "out.jsonl")
        shell(*command, "--limit", "1")
        calls = reader.calls

        result = shell(*command)
        again = shell(*command)

        assert (calls, reader.calls) == (1, 2)
        assert again.out == result.out
        assert again.err == ""

    def test_an_interruption_keeps_what_is_there_and_says_so(
        self, shell: Shell, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replies = iter(["毛一清 [1]"])

        def respond(_: object) -> str:
            try:
                return next(replies)
            except StopIteration:
                raise KeyboardInterrupt from None

        take(RuleChatModel(respond=respond), monkeypatch)
        out = tmp_path / "out.jsonl"

        result = shell("eval", cases, "--arm", "bm25", "--out", out)

        assert result.code == 130
        assert (
            result.complaint.strip()
            == f"Interrupted. 1 of 3 results are in {out}; the same command goes on from there."
        )
        assert len(out.read_text("utf-8").splitlines()) == 1

    def test_replies_are_kept_and_count_in_full(
        self, shell: Shell, reader: RuleChatModel, cases: Path, tmp_path: Path
    ) -> None:
        for name in ("first", "second"):
            options = ("--arm", "bm25", "--limit", "1", "--kind", "single", "--replies", tmp_path / "replies.sqlite")
            shell("eval", cases, *options, "--out", tmp_path / f"{name}.jsonl")

        first, second = (json.loads((tmp_path / f"{name}.jsonl").read_text("utf-8")) for name in ("first", "second"))
        assert reader.calls == 1
        assert {**first, "seconds": 0} == {**second, "seconds": 0}

    def test_pictures_are_drawn(self, shell: Shell, reader: RuleChatModel, cases: Path, tmp_path: Path) -> None:
        result = shell(
            "eval", cases, "--arm", "bm25", "--out", tmp_path / "out.jsonl", "--figures", tmp_path / "pictures"
        )

        assert (tmp_path / "pictures" / "accuracy.svg").exists()
        assert f"Drawn: {tmp_path / 'pictures' / 'accuracy.png'}" in result.err

    def test_a_model_that_is_gone_keeps_what_is_there(
        self, shell: Shell, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
        replies = iter(["毛一清 [1]"])
        take(RuleChatModel(respond=lambda _: next(replies, ConnectionError("gone"))), monkeypatch)

        result = shell("eval", cases, "--arm", "bm25", "--out", tmp_path / "out.jsonl")

        assert result.code == 3
        assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 1

    def test_results_of_another_model_or_other_options_are_not_mixed(
        self, shell: Shell, reader: RuleChatModel, cases: Path, tmp_path: Path
    ) -> None:
        command = ("eval", cases, "--arm", "bm25", "--out", tmp_path / "out.jsonl")
        shell(*command, "--limit", "1")

        result = shell(*command, "--max-calls", "9")

        assert result.code == 2
        assert (
            "out.jsonl holds results of scripted-qwen with the default options, not of scripted-qwen with "
            "{'max_model_calls': 9}; give another file with --out"
        ) in result.complaint

    def test_what_is_not_there_is_said_with_what_is(self, shell: Shell, reader: RuleChatModel, cases: Path) -> None:
        result = shell("eval", cases, "--kind", "needle")

        assert result.code == 2
        assert result.complaint == (
            "Error: no case is of the kind, length and language asked for; there are: none 1k zh, single 1k zh"
        )

    def test_it_offers_every_arm(self) -> None:
        from langchain_qwen_longctx.arms import ARMS  # noqa: PLC0415

        assert set(ARMS) == {*LEVELS, *BASELINES}


class TestGenerate:
    def test_what_it_writes_can_be_evaluated(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = shell(
            "generate", tmp_path / "made", "--kind", "needle", "--length", "2k", "--lang", "en", "--count", "2"
        )
        lines = (tmp_path / "made" / "cases.jsonl").read_text("utf-8").splitlines()
        facts = {case["question"]: (case["evidence"][0]["text"], case["answers"][0]) for case in map(json.loads, lines)}
        take(RuleChatModel(respond=expert(facts)), monkeypatch)

        result = shell("eval", made.out.strip(), "--arm", "retrieve", "--out", tmp_path / "out.jsonl")

        assert made.code == 0
        assert result.out.splitlines()[2].startswith("| needle | 2k | retrieve | 2 | 100% |")

    def test_a_haystack_is_made_of_given_files(self, shell: Shell, town: Path, tmp_path: Path) -> None:
        options = ("--kind", "needle", "--length", "2k", "--lang", "zh", "--count", "1", "--haystack", town)

        shell("generate", tmp_path / "made", *options)

        paragraph = next(line for line in town.read_text("utf-8").splitlines() if line.strip())
        assert " ".join(paragraph.split()) in (tmp_path / "made" / "needle-zh-2k.txt").read_text("utf-8")

    def test_a_length_that_is_none_is_named(self, shell: Shell, tmp_path: Path) -> None:
        result = shell("generate", tmp_path / "made", "--length", "long")

        assert result.code == 2
        assert result.complaint == "Error: 'long' is no length; write tokens, as in 8k, 1.5m or 4000"
