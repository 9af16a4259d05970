"""Levels 2 and 3 with a real model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chronicle import chronicle
from langchain_core.documents import Document

from langchain_qwen_longctx import LongContextConfig, create_chat_model, create_long_context_qa, open_reply_cache

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_qwen_longctx import QAInput

SYMPHONY = "这一年学堂请来一位琴师，他讲到贝多芬的《第五交响曲》，说这部作品写于十九世纪初，头四个音像有人敲门。"
TRAIN = "镇上的人第一次听说火车：这种交通工具发明于十九世纪初，靠蒸汽推动，在铁轨上行走。"


@pytest.mark.embedded
def test_a_question_of_two_steps_is_taken_in_two_and_cites_both(embedded_model: str, tmp_path: Path) -> None:
    text = chronicle(290, {30: SYMPHONY, 260: TRAIN})
    documents = [Document(text, metadata={"source": "chronicle.txt"})]
    config = LongContextConfig(max_hops=2, max_readings=4)
    qa = create_long_context_qa(
        model=create_chat_model(embedded_model), documents=documents, config=config, cache=open_reply_cache(tmp_path)
    )
    asked: QAInput = {"question": "与第五交响曲创作于同一世纪的交通工具是什么？", "level": "reason"}

    result = qa.invoke(asked)
    again = qa.invoke(asked)

    assert "火车" in result["answer"]
    assert [step["found"] for step in result["steps"]] == [True, True]
    assert {SYMPHONY, TRAIN} <= {citation["quote"] for citation in result["citations"]}
    assert again["answer"] == result["answer"]
    assert again["usage"]["model_calls"] == 0


@pytest.mark.ollama
def test_reading_finds_what_was_planted_and_says_what_it_read(ollama_model: str) -> None:
    planted = "渡口的老船工彭阿福把船桨传给了外孙女葛小满。"
    documents = [Document(chronicle(40, {25: planted}), metadata={"source": "chronicle.txt"})]
    config = LongContextConfig(max_readings=4)
    qa = create_long_context_qa(model=create_chat_model(ollama_model), documents=documents, config=config)

    result = qa.invoke({"question": "老船工彭阿福把船桨传给了谁？", "level": "read"})

    assert result["level"] == "read"
    assert "葛小满" in result["answer"]
    assert planted in [citation["quote"] for citation in result["citations"]]
    coverage = result["coverage"]
    assert coverage["chunks_read"] + coverage["chunks_failed"] + coverage["chunks_skipped"] == coverage["chunks_total"]
