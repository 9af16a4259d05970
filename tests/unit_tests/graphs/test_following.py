"""Two steps without sub-questions: which two passages the model answers from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from notebook import diary, notebook
from scripted import RuleChatModel

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.graphs.analysis import plan_search
from langchain_qwen_longctx.graphs.following import check_pair, pair
from langchain_qwen_longctx.graphs.ranking import retrieve
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.passages import text_of, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.messages import BaseMessage

    from langchain_qwen_longctx.graphs.state import QAState

QUESTION = "When was the designer of the Velmar lighthouse born?"
TOWER, BORN = "The Velmar lighthouse was designed by Ida Kessel.", "Ida Kessel came into the world in 1834."
OYSTERS, BOAT = "Ida Kessel was fond of oysters.", "Ida Kessel owned a boat."
QUESTION_ZH = "《雾港谣》的作曲者毕业于哪所学校？"
SONG, SCHOOL = "《雾港谣》的作曲者是洪砚秋。", "洪砚秋读完了临江师范。"
FISH, HOUSE = "洪砚秋爱吃鱼。", "洪砚秋住在江边。"


def chosen(question: str, pages: list[Document], answered_by: str, **knobs: Any) -> tuple[str, int]:
    """Return the evidence, and how many calls it took, for a model that says yes where some words are in the text."""

    def respond(messages: Sequence[BaseMessage]) -> str:
        _, _, text = messages[-1].text.partition("Text: ")
        return "yes" if answered_by in text else "no"

    model = RuleChatModel(respond=respond)
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    resources = gather_resources(model, pages, None, config)
    state: QAState = {"question": question, "plan": plan_search(question, None), "started": 0.0}
    state |= retrieve(resources, state)
    evidence = pair(resources, state)["evidence"]
    return "\n\n".join(text_of(passage, resources.chunks) for passage in evidence), model.calls


ENGLISH = notebook(60, {5: TOWER, 15: OYSTERS, 40: BORN, 50: BOAT})
CHINESE = diary(60, {5: SONG, 15: FISH, 40: SCHOOL, 50: HOUSE})


@pytest.mark.parametrize(
    ("question", "pages", "first", "second"),
    [
        (QUESTION, ENGLISH, TOWER, BORN),
        (QUESTION, ENGLISH, TOWER, OYSTERS),
        (QUESTION_ZH, CHINESE, SONG, SCHOOL),
        (QUESTION_ZH, CHINESE, SONG, FISH),
    ],
)
def test_the_second_passage_is_that_of_which_the_model_says_that_it_answers(
    question: str, pages: list[Document], first: str, second: str
) -> None:
    evidence, calls = chosen(question, pages, answered_by=second)

    others = {TOWER, OYSTERS, BORN, BOAT, SONG, FISH, SCHOOL, HOUSE} - {first, second}
    assert first in evidence
    assert second in evidence
    assert not any(fact in evidence for fact in others)
    assert 1 <= calls <= 3


@pytest.mark.parametrize(("question", "pages", "first"), [(QUESTION, ENGLISH, TOWER), (QUESTION_ZH, CHINESE, SONG)])
def test_if_it_says_so_of_none_the_likeliest_are_taken(question: str, pages: list[Document], first: str) -> None:
    evidence, calls = chosen(question, pages, answered_by="xylophone")

    assert first in evidence
    assert len(evidence.split("\n\n")) == 3
    assert calls == 3


def test_what_answers_at_once_is_not_looked_for_any_further() -> None:
    _, calls = chosen(QUESTION, ENGLISH, answered_by="Velmar")

    assert calls == 1


def test_a_call_is_kept_for_the_answer() -> None:
    evidence, calls = chosen(QUESTION, ENGLISH, answered_by="Velmar", max_model_calls=1)

    assert (TOWER in evidence, calls) == (True, 0)


def test_where_nothing_is_found_nothing_is_asked() -> None:
    assert chosen("Xylophone?", ENGLISH, answered_by="") == ("", 0)


@pytest.mark.parametrize(
    ("question", "pages", "facts", "is_found"),
    [
        (QUESTION, ENGLISH, (TOWER, BORN), True),
        (QUESTION, ENGLISH, (OYSTERS, BORN), False),
        (QUESTION_ZH, CHINESE, (SONG, SCHOOL), True),
        (QUESTION_ZH, CHINESE, (FISH, SCHOOL), False),
    ],
)
def test_they_answer_if_they_have_what_the_question_names_and_enough_of_the_rest(
    question: str, pages: list[Document], facts: tuple[str, str], *, is_found: bool
) -> None:
    model = RuleChatModel(respond=lambda messages: "no")
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256)
    resources = gather_resources(model, pages, None, config)
    evidence = [whole(chunk) for chunk in resources.ordered if any(fact in chunk.page_content for fact in facts)]

    found = check_pair(resources, {"question": question, "plan": plan_search(question, None), "evidence": evidence})

    assert found == {"found": is_found}
    assert model.calls == 0
