"""Level 3: which sub-questions are asked, and what is made of what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from notebook import ask_over, diary, notebook
from scripted import NOT_FOUND, RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.graphs.analysis import plan_search
from langchain_qwen_longctx.graphs.long_context_qa import route_outcome
from langchain_qwen_longctx.graphs.reasoning import (
    choose,
    conclude,
    hand_down_sub_question,
    is_asked,
    known,
    overlap,
    punctuated,
    recall,
    route_followed,
    route_proposal,
    steps,
    to_step,
    two_lines,
)
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.passages import whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from scripted import Respond

    from langchain_qwen_longctx.graphs.reasoning import Fact, ReasoningState
    from langchain_qwen_longctx.schemas import Level, QAOutput

LIT = "The lamp was lit by Rosalind Thackwell."
BORN = "Rosalind Thackwell was born at Hexham."
FACTS = {"Who lit the lamp": (LIT, "Rosalind Thackwell"), "Thackwell born": (BORN, "Hexham")}
QUESTION = "Where was the person born who lit the lamp?"
DECOMPOSE = "1. Who lit the lamp?\n2. Where was that person born?"
NEXT = "Where was Rosalind Thackwell born?"
PAGES = 80
PLANTED = {5: LIT, 70: BORN}
RESOURCES = gather_resources(FakeListChatModel(responses=[""]), notebook(3), None, LongContextConfig())


def fact(question: str, answer: str = "Ada Brook [1]", *, found: bool = True) -> Fact:
    return {"question": question, "answer": answer, "found": found, "citations": [], "evidence": []}


def run(
    model: RuleChatModel,
    question: str = QUESTION,
    level: Level = "reason",
    planted: Mapping[int, str] = PLANTED,
    **knobs: Any,
) -> QAOutput:
    return ask_over(notebook(PAGES, planted), model, question, level, max_readings=4, **knobs)


def detective(facts: Mapping[str, tuple[str, str]] = FACTS, **others: str | Mapping[str, str]) -> RuleChatModel:
    """Return a model that takes the question in two steps and concludes from both."""
    conclusion = {QUESTION: (facts.get("Thackwell born", ("-", "-")))}
    return RuleChatModel(
        respond=expert({**facts, **conclusion}, **{"decompose": DECOMPOSE, "next_question": NEXT, **others})
    )


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [({"a", "b"}, {"b", "a"}, 1.0), ({"a", "b"}, {"b", "c"}, 1 / 3), ({"a"}, set(), 0.0), (set(), set(), 1.0)],
)
def test_the_overlap_is_the_share_of_common_terms(left: set[str], right: set[str], share: float) -> None:
    assert overlap(left, right) == share


@pytest.mark.parametrize(
    ("question", "asked", "expected"),
    [
        ("Who lit the lamp?", ["Who lit the lamp"], True),
        ("who LIT the lamps?", ["Who lit the lamp?"], True),
        ("Who lit the lamp?", ["Where is the pier?", "The lamp was lit by whom?"], True),
        ("Where was Ida Kessel born?", ["Who was the architect of the lighthouse?"], False),
        ("In which year was Ida Kessel born?", ["In which year was the architect born?"], False),
        ("银练塔建成于哪一年？", ["银练塔建成于哪一年"], True),
        ("銀練塔建成於哪一年？", ["银练塔建成于哪一年？"], True),
        ("哪座戏院建成于一七三二年？", ["银练塔建成于哪一年？"], False),
        ("洪砚秋毕业于哪所学校？", ["《雾港谣》的作曲者毕业于哪所学校？"], False),
        ("Who lit the lamp?", [], False),
    ],
)
def test_a_question_counts_as_asked_in_nearly_the_same_words(question: str, asked: list[str], expected: bool) -> None:
    assert is_asked(question, asked) is expected


@pytest.mark.parametrize(
    ("question", "proposal", "memory", "chosen"),
    [
        (QUESTION, "Who lit the lamp?", [], "Who lit the lamp?"),
        (QUESTION, NEXT, [fact("Who lit the lamp?")], NEXT),
        (QUESTION, "Who lit the lamp?", [fact("Who lit the lamp?")], QUESTION),
        (QUESTION, "", [], QUESTION),
        (QUESTION, QUESTION, [], QUESTION),
        (QUESTION, QUESTION, [fact(QUESTION)], ""),
        (QUESTION, "", [fact("Who lit the lamp?", found=False)], QUESTION),
        (QUESTION, "Who lit the lamp?", [fact("Who lit the lamp?"), fact(QUESTION)], ""),
        ("与银练塔建成于同一年的戏院叫什么？", "银练塔建成于哪一年？", [], "银练塔建成于哪一年？"),
        ("银练塔建成于哪一年？", "银练塔建成于哪一年", [fact("银练塔建成于哪一年？")], ""),
        (QUESTION, "谁点亮了那盏灯？", [], QUESTION),
        ("银练塔建成于哪一年？", "Which tower was it?", [], "银练塔建成于哪一年？"),
    ],
)
def test_a_proposal_is_taken_if_it_is_progress(question: str, proposal: str, memory: list[Fact], chosen: str) -> None:
    assert choose([question], proposal, memory) == chosen


def test_the_question_in_the_documents_language_is_no_progress_either() -> None:
    assert choose(["谁点亮了那盏灯？", QUESTION], QUESTION, []) == "谁点亮了那盏灯？"


@given(proposal=st.text(max_size=40), asked=st.lists(st.sampled_from(["Who lit it?", "Where is it?", "谁？"])))
def test_nothing_is_ever_looked_up_twice(proposal: str, asked: list[str]) -> None:
    chosen = choose(["Who lit it?"], proposal, [fact(question) for question in asked])

    assert not chosen or not is_asked(chosen, asked)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1. Who lit it?\n2. Where was she born?", ("Who lit it?", "Where was she born?")),
        ("Who lit it?\n\n- Where was she born?\nMore.", ("Who lit it?", "Where was she born?")),
        ("1、谁点的灯？\r\n2、此人生于哪里？", ("谁点的灯？", "此人生于哪里？")),
        ("Who lit it?", ("Who lit it?", "")),
        ("1932 was the year of what?", ("1932 was the year of what?", "")),
        (" \n", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_decomposition_is_read_line_by_line(text: str, lines: tuple[str, str]) -> None:
    assert two_lines(text) == lines


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who lit it", "Who lit it?"),
        ("谁点的灯", "谁点的灯？"),
        ("Who lit it?", "Who lit it?"),
        ("说说灯。", "说说灯。"),
    ],
)
def test_a_question_gets_its_mark(question: str, expected: str) -> None:
    assert punctuated(question) == expected


def test_what_is_known_is_told_without_markers() -> None:
    assert (
        known([fact("Who lit it?", "Ada Brook [1] [2]"), fact("谁？", "沈文达【3】")])
        == "Who lit it? Ada Brook 谁？ 沈文达"
    )
    assert to_step(fact("Who?", "Ada [1]"))["answer"] == "Ada"


COUNTED, FOREIGN = "How many times was the lamp lit?", "点灯的人出生在哪里？"


@pytest.mark.parametrize(
    ("question", "sub_question", "memory", "route"),
    [
        (QUESTION, "Who?", [], "look_up"),
        (QUESTION, QUESTION, [], "follow"),
        (QUESTION, QUESTION, [fact("Who?", found=False)], "follow"),
        (QUESTION, QUESTION, [fact("Who?")], "look_up"),
        (QUESTION, "", [], "follow"),
        (QUESTION, "", [fact(QUESTION)], "follow"),
        (QUESTION, "", [fact(QUESTION), fact("Who?", found=False)], "follow"),
        (QUESTION, "", [fact("Who?")], "conclude"),
        (QUESTION, "", [fact(QUESTION, found=False), fact("Who?")], "conclude"),
        (QUESTION, "", [fact(QUESTION), fact("Who?")], "conclude"),
        (COUNTED, COUNTED, [], "look_up"),
        (COUNTED, "", [fact(COUNTED)], "recall"),
        (FOREIGN, FOREIGN, [], "look_up"),
        (FOREIGN, "", [fact(FOREIGN)], "recall"),
        (FOREIGN, "", [], "conclude"),
    ],
)
def test_what_sub_questions_have_found_is_concluded_from_and_else_two_passages_are(
    question: str, sub_question: str, memory: list[Fact], route: str
) -> None:
    state: ReasoningState = {"question": question, "sub_question": sub_question, "memory": memory}

    assert route_proposal(RESOURCES, state) == route


@pytest.mark.parametrize("before", [{"halted": ["budget"]}, {"plan": plan_search(QUESTION, None)}])
def test_two_passages_are_not_looked_for_at_the_limit_or_after_level_1(before: ReasoningState) -> None:
    state: ReasoningState = {"question": QUESTION, "sub_question": "", "memory": [fact(QUESTION)], **before}

    assert route_proposal(RESOURCES, state) == "recall"


def test_after_level_1_the_question_itself_is_looked_up_at_once() -> None:
    plan = plan_search(QUESTION, None)

    assert route_proposal(RESOURCES, {"question": QUESTION, "sub_question": QUESTION, "plan": plan}) == "look_up"


@pytest.mark.parametrize(
    ("followed", "route"),
    [
        ({"found": True, "memory": [fact(QUESTION)]}, "recall"),
        ({"found": False}, "look_up"),
        ({"found": False, "halted": ["budget"]}, "conclude"),
        ({"found": False, "sub_question": ""}, "conclude"),
        ({"found": False, "sub_question": "", "memory": [fact(QUESTION)]}, "recall"),
    ],
)
def test_where_two_passages_give_nothing_the_question_is_looked_up(followed: ReasoningState, route: str) -> None:
    state: ReasoningState = {"question": QUESTION, "sub_question": QUESTION, **followed}

    assert route_followed(state) == route


def test_what_the_question_itself_has_found_is_the_answer() -> None:
    ending = recall({"question": QUESTION, "memory": [fact("Who?", found=False), fact(QUESTION)]})

    assert (ending["answer"], ending["found"], len(ending["steps"])) == ("Ada Brook [1]", True, 2)


def test_an_undivided_question_of_two_steps_is_answered_from_two_passages_without_reading() -> None:
    model = RuleChatModel(respond=expert({QUESTION: (BORN, "Hexham")}, decompose=QUESTION))

    result = run(model)

    assert (result["answer"], result["level"], result["steps"]) == ("Hexham [1]", "reason", [])
    assert [citation["quote"] for citation in result["citations"]] == [BORN]
    assert (model.prompts["READ"], model.prompts["ANALYZE"], model.prompts["ANSWER"]) == (0, 0, 1)


def test_an_undivided_question_that_two_passages_do_not_answer_is_searched_and_read_for() -> None:
    respond = expert({QUESTION: (BORN, "Hexham")}, decompose=QUESTION)

    searched, read_for = (run(declining(respond, times)) for times in (1, 2))

    for result in (searched, read_for):
        assert (result["answer"], result["level"], result["steps"]) == ("Hexham [1]", "reason", [])
    assert read_for["usage"]["model_calls"] > searched["usage"]["model_calls"]
    assert read_for["coverage"]["chunks_read"] > 2


def test_the_question_itself_is_no_step_unless_there_are_others() -> None:
    assert steps({"question": QUESTION, "memory": [fact(QUESTION)]}) == []
    assert len(steps({"question": QUESTION, "memory": [fact("Who?"), fact(QUESTION)]})) == 2


def test_a_question_of_two_steps_is_answered_with_a_citation_for_each() -> None:
    model = detective()

    result = run(model, max_hops=2)

    assert result["steps"] == [
        {"question": "Who lit the lamp?", "answer": "Rosalind Thackwell", "found": True},
        {"question": NEXT, "answer": "Hexham", "found": True},
    ]
    assert {citation["quote"]: citation["page"] for citation in result["citations"]} == {LIT: 6, BORN: 71}
    assert result["answer"].startswith("Hexham [1]")
    assert "[2]" in result["answer"]
    assert (result["found"], result["level"], result["stopped"]) == (True, "reason", None)
    assert result["usage"]["model_calls"] == model.calls


@pytest.mark.parametrize(("verdict", "is_led_on"), [("yes", False), ("no", True)])
def test_what_is_known_is_concluded_from_alone_if_the_model_says_that_it_is_enough(
    verdict: str, is_led_on: bool
) -> None:
    bees, shown = "Rosalind Thackwell kept bees.", []
    well = detective().respond

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        name, text = prompt_of(messages), messages[-1].text
        if f"Question: {QUESTION}" in text and name == "ANSWER":
            shown.append(text)
        return verdict if QUESTION in text and name == "CHECK" else well(messages)

    run(RuleChatModel(respond=respond), planted={**PLANTED, 40: bees}, max_hops=2)

    (conclusion,) = shown
    assert (LIT in conclusion, BORN in conclusion, bees in conclusion) == (True, True, is_led_on)


def test_of_more_than_fits_into_a_prompt_what_fits_is_concluded_from() -> None:
    model = detective()
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
    resources = gather_resources(model, notebook(PAGES), None, config)
    remembered = fact("Who?")
    remembered["evidence"] = [whole(chunk) for chunk in resources.ordered]

    chosen = conclude(resources, {"question": QUESTION, "memory": [remembered], "started": 0.0})

    assert 0 < chosen["evidence_tokens"] < config.context_window - config.answer_tokens
    assert (chosen["spent"], model.calls) == ({}, 0)


def test_two_steps_in_chinese() -> None:
    tower, theatre = "银练塔在旧城北门外，一七三二年建成。", "一七三二年，鸣凤戏院在东街落成。"
    pages = diary(PAGES, {4: tower, 66: theatre})
    question, then = "与银练塔建成于同一年的戏院叫什么？", "一七三二年建成的戏院叫什么？"
    model = RuleChatModel(
        respond=expert(
            {"银练塔建成于哪": (tower, "一七三二年"), "戏院": (theatre, "鸣凤戏院")},
            decompose="1. 银练塔建成于哪一年？\n2. 那一年建成的戏院叫什么？",
            next_question=then,
        )
    )

    result = ask_over(pages, model, question, "reason", max_readings=4, max_hops=2)

    assert [step["question"] for step in result["steps"]] == ["银练塔建成于哪一年？", then]
    assert {tower, theatre} == {citation["quote"] for citation in result["citations"]}
    assert "鸣凤戏院" in result["answer"]


def test_a_sub_question_in_the_documents_language_takes_no_call_to_analyze() -> None:
    model = detective()

    run(model)

    assert model.prompts["ANALYZE"] == 0


def test_what_is_known_is_searched_for_as_well() -> None:
    model = detective({**FACTS, "that person born": (BORN, "Hexham")}, next_question="Where was that person born?")

    result = run(model, max_hops=2)

    assert [step["found"] for step in result["steps"]] == [True, True]


def test_the_question_itself_has_its_turn_when_there_is_nothing_else_to_ask() -> None:
    result = run(detective())

    assert [step["question"] for step in result["steps"]] == ["Who lit the lamp?", NEXT, QUESTION]


def test_a_proposal_that_repeats_itself_ends_the_loop() -> None:
    model = detective(next_question="Who lit the lamp?")

    result = run(model)

    asked = [step["question"] for step in result["steps"]]
    assert asked == ["Who lit the lamp?", QUESTION]
    assert model.prompts["NEXT_QUESTION"] <= 2


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_no_more_sub_questions_are_asked_than_allowed(hops: int) -> None:
    numbers = iter(range(100))
    well = expert(FACTS, decompose=DECOMPOSE)

    def respond(messages: Any) -> str | BaseException:  # noqa: ANN401
        if prompt_of(messages) == "NEXT_QUESTION":
            return f"What was moored at berth {next(numbers)} after number {next(numbers)}?"
        return well(messages)

    result = run(RuleChatModel(respond=respond), max_hops=hops)

    assert len(result["steps"]) == hops


def test_a_second_step_that_finds_nothing_leaves_the_question_unanswered() -> None:
    model = detective({"Who lit the lamp": FACTS["Who lit the lamp"]})

    result = run(model, planted={5: LIT})

    assert (result["found"], result["citations"]) == (False, [])
    assert result["answer"] == "The documents do not answer this question."
    assert result["steps"][0]["found"]
    assert not any(step["found"] for step in result["steps"][1:])


def test_a_first_step_that_finds_nothing_gives_the_question_its_turn() -> None:
    model = detective({"person born": (BORN, "Hexham")}, decompose="1. Who carried the torch?\n2. Where was he born?")

    result = run(model, planted={70: BORN})

    assert [(step["question"], step["found"]) for step in result["steps"]] == [
        ("Who carried the torch?", False),
        (QUESTION, True),
    ]
    assert result["answer"].startswith("Hexham")


def test_an_answer_that_level_1_finds_is_given_without_another_call() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    result = run(model, question="Who lit the lamp?", level="auto")

    assert model.prompts == {"ANALYZE": 1, "ANSWER": 1}
    assert (result["answer"], result["level"], result["steps"]) == ("Rosalind Thackwell [1]", "retrieve", [])


def test_a_conclusion_that_comes_to_nothing_falls_back_to_the_questions_own_answer() -> None:
    own = "The person who lit the lamp was born in the north."
    facts = {**FACTS, QUESTION: (own, "in the north")}
    well = expert(facts, decompose=DECOMPOSE, next_question=NEXT)
    answers = iter([None, None, None, NOT_FOUND])

    def respond(messages: Any) -> str | BaseException:  # noqa: ANN401
        return (prompt_of(messages) == "ANSWER" and next(answers)) or well(messages)

    result = run(RuleChatModel(respond=respond), planted={**PLANTED, 33: own})

    assert (result["answer"], result["found"]) == ("in the north [1]", True)
    assert [citation["quote"] for citation in result["citations"]] == [own]
    assert len(result["steps"]) == 3


@pytest.mark.parametrize("level", ["retrieve", "read"])
def test_other_levels_ask_no_sub_questions(level: Level) -> None:
    model = detective()

    result = run(model, level=level)

    assert model.prompts["DECOMPOSE"] == model.prompts["NEXT_QUESTION"] == 0
    assert (result["level"], result["steps"]) == (level, [])


def declining(respond: Respond, times: int) -> RuleChatModel:
    """Return a model that declines the first few answers it is asked for."""
    left = iter([NOT_FOUND] * times)

    def decline(messages: Sequence[BaseMessage]) -> str | BaseException:
        return (prompt_of(messages) == "ANSWER" and next(left, "")) or respond(messages)

    return RuleChatModel(respond=decline)


def test_of_its_own_accord_it_finds_at_once_what_one_passage_leads_on_to() -> None:
    result = run(detective(), level="auto")

    assert (result["answer"], result["level"], result["steps"]) == ("Hexham [1]", "retrieve", [])
    assert [citation["quote"] for citation in result["citations"]] == [BORN]


@pytest.mark.parametrize(
    ("level", "answer", "quote", "given_by", "answers"),
    [
        ("auto", "Hexham [1]", BORN, "reason", 2),
        ("retrieve", "35 feet [1]", "The tide stood at 35 feet.", "retrieve", 1),
    ],
)
def test_of_its_own_accord_it_tries_two_passages_where_its_answer_is_in_doubt(
    level: Level, answer: str, quote: str, given_by: Level, answers: int
) -> None:
    question = "Where was the one born who lit the lamp with a match?"
    well = expert({question: (BORN, "Hexham")})
    at_first = {"ANSWER": "35 feet [1]", "CHECK": "yes"}

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return at_first.pop(prompt_of(messages), None) or well(messages)

    model = RuleChatModel(respond=respond)
    result = run(model, question=question, level=level)

    assert (result["answer"], result["level"], result["steps"]) == (answer, given_by, [])
    assert [citation["quote"] for citation in result["citations"]] == [quote]
    assert model.prompts["ANSWER"] == answers
    assert result["usage"]["model_calls"] == model.calls


@pytest.mark.parametrize(
    ("outcome", "route"),
    [
        ({}, "follow"),
        ({"doubted": False}, "report"),
        ({"wanted": "retrieve"}, "report"),
        ({"halted": ["budget"]}, "report"),
        ({"found": False}, "reason"),
        # Where it has seen all that there is, two passages are only less of it.
        ({"touched": {"read": [0, 1, 2]}}, "report"),
        ({"question": "How many times was the lamp lit?"}, "report"),
        ({"question": "灯是谁点的？", "asked": "灯是谁点的？"}, "translate_answer"),
    ],
)
def test_only_an_answer_in_doubt_is_tried_again(outcome: dict[str, Any], route: str) -> None:
    state: Any = {"question": QUESTION, "asked": QUESTION, "plan": plan_search(QUESTION, None), "answer": "Hexham [1]"}
    state |= {"wanted": "auto", "found": True, "doubted": True, "touched": {"read": [0]}, **outcome}

    assert route_outcome(RESOURCES, state) == route


def test_of_its_own_accord_it_asks_sub_questions_if_nothing_was_found() -> None:
    result = run(declining(detective().respond, 1), level="auto")

    assert (result["level"], result["found"]) == ("reason", True)
    assert {LIT, BORN} <= {citation["quote"] for citation in result["citations"]}


def test_of_its_own_accord_it_reads_for_the_question_itself_last_of_all() -> None:
    model = declining(expert(FACTS), 1)

    result = run(model, question="Who lit the lamp?", level="auto")

    assert (result["level"], result["answer"]) == ("reason", "Rosalind Thackwell [1]")
    assert list(model.prompts)[:3] == ["ANALYZE", "ANSWER", "DECOMPOSE"]
    assert model.prompts["ANALYZE"] == 1


def test_what_the_documents_do_not_hold_is_read_for_once_and_declined() -> None:
    model = RuleChatModel(respond=expert(FACTS))

    result = run(model, question="Who lit the lamp?", level="auto", planted={})

    assert (result["found"], result["citations"]) == (False, [])
    assert model.prompts["READ"] <= 6


@pytest.mark.parametrize(("sub_question", "is_part"), [("Who lit the lamp?", False), ("Which lamp was lit?", True)])
def test_the_question_itself_is_no_part_of_it(sub_question: str, is_part: bool) -> None:
    state: ReasoningState = {"question": "Who lit the lamp?", "sub_question": sub_question, "started": 0.0}

    assert hand_down_sub_question(state)["is_part"] is is_part


@pytest.mark.parametrize(
    ("before", "level"), [({}, "auto"), ({"is_tried": True}, "read"), ({"hop_level": "retrieve"}, "retrieve")]
)
def test_a_sub_question_is_searched_for_before_it_is_read_for(before: ReasoningState, level: Level) -> None:
    state: ReasoningState = {"question": QUESTION, "sub_question": "Who?", "started": 0.0, **before}

    assert hand_down_sub_question(state)["level"] == level


def test_an_empty_proposal_is_no_reason_to_fail() -> None:
    result = run(detective(decompose=" ", next_question="\n"))

    assert result["answer"]
    assert result["steps"] == []


def test_what_is_known_fits_the_window_however_much_is_cited() -> None:
    planted = {
        page: f"The lamp was lit by keeper {page} and his {page} sons, {'and again ' * 12}." for page in range(40)
    }
    facts = {"lamp": ("The lamp was lit", "all of them " * 60)}
    numbers = iter(range(100))
    well = expert(facts, decompose=DECOMPOSE)

    def respond(messages: Any) -> str | BaseException:  # noqa: ANN401
        if prompt_of(messages) == "NEXT_QUESTION":
            return f"Which lamp had number {next(numbers)} and {next(numbers)}?"
        if prompt_of(messages) == "ANSWER":
            return "They " + " ".join(f"were many and lit it [{n}]" for n in range(1, 30)) + " again" * 200
        return well(messages)

    result = run(RuleChatModel(respond=respond), planted=planted, max_hops=6)

    assert result["answer"]
