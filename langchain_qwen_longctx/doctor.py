"""Which models there are, which one to take, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from langchain_qwen_longctx.chat_models import WAYS_TO_GET_A_MODEL
from langchain_qwen_longctx.errors import ModelUnavailableError
from langchain_qwen_longctx.private_files import private_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import ollama

PREFERRED_MODEL = "qwen2:7b"
EXTRAS: Final = {
    "openai": ("langchain_openai", "langchain-openai", "openai: models"),
    "server": ("langserve", "langserve", "qwen-longctx serve"),
    "mcp": ("mcp", "mcp", "qwen-longctx mcp"),
    "langgraph-server": ("langgraph_cli", "langgraph-cli", "langgraph dev"),
    "eval": ("matplotlib", "matplotlib", "qwen-longctx eval --figures"),
}
"""By the name of each extra but `embedded`: a module that it brings, that module's distribution, and what it is for."""

TRACED: Final = "questions, text of the documents and answers"
"""What a trace holds."""

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a server to say which models it has."""


@dataclass(frozen=True, slots=True)
class OllamaModel:
    """A model that an Ollama server has.

    Attributes:
        name: Such as `qwen2:7b`.
        family: Architecture, such as `qwen2`.
        parameters: Such as `7.6B`; empty if the server does not say.
        bytes: Size of its file.
        context_length: Longest context it was made for, in tokens; None if the server does not say.
    """

    name: str
    family: str
    parameters: str
    bytes: int
    context_length: int | None

    @property
    def is_qwen_chat(self) -> bool:
        """Whether it is a Qwen model that chats, not one that embeds or ranks."""
        name = self.name.lower()
        return self.family.startswith("qwen") and "embed" not in name and "rerank" not in name


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's findings.

    Attributes:
        status: `ok`; `note` for what may be missing, or is weak; `missing` for a gap to close; `fails` for what a model
            cannot do.
        subject: What was looked at.
        finding: What there is.
        remedy: What to do about it; empty if nothing.
    """

    status: Literal["ok", "note", "missing", "fails"]
    subject: str
    finding: str
    remedy: str = ""


def list_ollama_models(base_url: str | None = None) -> list[OllamaModel]:
    """Ask an Ollama server which models it has, the largest first.

    Args:
        base_url: The server; None is where Ollama's own client looks.

    Raises:
        ModelUnavailableError: No server answers there.
    """
    import httpx  # noqa: PLC0415 - start-up time
    import ollama  # noqa: PLC0415

    try:
        client = ollama.Client(host=base_url, timeout=CONNECT_TIMEOUT)
    except (ValueError, httpx.InvalidURL) as error:
        msg = f"{base_url or os.environ.get('OLLAMA_HOST')} is no address of a server ({error})"
        raise ModelUnavailableError(msg) from error
    with client:
        try:
            models = [_describe(client, model) for model in client.list().models]
        # A server of another kind does not answer in Ollama's JSON: a ValueError or TypeError.
        except (ConnectionError, httpx.HTTPError, ollama.ResponseError, ValueError, TypeError) as error:
            # A server of another kind may send a web page with its status.
            cause = f"status {error.status_code}" if isinstance(error, ollama.ResponseError) else error
            msg = f"no Ollama server answers at {client._client.base_url} ({cause})"  # noqa: SLF001 - its only trace
            raise ModelUnavailableError(msg) from error
    return sorted(models, key=lambda model: -model.bytes)


def _describe(client: ollama.Client, listed: ollama.ListResponse.Model) -> OllamaModel:
    import ollama  # noqa: PLC0415

    details, name = listed.details, listed.model or ""
    family = (details.family if details else None) or ""
    try:
        length = (client.show(name).modelinfo or {}).get(f"{family}.context_length")
    except (ollama.ResponseError, ValueError):
        length = None  # one damaged model must not hide the others
    return OllamaModel(
        name=name,
        family=family,
        parameters=(details.parameter_size if details else None) or "",
        bytes=int(listed.size or 0),
        context_length=length if isinstance(length, int) else None,
    )


def choose_model(base_url: str | None = None) -> str:
    """Return the name of the model to take when none is given.

    `ollama:qwen2:7b` if an Ollama server has it, else the largest Qwen chat model it has, else the embedded model if
    its extra is installed.

    Raises:
        ModelUnavailableError: None of these; the message says how to get one.
    """
    try:
        names = [model.name for model in list_ollama_models(base_url) if model.is_qwen_chat]
    except ModelUnavailableError as error:
        names, problem = [], str(error)
    else:
        problem = "the Ollama server has no Qwen model"
    if names:
        return f"ollama:{PREFERRED_MODEL if PREFERRED_MODEL in names else names[0]}"
    if has_embedded():
        return "embedded"
    msg = f"{problem}, and the extra for the embedded model is not installed. Get a model:\n{WAYS_TO_GET_A_MODEL}"
    raise ModelUnavailableError(msg)


def has_embedded() -> bool:
    """Tell whether the embedded model can run here."""
    return importlib.util.find_spec("xllamacpp") is not None


def check_model(name: str, base_url: str | None = None) -> None:
    """Make sure that a named Ollama model is there before documents are indexed for it; other names pass unseen.

    Raises:
        ModelUnavailableError: The server does not answer or does not have it.
    """
    provider, _, model = name.partition(":")
    if provider != "ollama" or not model:
        return
    try:
        names = [model.name for model in list_ollama_models(base_url)]
    except ModelUnavailableError as error:
        msg = f"{error}. Start it with: ollama serve. Or get a model in another way:\n{WAYS_TO_GET_A_MODEL}"
        raise ModelUnavailableError(msg) from error
    if model not in names and f"{model}:latest" not in names:
        msg = f"the Ollama server does not have {model}; it has {', '.join(names) or 'none'}. Run: ollama pull {model}"
        raise ModelUnavailableError(msg)


def examine(base_url: str | None = None, cache_dir: Path | None = None) -> list[Check]:
    """Look at everything an answer needs."""
    return [
        Check("ok", "package", f"langchain-qwen-longctx {_version('langchain-qwen-longctx')}, Python {_python()}"),
        *_ollama_checks(base_url),
        *_embedded_checks(cache_dir),
        *_extra_checks(),
        *_cache_checks(cache_dir),
        *_tracing_checks(),
    ]


def is_usable(checks: Sequence[Check]) -> bool:
    """Tell whether at least one model can answer."""
    return any(check.status == "ok" and check.subject in {"Ollama model", "embedded model"} for check in checks)


def _ollama_checks(base_url: str | None) -> Iterator[Check]:
    try:
        models = list_ollama_models(base_url)
    except ModelUnavailableError as error:
        yield Check("note", "Ollama server", str(error), "install it from https://ollama.com, then: ollama serve")
        return
    yield Check("ok", "Ollama server", f"answers; models: {len(models)}")
    for model in (model for model in models if model.is_qwen_chat):
        context = f", context {model.context_length:,} tokens" if model.context_length else ""
        yield Check("ok", "Ollama model", f"{model.name} ({model.parameters} parameters{context})")
    if PREFERRED_MODEL not in {model.name for model in models}:
        remedy = f"ollama pull {PREFERRED_MODEL}"
        yield Check("note", "Ollama model", f"{PREFERRED_MODEL}, which answers far better, is not there", remedy)


def _embedded_checks(cache_dir: Path | None) -> Iterator[Check]:
    from langchain_qwen_longctx.model_files import DEFAULT_MODEL_FILE, EMBEDDED_EXTRA, model_path  # noqa: PLC0415

    if not has_embedded():
        yield Check("note", "embedded model", "the extra is not installed", EMBEDDED_EXTRA)
        return
    path = model_path(cache_dir=cache_dir)
    state = (
        "its file is there" if path.exists() else f"its file ({DEFAULT_MODEL_FILE.size / 1e9:.1f} GB) will be fetched"
    )
    yield Check("ok", "embedded model", f"xllamacpp {_version('xllamacpp')}; {state}")


def _extra_checks() -> Iterator[Check]:
    for extra, (module, distribution, purpose) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            remedy = f'pip install "langchain-qwen-longctx[{extra}]"'
            yield Check("note", "extra", f"{extra}, for {purpose}, is not installed", remedy)
        else:
            yield Check("ok", "extra", f"{extra}, for {purpose} ({distribution} {_version(distribution)})")


def _cache_checks(cache_dir: Path | None) -> Iterator[Check]:
    if cache_dir is None:
        return
    try:
        probe = private_folder(cache_dir) / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield Check(
            "missing", "cache folder", f"{cache_dir} cannot be written ({error})", "choose another: --cache-dir"
        )
    else:
        size = sum(path.stat().st_size for path in cache_dir.rglob("*") if path.is_file())
        yield Check("ok", "cache folder", f"{cache_dir} holds {size / 1e6:,.0f} MB")


def _tracing_checks() -> Iterator[Check]:
    if address := tracing_address():
        yield Check("note", "LangSmith", f"tracing is on: {TRACED} go to {address}", "LANGSMITH_TRACING=false")


def tracing_address() -> str | None:
    """Return where LangSmith's tracing sends what is asked and read, if the environment has it on."""
    from langsmith.utils import get_api_url, tracing_is_enabled  # noqa: PLC0415 - what LangChain itself asks

    return get_api_url(None) if tracing_is_enabled() is True else None


def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)


def _python() -> str:
    return platform.python_version()
