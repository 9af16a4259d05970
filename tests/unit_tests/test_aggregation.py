"""What many places say alike is found by the question's words, and added up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.aggregation import Aggregate, aggregate_of, alike, slots, spoken_of, tally

CALLS = ["On day 3, the ferry Selholm called at Velmar.", "On day 90, the ferry Selholm called at Velmar."]
VOTES = [f"In the election of Orsk, a vote was cast for {name}." for name in ("Ada Brook", "Ida Kessel", "Ada Brook")]
STIMMEN = [f"在青云湾的选举中，{name}得到一票。" for name in ("沈墨云", "梁知远", "沈墨云")]


@pytest.mark.parametrize(
    ("question", "aggregate"),
    [
        ("How many times did the Selholm call at Velmar?", "count"),
        ("How often was the pier painted?", "count"),
        ("渡船星齐谷号一共停靠了石笙浦多少次？", "count"),
        ("Who got the most votes in Orsk?", "most"),
        ("Which port is named most often?", "most"),
        ("在青云湾的选举中，谁得票最多？", "most"),
        ("What are Ada's boats called? Name them all.", "all"),
        ("List all keepers of the light.", "all"),
        ("沈墨云的船都叫什么名字？请全部列出。", "all"),
        ("How many metres high is the light?", None),
        ("Who kept the light?", None),
        ("灯塔有多高？", None),
    ],
)
def test_the_question_says_what_is_to_be_added_up(question: str, aggregate: Aggregate | None) -> None:
    assert aggregate_of(question) == aggregate


@pytest.mark.parametrize("unit", ["list ", "name ", "把", "请", "一", "9", "谁", "a", " ", "which who ", "全部"])
def test_a_long_question_takes_no_long_time(unit: str) -> None:
    question, began = unit * (40_000 // len(unit)), time.process_time()

    aggregate_of(question)
    spoken_of(question)
    tally([question] * 3, "count")

    assert time.process_time() - began < 5


def test_what_only_asks_is_not_spoken_of() -> None:
    assert spoken_of("How many times did the ferry Selholm call at Velmar?") == ["ferri", "selholm", "call", "velmar"]
    assert spoken_of("渡船星齐谷号一共停靠了石笙浦多少次？") == ["渡船星齐谷号", "停靠", "石笙浦"]
    assert spoken_of("沈墨云的船都叫什么名字？请全部列出。") == ["沈墨云", "船"]
    assert spoken_of("在青云湾的选举中，谁得票最多？") == ["青云湾", "选举"]


def test_places_that_hold_as_much_as_the_best_are_alike() -> None:
    question = "How many times did the ferry Selholm call at Velmar?"
    others = ["The ferry Selholm lay at the pier.", "Velmar is old.", "On day 9, the ferry Orl called at Velmar."]

    assert alike([CALLS[0], *others, CALLS[1]], question) == [0, 4]
    assert alike(others[:2], question) == []
    assert alike([], question) == []


def test_a_chinese_name_counts_as_it_stands() -> None:
    assert alike([*STIMMEN, "在青云港的选举中，杜衡得到一票。"], "在青云湾的选举中，谁得票最多？") == [0, 1, 2]


def test_what_differs_is_the_name() -> None:
    assert slots(VOTES) == ["Ada Brook", "Ida Kessel", "Ada Brook"]
    assert slots(STIMMEN) == ["沈墨云", "梁知远", "沈墨云"]


def test_a_letter_in_common_is_no_part_of_the_frame() -> None:
    assert slots(["The boat is called Ada.", "The boat is called Adam."]) == ["Ada", "Adam"]


@pytest.mark.parametrize(
    "sentences",
    [
        ["The same.", "The same."],
        ["Ada came.", "Nobody knows."],
        ["The boat of Ada is called " + "very " * 20 + "old.", "The boat of Ada is called Orl."],
        ["The boat is called Ada.", "The boat is called Ada or Orl, and so on, or else by the name of its last owner."],
    ],
)
def test_without_a_name_in_each_there_is_none(sentences: list[str]) -> None:
    assert slots(sentences) == []


def test_a_count_is_of_places() -> None:
    assert tally(CALLS, "count") == [("", 2)]
    assert tally(CALLS[:1], "count") is None
    assert tally([], "count") is None


def test_what_the_text_counts_itself_is_not_counted_again() -> None:
    assert tally([*CALLS, "The ferry Selholm called at Velmar 12 times."], "count") is None
    assert tally(["渡船停靠了石笙浦。", "渡船停靠了石笙浦三次。"], "count") is None


def test_places_that_speak_of_different_things_are_not_counted() -> None:
    assert tally([CALLS[0], "When the Selholm called, the whole of Velmar stood waiting in the rain."], "count") is None


def test_the_most_frequent_names_win() -> None:
    assert tally(VOTES, "most") == [("Ada Brook", 2)]
    assert tally(STIMMEN, "most") == [("沈墨云", 2)]
    assert tally([*VOTES, VOTES[1]], "most") == [("Ada Brook", 2), ("Ida Kessel", 2)]
    assert tally(VOTES[:2], "most") is None


def test_all_names_come_in_their_order() -> None:
    assert tally(VOTES, "all") == [("Ada Brook", 2), ("Ida Kessel", 1)]
    assert tally(["Nothing alike.", "Quite another thing"], "all") is None


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=40))
def test_any_text_is_taken(sentences: list[str], question: str) -> None:
    chosen = [sentences[place] for place in alike(sentences, question)]

    for aggregate in ("count", "most", "all"):
        assert tally(chosen, aggregate) is None or len(chosen) > 1
    assert len(slots(sentences)) in {0, len(sentences)}
