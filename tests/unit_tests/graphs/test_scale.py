"""A document of a million tokens, read from end to end by a model that answers at once: what is left is ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chronicle import chronicle
from langchain_core.documents import Document
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa, open_checkpointer, open_reply_cache

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = "渡口的老船工彭阿福把船桨传给了外孙女葛小满。"
MAX_CPU_SECONDS_PER_READING = 0.004


def test_a_full_reading_of_a_million_tokens_is_quick_and_leaves_less_behind_than_it_read(tmp_path: Path) -> None:
    text = chronicle(8_200, {5_000: PLANTED})
    model = RuleChatModel(respond=expert({"船桨": (PLANTED, "葛小满")}))
    qa = create_long_context_qa(
        model=model,
        documents=[Document(text, metadata={"source": "chronicle.txt"})],
        config=LongContextConfig(coverage="full"),
        cache=open_reply_cache(tmp_path),
        checkpointer=open_checkpointer(tmp_path),
    )

    begun = time.process_time()
    result = qa.invoke(
        {"question": "老船工彭阿福把船桨传给了谁？", "level": "read"}, {"configurable": {"thread_id": "1"}}
    )
    spent = time.process_time() - begun

    readings = model.prompts["READ"]
    assert readings == result["coverage"]["chunks_total"] == result["coverage"]["chunks_read"] >= 2_000
    assert [citation["quote"] for citation in result["citations"]] == [PLANTED]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < len(text.encode())
    assert spent < MAX_CPU_SECONDS_PER_READING * readings
