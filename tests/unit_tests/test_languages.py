"""Which language a text is in: certain of Chinese, careful with names."""

from __future__ import annotations

import pytest

from langchain_qwen_longctx.languages import LANGUAGE_NAMES, detect_language, han_share


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Who chaired the board in 2019?", "en"),
        ("谁在2019年主持了董事会？", "zh"),
        ("誰在2019年主持了董事會？", "zh"),
        ("Wer leitete im Jahr 2019 den Vorstand der Gesellschaft?", "de"),
        ("Qui présidait le conseil d'administration en 2019 ?", "fr"),
        ("Кто возглавлял совет директоров в 2019 году?", "ru"),
        ("2019年の取締役会の議長は誰でしたか？", "ja"),
        ("2019년에 이사회 의장은 누구였습니까?", "ko"),
    ],
)
def test_a_question_is_recognised(text: str, code: str) -> None:
    assert detect_language(text) == code


def test_a_chinese_question_may_name_things_in_latin_letters() -> None:
    assert detect_language("LangGraph的检查点存在哪里？") == "zh"
    assert detect_language("2019年谁担任Stannock Light Trust的主席？") == "zh"


def test_an_english_question_may_name_things_in_chinese() -> None:
    assert detect_language("Which poems did 李白 write about the moon?") == "en"
    assert detect_language("What does 气候变化 mean?") == "en"


@pytest.mark.parametrize("text", ["", "   ", "2019", "?!", "Beethoven", "Angela Merkel"])
def test_a_text_that_tells_nothing_counts_as_english(text: str) -> None:
    assert detect_language(text) == "en"


def test_every_code_that_can_come_back_has_a_name() -> None:
    assert {"en", "zh", detect_language("Wer leitete den Vorstand der Gesellschaft?")} <= LANGUAGE_NAMES.keys()


@pytest.mark.parametrize(
    ("text", "share"),
    [("港口", 1.0), ("port", 0.0), ("港口 ab", 0.5), ("", 0.0), ("1887 — _!", 0.0), ("港1887。", 1.0)],
)
def test_the_share_of_chinese_counts_letters_alone(text: str, share: float) -> None:
    assert han_share(text) == share
