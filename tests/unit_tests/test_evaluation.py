"""Cases in arms: what is counted, what each arm sees, and what the sums are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from notebook import notebook
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.arms import ARMS, Arm
from langchain_qwen_longctx.cases import Case, Gold
from langchain_qwen_longctx.errors import DocumentError, InputError, ModelUnavailableError
from langchain_qwen_longctx.evaluation import evaluate, read_outcomes, share_of
from langchain_qwen_longctx.summary import HEADINGS, summarise, to_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripted import Respond

    from langchain_qwen_longctx.evaluation import Outcome

FACT = "The lamp was lit by Rosalind Thackwell."
QUESTION = "Who lit the lamp?"
EXPERT = expert({"lit the lamp": (FACT, "Rosalind Thackwell")}, decompose=QUESTION, closed_book="Ida Kessel")
CONFIG = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, max_readings=2)
LEVELS: list[Arm] = ["auto", "retrieve", "read", "reason"]
PAGES = 60


@pytest.fixture
def text(tmp_path: Path) -> str:
    text = "\r\n".join(page.page_content for page in notebook(PAGES, {40: FACT}))
    (tmp_path / "notebook.txt").write_bytes(text.encode())
    return text


@pytest.fixture
def case(text: str) -> Case:
    start, name = text.index(FACT), text.index("Rosalind")
    gold = Gold(start=start, end=start + len(FACT), answer_start=name, answer_end=name + 18)
    return Case(
        id="1",
        question=QUESTION,
        answers=("Rosalind Thackwell",),
        document="notebook.txt",
        evidence=(gold,),
        kind="needle",
        lang="en",
        length="8k",
        depth=0.7,
    )


@pytest.fixture
def unanswerable(case: Case) -> Case:
    return Case(id="2", question="Who painted the pier?", answers=(), document=case.document, kind="none", length="8k")


def outcomes_of(
    cases: Sequence[Case], arms: Sequence[Arm], folder: Path, respond: Respond = EXPERT, **more: Any
) -> list[Outcome]:
    model = RuleChatModel(respond=respond)
    return list(evaluate(cases, arms, model=model, folder=folder, config=CONFIG, **more))


@pytest.mark.parametrize("arm", [*LEVELS, "oracle", "bm25"])
def test_a_right_answer_is_followed_through_every_stage(case: Case, tmp_path: Path, arm: Arm) -> None:
    [outcome] = outcomes_of([case], [arm], tmp_path)

    assert (outcome["right"], outcome["exact"], outcome["f1"], outcome["found"]) == (True, True, 1, True)
    assert (outcome["read"], outcome["packed"], outcome["cited"]) == (1, 1, 1)
    assert outcome["retrieved"] == (None if arm in {"read", "oracle"} else 1)
    assert (outcome["citations"], outcome["verbatim"]) == (1, 1)
    assert outcome["model_calls"] == {"read": 4, "reason": 3, "oracle": 1, "bm25": 1}.get(arm, 2)
    assert outcome["input_tokens"] > 0
    assert outcome["error"] is None


def test_what_the_model_knows_by_itself_has_no_stages(case: Case, tmp_path: Path) -> None:
    [outcome] = outcomes_of([case], ["closed-book"], tmp_path)

    assert (outcome["answer"], outcome["right"], outcome["found"]) == ("Ida Kessel", False, False)
    assert [outcome["retrieved"], outcome["read"], outcome["packed"], outcome["cited"]] == [None] * 4


def test_the_front_of_the_document_is_what_fits_the_window(case: Case, tmp_path: Path, text: str) -> None:
    model = RuleChatModel(respond=EXPERT)

    [outcome] = evaluate([case], ["truncate"], model=model, folder=tmp_path, config=CONFIG)

    prompt = model.history[0][-1].text
    assert text[:140] in prompt
    assert FACT not in prompt
    assert (outcome["right"], outcome["packed"]) == (False, 0)
    assert 0.8 * 2048 < outcome["input_tokens"] + CONFIG.answer_tokens <= 2048


def test_the_oracle_sees_the_right_paragraphs_alone(case: Case, tmp_path: Path) -> None:
    model = RuleChatModel(respond=EXPERT)

    list(evaluate([case], ["oracle"], model=model, folder=tmp_path, config=CONFIG))

    assert model.history[0][-1].text.count("[1]") == 1
    assert "[2]" not in model.history[0][-1].text
    assert FACT in model.history[0][-1].text


def test_the_oracle_is_taken_at_its_word(case: Case, tmp_path: Path) -> None:
    elsewhere = case.model_copy(update={"question": "Which novelist was paid in herrings?"})
    respond = expert({"herrings": (FACT, "Rosalind Thackwell")}, check="no")

    [oracle, bm25] = outcomes_of([elsewhere], ["oracle", "bm25"], tmp_path, respond)

    assert (oracle["right"], oracle["found"], oracle["model_calls"]) == (True, True, 1)
    assert not bm25["found"]


def test_the_oracle_is_asked_in_the_documents_language(case: Case, tmp_path: Path) -> None:
    foreign = case.model_copy(update={"question": "谁点亮了那盏灯？"})
    model = RuleChatModel(respond=expert({"lit the lamp": (FACT, "Rosalind Thackwell")}, translate_question=QUESTION))

    (outcome,) = evaluate([foreign], ["oracle"], model=model, folder=tmp_path, config=CONFIG)

    assert (outcome["right"], outcome["model_calls"]) == (True, 2)


def test_without_a_right_answer_to_decline_is_right(unanswerable: Case, tmp_path: Path) -> None:
    outcomes = outcomes_of([unanswerable], ["auto", "bm25", "oracle"], tmp_path)

    assert [(outcome["right"], outcome["exact"], outcome["f1"]) for outcome in outcomes] == [(True, True, 1.0)] * 3
    assert all(outcome["cited"] is None for outcome in outcomes)


def test_without_a_right_answer_to_answer_is_wrong(unanswerable: Case, tmp_path: Path) -> None:
    guess = expert({}, answer="The tide did [1]")
    about_something_there = unanswerable.model_copy(update={"question": "Which entry was written at the desk?"})

    [outcome] = outcomes_of([about_something_there], ["bm25"], tmp_path, guess)

    assert (outcome["found"], outcome["right"], outcome["exact"], outcome["f1"]) == (True, False, False, 0.0)


def test_an_error_of_one_case_is_noted_and_the_others_go_on(case: Case, tmp_path: Path) -> None:
    question = "Who? " + "really " * 2000
    hopeless = case.model_copy(update={"id": "3", "question": question})

    failed, answered = outcomes_of([hopeless, case], ["retrieve"], tmp_path)

    assert failed["error"] is not None
    assert failed["error"].startswith("QuestionTooLongError: the question has ")
    assert not failed["right"]
    assert answered["right"]


def test_a_model_that_is_gone_ends_it(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)

    with pytest.raises(ModelUnavailableError):
        outcomes_of([case], ["bm25"], tmp_path, lambda _: ConnectionError("refused"))


def test_a_missing_document_is_named(case: Case, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.txt"):
        outcomes_of([case.model_copy(update={"document": "nowhere.txt"})], ["bm25"], tmp_path)


def test_what_is_done_is_not_done_again(case: Case, unanswerable: Case, tmp_path: Path) -> None:
    outcomes = outcomes_of([case, unanswerable], ["bm25", "oracle"], tmp_path, done={("1", "bm25"), ("2", "oracle")})

    assert [(outcome["id"], outcome["arm"]) for outcome in outcomes] == [("1", "oracle"), ("2", "bm25")]


def test_a_share_counts_each_paragraph_once() -> None:
    golds = [Gold(start=0, end=10), Gold(start=20, end=40, answer_start=30, answer_end=35)]

    assert share_of(golds, {(5, 6), (8, 9)}) == 0.5
    assert share_of(golds, {(0, 30)}) == 0.5
    assert share_of(golds, {(0, 30)}, whole=True) == 1
    assert share_of(golds, set()) == 0
    assert share_of(golds, None) is None
    assert share_of([], {(0, 1)}) is None


class TestFile:
    def test_outcomes_come_back_as_they_were_written(self, case: Case, tmp_path: Path) -> None:
        [outcome] = outcomes_of([case], ["bm25"], tmp_path)
        file = tmp_path / "out.jsonl"
        file.write_text(json.dumps(outcome) + "\n", "utf-8")

        assert [json.loads(json.dumps(read)) for read in read_outcomes(file)] == [json.loads(json.dumps(outcome))]

    def test_a_line_that_was_cut_off_is_dropped_and_run_again(self, case: Case, tmp_path: Path) -> None:
        [outcome] = outcomes_of([case], ["bm25"], tmp_path)
        file, line = tmp_path / "out.jsonl", json.dumps(outcome) + "\n"
        file.write_text(line + line[:50], "utf-8")

        assert len(read_outcomes(file)) == 1
        assert file.read_text("utf-8") == line

    def test_another_file_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("my notes\n", "utf-8")

        with pytest.raises(InputError, match=r"notes.txt, line 1, is no result of an evaluation"):
            read_outcomes(file)
        assert file.read_text("utf-8") == "my notes\n"

    def test_no_file_holds_nothing(self, tmp_path: Path) -> None:
        assert read_outcomes(tmp_path / "out.jsonl") == []


class TestSummary:
    def test_a_row_for_each_kind_and_arm_and_for_all_kinds(
        self, case: Case, unanswerable: Case, tmp_path: Path
    ) -> None:
        rows = summarise(outcomes_of([case, unanswerable], ["bm25", "oracle"], tmp_path))

        assert [(row["kind"], row["arm"], row["cases"]) for row in rows] == [
            ("needle", "bm25", 1),
            ("needle", "oracle", 1),
            ("none", "bm25", 1),
            ("none", "oracle", 1),
            ("all", "bm25", 2),
            ("all", "oracle", 2),
        ]

    def test_one_kind_needs_no_row_for_all(self, case: Case, tmp_path: Path) -> None:
        assert len(summarise(outcomes_of([case], ["bm25"], tmp_path))) == 1

    def test_means_shares_and_the_part_of_the_oracle(self, case: Case, tmp_path: Path) -> None:
        [right] = outcomes_of([case], ["bm25"], tmp_path)
        wrong: Outcome = {**right, "id": "2", "right": False, "cited": 0.0, "model_calls": 3, "cached_calls": 2}
        oracle: list[Outcome] = [{**right, "arm": "oracle"}, {**right, "id": "2", "arm": "oracle"}]

        row, ceiling = summarise([right, wrong, *oracle])

        assert (row["accuracy"], row["of_oracle"], ceiling["of_oracle"]) == (0.5, 0.5, 1)
        assert (row["cited"], row["cited_if_right"], row["verbatim"]) == (0.5, 1, 1)
        assert row["model_calls"] == 3
        assert row["low"] < 0.5 < row["high"]

    def test_an_oracle_that_saw_fewer_cases_is_no_measure(self, case: Case, tmp_path: Path) -> None:
        [right] = outcomes_of([case], ["bm25"], tmp_path)

        row, _ = summarise([right, {**right, "id": "2"}, {**right, "arm": "oracle"}])

        assert row["of_oracle"] is None

    def test_the_table_has_as_many_cells_as_headings(self, case: Case, unanswerable: Case, tmp_path: Path) -> None:
        table = to_markdown(summarise(outcomes_of([case, unanswerable], ARMS, tmp_path)))

        lines = table.splitlines()
        assert {line.count(" | ") for line in lines} == {len(HEADINGS) - 1}
        assert len(lines) == 2 + 3 * len(ARMS)
