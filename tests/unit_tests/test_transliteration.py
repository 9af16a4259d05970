from __future__ import annotations

import pytest

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.transliteration import (
    MAX_NAMES_SOUGHT,
    MIN_LIKENESS,
    chinese_names,
    english_names,
    likeness,
    sound_alikes,
    sounds_of,
)

PAIRS = [
    ("Montero", "蒙特罗"),
    ("Brandon", "布兰登"),
    ("Sabrin", "萨布林"),
    ("Quillan", "奎兰"),
    ("Malkov", "马尔科夫"),
    ("Bellini", "贝里尼"),
]
ENGLISH = "In the old town they kept the collection of paintings. Washington had seen it before the museum was opened."
CHINESE = "老城里保存着这批绘画收藏。博物馆开放之前，华盛顿曾经看过。桥边的工人建成了那座灯塔。"


def frequencies(*texts: str) -> dict[str, int]:
    return {term: 1 for text in texts for term in analyze(text)}


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_name_has_the_word_that_sounds_like_it(english: str, chinese: str) -> None:
    had = frequencies(ENGLISH, f"{english} was there.", CHINESE, f"{chinese}也在那里。")

    assert sound_alikes(f"When did {english} see the collection?", "zh", had) == {english: [chinese]}
    assert sound_alikes(f"{chinese}什么时候看过收藏？", "en", had) == {chinese: [english.lower()]}


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_without_it_a_name_has_none(english: str, chinese: str) -> None:
    had = frequencies(ENGLISH, CHINESE)

    assert sound_alikes(f"When did {english} see the collection?", "zh", had) == {}
    assert sound_alikes(f"{chinese}什么时候看过收藏？", "en", had) == {}


def test_a_name_that_the_dictionary_has_sounds_as_in_both_languages() -> None:
    (khubilai, spoken), had = sounds_of("忽必烈")[::-1], frequencies("忽必烈", "Kublai", CHINESE, ENGLISH)

    assert (khubilai.letters, spoken.letters) == ("khubilai", "hubilie")
    assert sound_alikes("Who taught Kublai?", "zh", had) == {"Kublai": ["忽必烈"]}
    assert sound_alikes("谁教过忽必烈？", "en", had) == {"忽必烈": ["kublai"]}


def test_one_that_sounds_less_alike_is_left_out() -> None:
    had = frequencies("Bellini", "Bellona")

    assert sound_alikes("贝里尼在哪里？", "en", had) == {"贝里尼": ["bellini"]}
    assert sound_alikes("贝里尼在哪里？", "en", frequencies("Bellona")) == {"贝里尼": ["bellona"]}


def test_of_many_names_the_first_ones_are_looked_for() -> None:
    names = [f"Be{'l' * times}ini" for times in range(1, 13)]

    found = sound_alikes(f"Were {', '.join(names)} there?", "zh", frequencies("贝里尼"))

    assert list(found) == names[:MAX_NAMES_SOUGHT]


def test_words_are_no_names() -> None:
    assert english_names("When did the Museum open its Lighthouse to Kessler?") == ["Kessler"]
    assert chinese_names("博物馆什么时候开放？") == []


def test_the_longest_name_counts() -> None:
    assert chinese_names("马尔科夫在哪里？") == ["马尔科夫"]


def test_voiced_and_unvoiced_consonants_are_alike() -> None:
    (german,), (other,) = sounds_of("Kessler"), sounds_of("Gesler")

    assert german.consonants == other.consonants
    assert MIN_LIKENESS < likeness(german, other) < 1 == likeness(german, german)


def test_nothing_is_known_of_other_languages_and_short_names() -> None:
    had = frequencies("Montero", "蒙特罗", "Anna", "安娜")

    assert sound_alikes("Wann hat Montero die Brücke gebaut?", "zh", had) == {}
    assert sound_alikes("When did Montero come?", "de", had) == {}
    assert sound_alikes("When did Anna come?", "zh", had) == {}
    assert sound_alikes("", "zh", had) == sound_alikes("", "en", had) == {}
