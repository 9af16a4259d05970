"""The self-test with real models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.self_test import self_test

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def test_a_small_real_model_can_do_its_part(real_model: BaseChatModel) -> None:
    checks = list(self_test(real_model, LongContextConfig(concurrency=1)))

    assert [check for check in checks if check.status == "fails"] == []
    assert {check.subject for check in checks if check.status == "ok"} >= {
        "reading",
        "answering",
        "declining",
        "context",
    }
