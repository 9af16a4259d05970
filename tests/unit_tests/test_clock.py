"""A clock that nobody can set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from notebook import FACTS, LIT, notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa
from langchain_qwen_longctx.clock import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

HOUR = 3600.0


def test_it_tells_the_time() -> None:
    assert now() == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forth"])
def test_a_system_clock_that_jumps_changes_neither_a_deadline_nor_the_time_a_question_took(
    jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    well, real = expert(FACTS), time.time

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if prompt_of(messages) == "READ":
            monkeypatch.setattr(time, "time", lambda: real() + jump)
        return well(messages)

    config = LongContextConfig(chunk_tokens=128, coverage="full", max_seconds=3)
    model = RuleChatModel(respond=respond, latency=0.02)
    qa = create_long_context_qa(model=model, documents=notebook(1200, {1: LIT}), config=config)

    result = qa.invoke({"question": "Who lit the lamp?", "level": "read"})

    assert result["stopped"] == "deadline"
    assert result["coverage"]["chunks_read"] > 4
    assert 0.5 < result["usage"]["seconds"] < 30
