"""Level 2: what is read, in which order, when it ends, and what becomes of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document
from langgraph.types import Send
from notebook import diary, notebook
from scripted import NOT_FOUND, RuleChatModel, expert, prompt_of, reading

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.errors import ModelUnavailableError
from langchain_qwen_longctx.graphs.analysis import plan_search
from langchain_qwen_longctx.graphs.reading import (
    MAX_READINGS_OF_A_TASK,
    MAX_SENTENCE_TERMS,
    MIN_OUTAGES,
    MIN_WAVE_OF_A_FULL_READING,
    ReadingState,
    advance,
    enumerate_sentences,
    expand,
    in_turns,
    lost_readings,
    order,
    pointed_at,
    reason_of,
    route_wave,
    should_stop,
    task_size,
    touched_by,
    wave_size,
)
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.passages import Passage
from langchain_qwen_longctx.schemas import MAX_POINTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage
    from scripted import Respond

    from langchain_qwen_longctx.chat_models import Allowance
    from langchain_qwen_longctx.graphs.state import QAResources
    from langchain_qwen_longctx.schemas import QAOutput

FACT = "The lamp was lit by Rosalind Thackwell."
FACTS = {"lamp": (FACT, "Rosalind Thackwell")}
QUESTION = "Who lit the lamp?"
MANY = 120


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def config(**knobs: Any) -> LongContextConfig:
    return LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)


def resources(pages: int, planted: dict[int, str] | None = None, **knobs: Any) -> QAResources:
    return gather_resources(RuleChatModel(respond=expert(FACTS)), notebook(pages, planted), None, config(**knobs))


def read(model: RuleChatModel, documents: Sequence[Document], level: Any = "read", **knobs: Any) -> QAOutput:  # noqa: ANN401
    qa = create_long_context_qa(model=model, documents=documents, config=config(**knobs))
    return qa.invoke({"question": QUESTION, "level": level})


def pages_read(model: RuleChatModel) -> list[int]:
    """Return the pages that were put before the model on their own, in the order of the calls."""
    texts = [messages[1].text for messages in model.history if prompt_of(messages) == "READ"]
    return [int(text.partition("Entry ")[2].partition(" ")[0]) for text in texts]


def pointing_at(page: int, *numbers: int) -> Respond:
    """Return an expert that points at these sentences of a page and at nothing else."""
    well = expert(FACTS)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if prompt_of(messages) != "READ":
            return well(messages)
        return reading(*numbers) if f"Entry {page} " in messages[1].text else reading()

    return respond


def failing(respond: Respond, error: BaseException, *pages: int) -> Respond:
    """Return a rule by which readings of these pages, or of all, raise an error."""

    def fail(messages: Sequence[BaseMessage]) -> str | BaseException:
        text = messages[1].text
        is_hit = not pages or any(f"Entry {page} " in text for page in pages)
        return error if prompt_of(messages) == "READ" and is_hit else respond(messages)

    return fail


@pytest.mark.parametrize(
    ("found", "stops"),
    [
        ("", False),
        (".......", False),
        ("........", True),
        ("x", False),
        ("x..", False),
        ("x...", True),
        ("....x", False),
        ("....x..", False),
        ("....x...", True),
        ("x..x..", False),
        ("x..x...", True),
        ("xxxxxxx", False),
        ("xxxxxxxx", True),
    ],
)
def test_a_reading_ends_after_a_few_without_a_find_or_when_it_has_read_its_share(found: str, stops: bool) -> None:
    assert should_stop([mark == "x" for mark in found], most=8, patience=3) is stops


@pytest.mark.parametrize(
    ("outcomes", "lost"),
    [
        ("", []),
        ("....", []),
        ("..xx", []),
        (".x.x", []),
        ("x", [0]),
        ("xx", [0, 1]),
        (".xxx", [1, 2, 3]),
        ("x.xxx", [0, 2, 3, 4]),
        ("xxxx...", []),
    ],
)
def test_the_model_seems_to_be_gone_if_it_was_not_reached_several_times_in_a_row(
    outcomes: str, lost: list[int]
) -> None:
    assert MIN_OUTAGES == 3
    state: ReadingState = {
        "order": list(range(9)),
        "readings": {number: None if mark == "x" else [] for number, mark in enumerate(outcomes)},
        "outages": [number for number, mark in enumerate(outcomes) if mark == "x"],
    }

    assert lost_readings(state) == lost


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"calls": 0}, "budget"),
        ({"tokens": 3}, "budget"),
        ({"deadline": 1.0}, "deadline"),
        ({"calls": 5, "tokens": 3, "deadline": 1e12}, "budget"),
        ({"calls": 5, "deadline": 1.0}, "deadline"),
    ],
)
def test_the_limit_that_was_reached_is_the_one_named(limits: Allowance, reason: str) -> None:
    assert reason_of(limits) == reason


def test_what_is_ranked_best_is_read_first_and_the_rest_as_it_stands() -> None:
    parts = resources(30, {21: FACT, 9: "The lamp was lit by the lamp's owner, who was proud of the lamp."})
    plan: Any = {"information": QUESTION, "queries": [QUESTION], "keywords": []}

    numbers = order(parts, {"plan": plan})["order"]

    assert set(numbers[:2]) == {9, 21}
    assert sorted(numbers) == list(range(30))
    assert numbers[-5:] == sorted(numbers[-5:])


def test_the_order_of_the_document_can_be_kept() -> None:
    plan: Any = {"information": QUESTION, "queries": [QUESTION], "keywords": []}

    assert order(resources(30, {21: FACT}, reading_order="document"), {"plan": plan})["order"] == list(range(30))


@pytest.mark.parametrize(
    ("knobs", "size"),
    [
        ({"wave_size": 3}, 3),
        ({"wave_size": 3, "coverage": "full"}, MIN_WAVE_OF_A_FULL_READING),
        ({"wave_size": 500, "max_readings": 1000}, 99),
        ({"wave_size": 500, "max_readings": 8}, 7),
    ],
)
def test_a_wave_takes_up_where_the_last_one_ended(knobs: dict[str, Any], size: int) -> None:
    state: ReadingState = {"order": list(range(100, 0, -1)), "readings": {100: []}, "wave": [100]}
    state |= {"plan": plan_search(QUESTION, None)}

    assert advance(resources(101, **knobs), {**state, "question": QUESTION})["wave"] == list(range(99, 99 - size, -1))


@pytest.mark.parametrize(("chunks", "size"), [(1, 64), (1024, 64), (1025, 65), (8000, 500)])
def test_a_full_reading_takes_no_more_than_so_many_waves(chunks: int, size: int) -> None:
    assert wave_size(config(coverage="full"), chunks, left=3) == size
    assert wave_size(config(wave_size=5), chunks, left=8) == 5


@pytest.mark.parametrize(
    ("wave", "concurrency", "size"),
    [(1, 1, 1), (2, 2, 1), (14, 3, 1), (64, 2, 8), (64, 5, 3), (500, 2, 8), (1250, 2, 20), (1250, 100, 3)],
)
def test_a_large_wave_is_shared_out_among_fewer_tasks(wave: int, concurrency: int, size: int) -> None:
    assert task_size(wave, concurrency) == size


def test_the_tasks_of_a_wave_are_all_of_it_in_its_order() -> None:
    wave = list(range(100, 80, -1))

    tasks = route_wave(resources(101), {"question": "", "wave": wave, "allowance": {}, "is_gone": False})

    assert [number for task in tasks if isinstance(task, Send) for number in task.arg["numbers"]] == wave


def test_a_wave_is_no_larger_than_what_may_still_be_spent() -> None:
    state: ReadingState = {"order": list(range(90)), "started": 0.0, "spent": {"model_calls": 1}}

    step = advance(resources(90, coverage="full", max_model_calls=42, max_attempts=3), state)

    assert step == {"wave": list(range(10)), "allowance": {"calls": 4}, "is_gone": False}


def test_a_chunk_that_was_not_read_for_want_of_budget_leaves_a_gap_that_is_known() -> None:
    state: ReadingState = {"order": [4, 3, 2, 1], "readings": {4: [], 2: [1]}, "wave": [4, 3, 2]}
    plan = plan_search(QUESTION, None)

    assert advance(resources(5), {**state, "question": QUESTION, "plan": plan})["wave"] == [3, 1]


def test_a_full_reading_reads_every_chunk_once() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    result = read(model, notebook(MANY, {77: FACT}), coverage="full", concurrency=4)

    assert Counter(pages_read(model)) == dict.fromkeys(range(MANY), 1)
    assert result["coverage"] == {
        "chunks_total": MANY,
        "chunks_read": MANY,
        "chunks_relevant": 1,
        "chunks_failed": 0,
        "chunks_skipped": 0,
    }
    assert (result["answer"], result["level"]) == ("Rosalind Thackwell [1]", "read")
    assert [citation["quote"] for citation in result["citations"]] == [FACT]


def test_an_adaptive_reading_ends_once_it_points_at_what_speaks_of_the_whole_question() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    result = read(model, notebook(MANY, {77: FACT}), wave_size=2, patience=3)

    assert 77 in pages_read(model)
    assert len(pages_read(model)) == 2
    assert result["found"]
    assert result["coverage"]["chunks_skipped"] == MANY - result["coverage"]["chunks_read"]


def test_an_adaptive_reading_ends_once_more_promises_nothing() -> None:
    vague = "It was Rosalind Thackwell who did it."
    model = RuleChatModel(respond=expert({"lamp": (vague, "Rosalind Thackwell")}))

    read(model, notebook(MANY, {0: vague}), reading_order="document", wave_size=2, patience=3)

    assert sorted(pages_read(model)) == [0, 1, 2, 3]


def test_an_adaptive_reading_without_a_find_gives_up() -> None:
    model = RuleChatModel(respond=expert({}))

    result = read(model, notebook(MANY), wave_size=4, max_readings=10)

    assert len(pages_read(model)) == 10
    assert not result["found"]


def test_an_adaptive_reading_ends_when_the_evidence_is_full() -> None:
    planted = {page: f"On day {page} it was lit and put out again." for page in range(40)}
    model = RuleChatModel(respond=lambda messages: reading(3) if prompt_of(messages) == "READ" else NOT_FOUND)

    read(model, notebook(40, planted), wave_size=1, evidence_tokens=300)

    assert 3 <= len(pages_read(model)) <= 8


def test_a_reading_that_points_at_everything_is_no_find() -> None:
    model = RuleChatModel(respond=pointing_at(0, *range(1, MAX_POINTED + 2)))

    read(model, notebook(MANY), reading_order="document", wave_size=1, patience=2, max_readings=7)

    assert len(pages_read(model)) == 7


def test_side_by_side_is_read_what_the_configuration_allows() -> None:
    model = RuleChatModel(respond=expert(FACTS), latency=0.02)

    read(model, notebook(40), coverage="full", concurrency=3)

    assert model.most_under_way == 3


def test_another_model_may_do_the_reading() -> None:
    model, reader = RuleChatModel(respond=expert(FACTS)), RuleChatModel(respond=expert(FACTS))
    qa = create_long_context_qa(
        model=model, reader_model=reader, documents=notebook(MANY, {77: FACT}), config=config(max_readings=2)
    )

    result = qa.invoke({"question": QUESTION, "level": "read"})

    assert result["found"]
    assert model.prompts == {"ANALYZE": 1, "ANSWER": 1}
    assert set(reader.prompts) == {"READ"}
    assert result["usage"]["model_calls"] == model.calls + reader.calls


def test_numbers_of_sentences_that_do_not_exist_are_dropped() -> None:
    model = RuleChatModel(respond=pointing_at(7, 0, -2, 3, 3, 99))

    result = read(model, notebook(MANY, {7: FACT}), max_readings=4)

    assert [citation["quote"] for citation in result["citations"]] == [FACT]
    assert result["coverage"]["chunks_relevant"] == 1


def test_what_was_pointed_at_comes_before_what_bm25_prefers() -> None:
    planted = {
        5: "It was Rosalind Thackwell.",
        **dict.fromkeys(range(60, 90), "The lamp, the lamp, who lit the lamp?"),
    }
    model = RuleChatModel(respond=pointing_at(5, 3))

    read(model, notebook(MANY, planted), coverage="full", evidence_tokens=240)

    [answering] = [messages for messages in model.history if prompt_of(messages) == "ANSWER"]
    first, second, *_ = answering[1].text.split("\n\n[")[1:]
    assert "It was Rosalind Thackwell." in first
    assert "who lit the lamp?" in second


def test_a_chunk_whose_sentences_were_not_told_apart_comes_after_it() -> None:
    planted = {5: "It was Rosalind Thackwell.", 60: "The lamp, the lamp, who lit the lamp?"}
    model = RuleChatModel(respond=pointing_at(5, *range(1, MAX_POINTED + 2)))

    read(model, notebook(MANY, planted), coverage="full", evidence_tokens=480)

    [answering] = [messages for messages in model.history if prompt_of(messages) == "ANSWER"]
    first, *others = answering[1].text.split("\n\n[")[1:]
    assert "who lit the lamp?" in first
    assert any("It was Rosalind Thackwell." in passage for passage in others)


def test_each_chunk_has_its_first_passage_before_any_has_its_second() -> None:
    town = resources(30, {3: FACT, 7: FACT})

    passages = pointed_at(town, [(3, [1, 5]), (7, [1]), (9, [])])

    assert [town.numbers[passage["chunk_id"]] for passage in passages] == [3, 7, 3]


def test_rankings_take_turns() -> None:
    one, two, three = (Passage(chunk_id=name, start=0, end=1) for name in ("one", "two", "three"))

    assert in_turns([one, two], [], [three]) == [one, three, two]


def test_where_nothing_was_pointed_at_the_evidence_is_what_was_retrieved() -> None:
    model = RuleChatModel(respond=pointing_at(-1))

    result = read(model, notebook(MANY, {77: FACT}), max_readings=4)

    assert (result["found"], result["level"]) == (True, "read")
    assert [citation["quote"] for citation in result["citations"]] == [FACT]


def test_where_level_1_has_seen_every_chunk_none_is_read() -> None:
    model = RuleChatModel(respond=expert({}))

    result = read(model, notebook(2), level="auto")

    assert (result["found"], result["coverage"]["chunks_read"]) == (False, 2)
    assert model.prompts["READ"] == 0


def test_where_that_was_tried_before_it_is_not_tried_again() -> None:
    model = RuleChatModel(respond=lambda messages: reading() if prompt_of(messages) == "READ" else NOT_FOUND)

    result = read(model, notebook(MANY, {77: FACT}), level="auto", max_readings=7, max_hops=1)

    assert (result["found"], result["answer"]) == (False, "The documents do not answer this question.")
    assert model.prompts["READ"] == 4  # half of them, rounded up
    assert model.prompts["ANSWER"] == 1


def test_chinese_documents_are_read_like_any_other() -> None:
    fact = "渡口的老船工彭阿福把船桨传给了外孙女葛小满。"
    pages = diary(MANY, {50: fact})
    model = RuleChatModel(respond=expert({"船桨": (fact, "葛小满")}))
    qa = create_long_context_qa(model=model, documents=pages, config=config(coverage="full"))

    result = qa.invoke({"question": "彭阿福把船桨传给了谁？", "level": "read"})

    assert result["answer"] == "葛小满 [1]"
    assert [citation["quote"] for citation in result["citations"]] == [fact]
    assert result["coverage"]["chunks_read"] == MANY


def test_a_reading_that_fails_does_not_end_the_others() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), ConnectionError("reset"), 3, 50, 119))

    result = read(model, notebook(MANY, {77: FACT}), coverage="full")

    assert result["found"]
    assert result["coverage"]["chunks_failed"] == 3
    assert result["coverage"]["chunks_read"] == MANY - 3
    assert result["usage"]["model_calls"] == model.calls
    assert result["answer"].endswith("(This rests on 117 of 120 parts of the documents; the others were not read.)")


def test_a_model_that_is_gone_ends_the_reading_with_an_error() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), ConnectionError("refused")))

    with pytest.raises(ModelUnavailableError, match=r"scripted-qwen .* does not answer \(refused\); start the server"):
        read(model, notebook(MANY, {77: FACT}), coverage="full")

    tasks = MIN_WAVE_OF_A_FULL_READING // MAX_READINGS_OF_A_TASK
    assert model.prompts["READ"] == 3 * (tasks * MIN_OUTAGES + 1)


def test_an_adaptive_reading_notices_sooner_that_the_model_is_gone() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), ConnectionError("refused")))

    with pytest.raises(ModelUnavailableError):
        read(model, notebook(MANY, {77: FACT}), wave_size=2, max_attempts=1)

    assert model.prompts["READ"] == 3


def test_what_an_outage_took_is_read_once_it_is_over() -> None:
    well, calls = expert(FACTS), iter(range(10**6))

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        is_out = prompt_of(messages) == "READ" and 61 <= next(calls) < 61 + MIN_OUTAGES
        return ConnectionError("restarting") if is_out else well(messages)

    model = RuleChatModel(respond=respond)

    result = read(model, notebook(MANY, {77: FACT}), coverage="full", max_attempts=1, concurrency=1)

    assert (result["coverage"]["chunks_read"], result["coverage"]["chunks_failed"]) == (MANY, 0)
    assert model.prompts["READ"] == MANY + MIN_OUTAGES


def test_what_an_outage_took_of_one_task_is_read_with_the_next_wave() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), ConnectionError("reset"), *range(8, 8 + MIN_OUTAGES)))

    result = read(model, notebook(MANY, {77: FACT}), coverage="full", reading_order="document", max_attempts=1)

    assert (result["coverage"]["chunks_read"], result["coverage"]["chunks_failed"]) == (MANY - MIN_OUTAGES, MIN_OUTAGES)
    assert model.prompts["READ"] == MANY


def test_a_last_chunk_that_no_model_can_read_is_one_failure() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), ConnectionError("reset"), 64))

    result = read(model, notebook(65, {7: FACT}), coverage="full", reading_order="document")

    assert result["coverage"]["chunks_failed"] == 1


def test_a_chunk_too_long_to_be_read_is_one_failure() -> None:
    pages = [Document("fog " * 2000), *notebook(80, {7: FACT})]
    model = RuleChatModel(respond=expert(FACTS))
    retriever = BM25Retriever.from_documents(pages, k=1)
    qa = create_long_context_qa(model=model, documents=pages, retriever=retriever, config=config(coverage="full"))

    result = qa.invoke({"question": QUESTION, "level": "read"})

    assert (result["coverage"]["chunks_failed"], result["found"]) == (1, True)


def test_an_unreadable_reply_is_one_failure() -> None:
    well = expert(FACTS)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return "no idea" if "Entry 9 " in messages[1].text and prompt_of(messages) == "READ" else well(messages)

    result = read(RuleChatModel(respond=respond), notebook(MANY, {77: FACT}), coverage="full")

    assert (result["coverage"]["chunks_failed"], result["found"]) == (1, True)


def test_a_fault_of_the_program_ends_the_run() -> None:
    model = RuleChatModel(respond=failing(expert(FACTS), KeyError("bug"), 3))

    with pytest.raises(KeyError, match="bug"):
        read(model, notebook(MANY, {77: FACT}), coverage="full")


def test_sentences_are_numbered_one_a_line() -> None:
    text = "All  went home.\r\nTea was\r\nserved\tat four."

    assert enumerate_sentences(text, [(0, 15), (17, len(text))]) == "[1] All went home.\n[2] Tea was served at four."


@given(sentences=st.lists(st.text(alphabet="abc xyz", max_size=120), max_size=30))
def test_a_query_grows_only_so_long(sentences: list[str]) -> None:
    question = "Who lit it?"

    lines = expand(question, sentences).split(" \n")

    kept = lines[2:]
    assert lines[:2] == [question, question]
    assert kept == sentences[: len(kept)]
    assert sum(len(sentence.split()) for sentence in kept) <= MAX_SENTENCE_TERMS
    assert len(kept) == len(sentences) or len(" ".join([*kept, sentences[len(kept)]]).split()) > MAX_SENTENCE_TERMS


def test_what_became_of_the_chunks_is_told_apart() -> None:
    assert touched_by({3: [1], 1: [], 2: None}) == {"read": [1, 3], "relevant": [3], "failed": [2]}
