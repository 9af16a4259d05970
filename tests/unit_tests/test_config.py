"""The configuration: good defaults, and an error that names the value for everything else."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest

from langchain_qwen_longctx import LongContextConfig
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from typing import Any


def test_the_defaults_are_those_of_the_article() -> None:
    config = LongContextConfig()

    assert (config.context_window, config.chunk_tokens) == (8192, 512)


def test_a_configuration_cannot_be_changed() -> None:
    config = LongContextConfig()

    with pytest.raises(FrozenInstanceError):
        config.chunk_tokens = 256  # type: ignore[misc]


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in ("QWEN_LONGCTX_", ""):
        monkeypatch.setenv(f"{prefix}CONTEXT_WINDOW", "4096")

    assert LongContextConfig().context_window == 8192


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"context_window": 2047}, "context_window is 2047; it must be at least 2048"),
        ({"context_window": -1}, "context_window is -1; it cannot be negative"),
        ({"chunk_tokens": 15}, "chunk_tokens is 15; it must be at least 16"),
        ({"chunk_tokens": -512}, "chunk_tokens is -512; it cannot be negative"),
        ({"answer_tokens": 0}, "answer_tokens is 0; it must be between 1 and 3840"),
        ({"answer_tokens": 3841}, "answer_tokens is 3841; it must be between 1 and 3840"),
        ({"evidence_tokens": -1}, "evidence_tokens is -1; it cannot be negative"),
        ({"min_relative_score": 1.5}, "min_relative_score is 1.5; it must be at most 1"),
        ({"min_relative_score": -0.1}, "min_relative_score is -0.1; it cannot be negative"),
        ({"max_attempts": 0}, "max_attempts is 0; it must be at least 1"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_bounds(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        LongContextConfig(**values)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    "values",
    [
        {"context_window": 2048, "answer_tokens": 768},
        {"chunk_tokens": 16},
        {"answer_tokens": 1},
        {"answer_tokens": 3840},
        {"evidence_tokens": 0},
        {"min_relative_score": 0},
        {"min_relative_score": 1},
        {"max_attempts": 1},
    ],
)
def test_a_value_on_its_bound_is_taken(values: dict[str, Any]) -> None:
    config = LongContextConfig(**values)

    assert {name: getattr(config, name) for name in values} == values
