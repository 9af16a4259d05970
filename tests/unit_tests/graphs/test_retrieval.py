from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from notebook import diary, notebook

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.graphs.analysis import plan_search, wording, wording_to_answer
from langchain_qwen_longctx.graphs.ranking import above_floor, retrieve
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.graphs.retrieval import (
    render,
    route_answer,
    route_evidence,
    select,
    shown,
    style,
)

if TYPE_CHECKING:
    from langchain_qwen_longctx.graphs.state import Plan, QAState


def scored(identifier: str, score: float | None) -> Document:
    metadata = {"chunk_id": identifier} | ({} if score is None else {"score": score})
    return Document("text", metadata=metadata)


def plan(translation: str, instruction: str = "") -> Plan:
    return {"information": "", "instruction": instruction, "translation": translation, "queries": [], "keywords": []}


def test_chunks_far_below_the_best_are_no_evidence() -> None:
    documents = [scored("a", 10.0), scored("b", 2.6), scored("c", 2.4)]

    assert above_floor(documents, 0.25) == {"a": 1.0, "b": 0.26}


def test_without_scores_or_with_negative_ones_every_match_is_evidence_and_counts_by_its_place() -> None:
    assert above_floor([scored("a", None), scored("b", None)], 0.75) == {"a": 1.0, "b": 0.5}
    assert above_floor([scored("a", -1.0), scored("b", -2.0)], 0.75) == {"a": 1.0, "b": 0.5}
    assert above_floor([], 0.25) == {}


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        (
            'Which harbour song of the sailors is in "Driftwood"?',
            ["Driftwood is a film about one of them.", *["The sailors had a harbour song."] * 3],
        ),
        ("《浮木》里有哪首水手歌曲？", ["浮木讲了他们的事。", *["水手唱着歌曲。"] * 3]),
    ],
)
def test_what_a_question_quotes_is_searched_for_before_the_rest_of_it(question: str, facts: list[str]) -> None:
    pages = [*map(Document, facts), *notebook(60)]
    for page in pages[:4]:
        page.metadata["source"] = "facts.txt"
    resources = gather_resources(FakeListChatModel(responses=[""]), pages, None, LongContextConfig())

    def first(question: str) -> str:
        ranked = retrieve(resources, {"question": question, "plan": plan_search(question, None)})["ranked"]
        return resources.chunks[next(iter(ranked))].page_content

    assert first(question) == facts[0]
    assert first(question.translate(dict.fromkeys(map(ord, '"《》')))) == facts[1]


def chosen(question: str, facts: dict[int, str]) -> str:
    """Return the evidence for a question, from a notebook that holds some facts."""
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
    resources = gather_resources(FakeListChatModel(responses=[""]), notebook(60, facts), None, config)
    state: QAState = {"question": question, "plan": plan_search(question, None)}
    state |= retrieve(resources, state)
    state |= select(resources, state)
    return render(shown(resources, state))


COMB, CROWN = "A silver comb is hidden on Silent Island.", "A glass crown is hidden on Forgotten Island."
COMB_ZH, CROWN_ZH = "青云山上藏着一把银梳。", "白露山上藏着一顶玉冠。"
TOWER, ARCHITECT = "The Velmar lighthouse was designed by Ida Kessel.", "Ida Kessel was born in 1834 in a mill."
SONG, COMPOSER = "《雾港谣》的作曲者是洪砚秋。", "洪砚秋毕业于临江师范学校。"


@pytest.mark.parametrize(
    ("question", "facts", "answer"),
    [
        ("What is hidden on Silent Island?", [COMB, CROWN], COMB),
        ("What is hidden on Forgotten Island?", [COMB, CROWN], CROWN),
        ("青云山上藏着什么？", [COMB_ZH, CROWN_ZH], COMB_ZH),
    ],
)
def test_what_answers_in_one_step_is_all_the_evidence(question: str, facts: list[str], answer: str) -> None:
    evidence = chosen(question, dict(zip((5, 40), facts, strict=True)))

    assert [fact for fact in facts if fact in evidence] == [answer]
    assert "[2]" not in evidence


@pytest.mark.parametrize(
    ("question", "facts"),
    [
        ("When was the designer of the Velmar lighthouse born?", [TOWER, ARCHITECT]),
        ("《雾港谣》的作曲者毕业于哪所学校？", [SONG, COMPOSER]),
        ("What is hidden most often, on Silent Island?", [COMB, CROWN]),
        ("What is hidden on Silent Island?", [COMB, "A chest of nails is hidden on Silent Island as well."]),
    ],
)
def test_a_second_step_or_other_places_are_in_the_evidence_as_well(question: str, facts: list[str]) -> None:
    evidence = chosen(question, dict(zip((5, 40), facts, strict=True)))

    assert [fact for fact in facts if fact in evidence] == facts


HIDDEN_ZH = "船夫在老磨坊的屋顶上藏了一盏铜灯。"
MILL_ZH = [HIDDEN_ZH, "船夫卖了铜灯，铜灯很贵。", "老磨坊的屋顶漏水。", "船夫在老磨坊过夜。", "铜灯挂在屋顶上。"]
MILL = [
    *("The boatman hid a lamp on the mill roof.", "A lamp was sold.", "The lamp is mended.", "The roof leaks."),
    "The boatman slept at the mill.",
]


def found_across_languages(question: str, translation: str, keywords: list[str], pages: list[Document]) -> str:
    """Return the evidence for a question that a translation and keywords are searched for with."""
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
    resources = gather_resources(FakeListChatModel(responses=[""]), pages, None, config)
    searched: Plan = {**plan(translation), "queries": [question, translation], "keywords": keywords}
    state: QAState = {"question": question, "plan": searched}
    state |= retrieve(resources, state)
    state |= select(resources, state)
    return render(shown(resources, state))


def test_an_english_question_has_the_four_chinese_passages_with_most_of_its_translation() -> None:
    question, translation = "What did the boatman hide on the mill's roof?", "船夫在老磨坊的屋顶上藏了什么？"
    pages = diary(60, dict(zip((5, 15, 25, 35, 45), MILL_ZH, strict=True)))

    evidence = found_across_languages(question, translation, ["铜灯", "卖", "贵"] * 2, pages)

    first, *others = evidence.split("\n\n")
    assert HIDDEN_ZH in first
    assert len(others) == 3


def test_without_the_paragraph_beside_that_they_are_there_for() -> None:
    question, translation = "What did the boatman hide on the mill's roof?", "船夫在老磨坊的屋顶上藏了什么？"
    rule = "规约第七条：凡过渡者须先交钱，无钱者以米代之，米以升计，不足一升者以一升论，由渡口记账，年终结清。"
    page = Document(f"{rule}\n\n{HIDDEN_ZH}夜里他又来看过一次，灯还在原处，没有人动过。", metadata={"source": "page"})

    evidence = found_across_languages(question, translation, [], [*diary(60), page])

    assert HIDDEN_ZH in evidence
    assert "规约" not in evidence


def test_the_best_one_by_all_words_is_among_them_even_if_the_translation_is_wrong() -> None:
    question, translation = "What did the boatman hide on the mill's roof?", "船长在新磨坊的屋檐上写了什么？"
    twins = ["船长在新磨坊的屋檐下写信。", "新磨坊的屋檐上写着字。", "船长写了新磨坊的屋檐。", "船长看着新磨坊的屋檐。"]
    pages = diary(60, dict(zip((5, 15, 25, 35, 45), [HIDDEN_ZH, *twins], strict=True)))

    evidence = found_across_languages(question, translation, ["船夫", "老磨坊", "屋顶", "铜灯"] * 3, pages)

    assert HIDDEN_ZH in evidence
    assert evidence.count("新磨坊") == 3


def test_but_more_of_them_if_it_asks_for_many_places() -> None:
    question, translation = "How many times did the boatman hide a lamp on a roof?", "船夫在屋顶上藏了几次铜灯？"
    pages = diary(60, dict(zip((5, 15, 25, 35, 45), MILL_ZH, strict=True)))

    assert "[5]" in found_across_languages(question, translation, [], pages)


def test_and_so_has_one_whose_translation_is_put_beside_it() -> None:
    question, translation = "船夫在磨坊的屋顶上藏了什么？", "What did the boatman hide on the mill roof?"
    pages = notebook(60, dict(zip((5, 15, 25, 35, 45), MILL, strict=True)))

    assert "[5]" in found_across_languages(question, translation, [], pages)


def test_passages_are_numbered_from_one() -> None:
    passages = [Document("First.", metadata={"source": "a.md"}), Document("Second.", metadata={"source": "a.md"})]

    assert render(passages) == "[1] First.\n\n[2] Second."


def test_passages_of_several_sources_name_theirs() -> None:
    passages = [Document("First.", metadata={"source": "a.md"}), Document("Second.", metadata={"source": "b.md"})]

    assert render(passages) == "[1] (a.md)\nFirst.\n\n[2] (b.md)\nSecond."


@pytest.mark.parametrize(
    ("question", "instruction", "line"),
    [
        ("谁是主席？", "", "Answer in Chinese."),
        ("Who was the chair in 2019?", "", "Answer in English."),
        ("谁是主席？", "请用英文回答", "How to answer: 请用英文回答"),
    ],
)
def test_the_answer_is_in_the_questions_language_unless_it_says_how(question: str, instruction: str, line: str) -> None:
    assert style({"question": question, "plan": plan("", instruction)}) == line


@pytest.mark.parametrize(
    ("question", "is_when"),
    [
        ("When was the bridge built?", True),
        ("Since when has it been open?", True),
        ("In which year was it built?", True),
        ("桥是什么时候建成的？", True),
        ("大桥何时通车？", True),
        ("大桥是哪一年建成的？", True),
        ("Who was the chair when the bridge was built?", False),
        ("Which bridge was built last year?", False),
        ("建桥用了多少年？", False),
        ("", False),
    ],
)
def test_who_asks_when_is_told_when(question: str, is_when: bool) -> None:
    assert style({"question": question, "plan": plan("")}).endswith("Say when.") is is_when


def test_how_to_answer_is_for_the_question_to_say() -> None:
    assert style({"question": "When was it built?", "plan": plan("", "In one word.")}) == "How to answer: In one word."


def test_a_question_that_was_put_into_the_documents_language_is_answered_in_that() -> None:
    state: QAState = {"question": "谁是主席？", "plan": plan("Who was the chair?")}

    assert (wording(state), style(state)) == ("谁是主席？\nWho was the chair?", "Answer in English.")
    assert wording_to_answer(state) == "谁是主席？\nWho was the chair?"
    assert wording({"question": "谁是主席？"}) == "谁是主席？"


def test_a_translation_into_chinese_is_read_with_but_not_answered_with() -> None:
    state: QAState = {"question": "Who was the chair?", "plan": plan("谁是主席？")}

    assert (wording(state), style(state)) == ("Who was the chair?\n谁是主席？", "Answer in Chinese.")
    assert wording_to_answer(state) == "Who was the chair?"


def test_nor_with_one_that_has_many_names_in_latin_letters() -> None:
    state: QAState = {"question": "When did Ida Kessel leave Velmar?", "plan": plan("Ida Kessel在哪一年离开了Velmar？")}

    assert wording_to_answer(state) == "When did Ida Kessel leave Velmar?"


def test_the_routes_follow_evidence_and_draft() -> None:
    assert route_evidence({"evidence": []}) == "decline"
    assert route_evidence({"evidence": [{"chunk_id": "a", "start": 0, "end": 1}]}) == "answer"
    assert route_answer({"draft": "NOT FOUND"}) == "decline"
    assert route_answer({"draft": "Ada [1]"}) == "cite"
