"""What is kept of texts is what is worked out, and long ones are not kept."""

from __future__ import annotations

import pytest

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.recent_texts import MAX_CHARACTERS, _sentences_of, _terms_of, spans_of, terms_of
from langchain_qwen_longctx.sentences import sentence_spans

SHORT = "The clock tower. 钟楼由毛一清设计。"


@pytest.mark.parametrize("text", ["", SHORT, SHORT * MAX_CHARACTERS])
def test_it_is_the_same_the_first_and_every_other_time(text: str) -> None:
    for _ in range(2):
        assert list(terms_of(text)) == analyze(text)
        assert list(spans_of(text)) == sentence_spans(text)


def test_a_long_text_is_not_kept() -> None:
    _terms_of.cache_clear()
    _sentences_of.cache_clear()

    for text in (SHORT, "x" * (MAX_CHARACTERS + 1)):
        terms_of(text)
        spans_of(text)

    assert _terms_of.cache_info().currsize == _sentences_of.cache_info().currsize == 1
