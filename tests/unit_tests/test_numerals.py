"""Numbers in words, in digits."""

from __future__ import annotations

import warnings

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


@given(st.text(alphabet="〇零一二三四五六七八九十百千万亿两点负分之年月日几 1.twonehudr-,", max_size=60))
def test_whatever_is_written_it_returns(text: str) -> None:
    assert in_digits(in_digits(normalize(text))) is not None
