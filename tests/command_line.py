"""The console script as tests run it, and a town's chronicle that a faultless model answers questions from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from scripted import expert

from langchain_qwen_longctx import chat_models, doctor

if TYPE_CHECKING:
    import pytest
    from langchain_core.language_models import BaseChatModel

ModelT = TypeVar("ModelT", bound="BaseChatModel")

NOWHERE: Final = "http://127.0.0.1:1"

TOWN_QUESTION: Final = "镇上的钟楼是谁设计的？"
TOWN_FACT: Final = "钟楼由匠人毛一清设计。"
HOPS_QUESTION: Final = "钟楼的设计者的出生地是哪里？"
BIRTH_QUESTION: Final = "毛一清的出生地是哪里？"
BIRTH_FACT: Final = "毛一清的出生地是岭下村。"
FOLLOW_UP: Final = "她的出生地是哪里？"
EXPERT: Final = expert(
    {"谁设计": (TOWN_FACT, "毛一清"), "出生地": (BIRTH_FACT, "岭下村")},
    decompose=f"{TOWN_QUESTION}\n他的出生地是哪里？",
    next_question={"毛一清": BIRTH_QUESTION},
    standalone=BIRTH_QUESTION,
)


@dataclass(frozen=True)
class Result:
    """What a command left behind: its exit code, and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What stderr says beside which model was taken."""
        return "\n".join(line for line in self.err.splitlines() if not line.startswith("Model: "))


Shell: TypeAlias = Callable[..., Result]


def take(model: ModelT, monkeypatch: pytest.MonkeyPatch) -> ModelT:
    """Let the command line find this model whatever its name."""
    monkeypatch.setattr(chat_models, "create_chat_model", lambda *_, **__: model)
    monkeypatch.setattr(doctor, "choose_model", lambda *_: "ollama:scripted-qwen")
    monkeypatch.setattr(doctor, "check_model", lambda *_: None)
    return model


def own_variables() -> list[str]:
    """Return the names of the variables in the environment that set options."""
    return [name for name in os.environ if name.startswith("QWEN_LONGCTX_")]
