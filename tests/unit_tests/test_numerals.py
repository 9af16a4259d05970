"""Numbers in words, in digits."""

from __future__ import annotations

import warnings

import cn2an
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_qwen_longctx.analyzers import normalize
from langchain_qwen_longctx.numerals import in_digits


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("within ten days", "within 10 days"),
        ("twenty-three men", "23 men"),
        ("one of the two", "1 of the 2"),
        ("自成立之日起十日内", "自成立之日起10日内"),
        ("三人以上", "3人以上"),
        ("一万二千", "12000"),
        ("二〇一二年五月", "2012年5月"),
        ("百分之二十", "20%"),
        ("within 10 days, 3名", "within 10 days, 3名"),
        ("", ""),
    ],
)
def test_numbers_in_words_are_put_in_digits(text: str, digits: str) -> None:
    assert in_digits(text) == digits


def test_a_word_that_is_no_number_is_left_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert in_digits("万一") == "万一"


@given(st.integers(min_value=0, max_value=10**12))
def test_any_chinese_number_is_read(number: int) -> None:
    assert in_digits(f"共{cn2an.an2cn(number)}人") == f"共{number}人"


@given(st.lists(st.sampled_from([*"〇零百千万亿两点负分年几 .-,", "one", "hundred", "twenty-"]), max_size=30))
def test_whatever_stands_around_a_number_it_is_read(before: list[str]) -> None:
    assert in_digits(normalize("".join(before)) + "; ten days").endswith("; 10 days")
