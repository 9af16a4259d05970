"""A chat model without any server to install: llama.cpp inside this process.

llama.cpp's own server engine comes as a wheel (xllamacpp, the extra `embedded`). It applies the chat template stored in
the model file, keeps the prompt's KV cache between calls, so that a prefix shared with the call before is not computed
again, and holds the output to a JSON schema.
"""

import atexit
import json
import os
import queue
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ChatMessage, HumanMessage, SystemMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough, chain, run_in_executor
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field

from langchain_qwen_longctx.errors import (
    ContextOverflowError,
    InputError,
    ModelError,
    ModelFileError,
    ModelUnavailableError,
)
from langchain_qwen_longctx.model_files import DEFAULT_MODEL_FILE, EMBEDDED_EXTRA, check_gguf, ensure_model_file

Event = dict[str, Any]
"""One chunk of an OpenAI chat completion stream, or `{"error": ...}`."""

_PROMPT_BATCH = 256
"""Prompt tokens between two looks at whether the caller still waits: a few seconds on two slow cores."""

_PROMPT_STORE_MIB = 512
"""Memory for the KV caches of earlier prompts: two full windows of the default model. llama.cpp would take 8 GiB."""


class ChatEmbeddedQwen(BaseChatModel):
    """Chat model that runs a Qwen GGUF file with llama.cpp in this process.

    Nothing is loaded before the first call. Models with equal `model_path`, `num_ctx` and `n_threads` share one copy of
    the weights for the life of the process. Calls may come from any thread; llama.cpp answers them one after the other.

    A prefix found in the KV cache is added up in another order than one computed anew, which now and then changes a
    word, even at temperature 0. Where runs must repeat exactly, pass `cache_prompt=False` with the call.

    Tool calls and images are not supported. Marks such as `<|im_end|>` inside a message act as marks: llama.cpp offers
    no way to have them read as plain text.

    Example:
        ```python
        model = ChatEmbeddedQwen(num_ctx=8192)
        model.invoke("Who wrote the Fifth Symphony?").text
        ```

    Attributes:
        model_path: A GGUF file; `None` is `DEFAULT_MODEL_FILE`, fetched on first use (1.1 GB).
        cache_dir: Where the default file is kept; `None` is the user's cache folder for this package.
        num_ctx: Context window in tokens, prompt and answer together.
        n_threads: Threads to compute with; `None` is one for each physical core.
        temperature: 0 always takes the most probable token.
        seed: Seed of the sampling, for temperatures above 0.
        max_tokens: Most tokens to generate in one call.
        stop: Texts that end the answer, unless a call brings its own; they are not part of it.
        timeout: Seconds one call may take, with waiting for earlier calls and without loading; `None` is no limit.

    Raises:
        ModelUnavailableError: The extra `embedded` is not installed, or a call took longer than `timeout`.
        ModelFileError: The model file is missing, damaged, of an unknown kind, or cannot be fetched.
        ContextOverflowError: The prompt alone does not fit `num_ctx`. Nothing is ever cut off.
        InputError: A message or a schema that the model cannot take.
    """

    model_config = ConfigDict(protected_namespaces=())

    model_path: Path | None = None
    cache_dir: Path | None = None
    num_ctx: int = Field(default=8192, gt=0)
    n_threads: int | None = Field(default=None, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    seed: int = 42
    max_tokens: int = Field(default=1024, gt=0)
    stop: list[str] | None = None
    timeout: float | None = Field(default=None, gt=0)

    @property
    def model_name(self) -> str:
        """The model file's name without its ending."""
        return (self.model_path or Path(DEFAULT_MODEL_FILE.name)).stem

    @property
    def _llm_type(self) -> str:
        return "embedded-qwen"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What determines the answer, and so LangChain's cache key."""
        path = str(self.model_path) if self.model_path else None
        return {"model_name": self.model_name, "model_path": path, "num_ctx": self.num_ctx, **self._options(None)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: object) -> LangSmithParams:
        options: dict[str, Any] = {"model": self.model_name, **self._options(stop), **kwargs}
        params = LangSmithParams(
            ls_provider="llama.cpp",
            ls_model_name=options["model"],
            ls_model_type="chat",
            ls_temperature=options["temperature"],
            ls_max_tokens=options["max_tokens"],
        )
        if options["stop"]:
            params["ls_stop"] = options["stop"]
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - BaseChatModel reports the chunks itself
        **kwargs: object,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks(self._request(messages, stop, **kwargs), threading.Event())

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **kwargs: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream from a thread, and stop the model when the task is cancelled; LangChain's default lets it run on."""
        given_up = threading.Event()
        chunks = self._chunks(self._request(messages, stop, **kwargs), given_up)
        try:
            while chunk := await run_in_executor(None, next, chunks, None):
                yield chunk
        finally:
            given_up.set()

    def _chunks(self, request: dict[str, Any], given_up: threading.Event) -> Iterator[ChatGenerationChunk]:
        finish_reason = None
        with closing(_events(self._engine(), request, given_up, self.timeout)) as events:
            for event in events:
                for choice in event["choices"]:
                    finish_reason = choice["finish_reason"] or finish_reason
                    if content := choice["delta"].get("content"):
                        yield ChatGenerationChunk(message=AIMessageChunk(content=content))
                if usage := event.get("usage"):
                    yield self._last_chunk(_usage_metadata(usage), finish_reason)

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: object) -> dict[str, Any]:
        return {
            "messages": [_to_openai(message) for message in messages],
            **self._options(stop),
            **kwargs,
            "stream": True,
            "stream_options": {"include_usage": True},
            # An event for each batch of the prompt: the only moments to give a call up before its first token.
            "return_progress": True,
        }

    def _options(self, stop: list[str] | None) -> dict[str, Any]:
        options = {"temperature": self.temperature, "seed": self.seed, "max_tokens": self.max_tokens}
        return {**options, "stop": stop or self.stop or []}

    def _last_chunk(self, usage: UsageMetadata, finish_reason: str | None) -> ChatGenerationChunk:
        metadata = {"finish_reason": finish_reason, "model_name": self.model_name, "model_provider": "llama.cpp"}
        message = AIMessageChunk(content="", usage_metadata=usage, response_metadata=metadata, chunk_position="last")
        return ChatGenerationChunk(message=message)

    def _engine(self) -> "_Engine":
        if self.model_path is None:
            _import_xllamacpp()  # before a gigabyte is fetched for nothing
            path = ensure_model_file(cache_dir=self.cache_dir)
        else:
            path = check_gguf(self.model_path)
        return _shared_engine(path, self.num_ctx, self.n_threads)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Literal["json_schema"] = "json_schema",
        include_raw: bool = False,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a Runnable whose output follows `schema`, because no other token can be generated.

        The answer is incomplete, and then does not parse, if it reaches `max_tokens` first.

        Args:
            schema: A pydantic model, a TypedDict, or a JSON schema as a dict.
            method: Only `"json_schema"`.
            include_raw: Return `{"raw": AIMessage, "parsed": ..., "parsing_error": ...}`, one of the last two `None`,
                and raise nothing for an output that does not parse.
            **kwargs: Nothing else is accepted.

        Raises:
            InputError: Another `method`, or an unknown option.
        """
        if method != "json_schema" or kwargs:
            msg = f"method={method!r}, options {sorted(kwargs)}: only 'json_schema' is supported."
            raise InputError(msg)
        json_schema = schema if isinstance(schema, dict) else convert_to_json_schema(schema)
        model = self.bind(
            response_format={"type": "json_schema", "json_schema": {"name": "output", "schema": json_schema}},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": json_schema},
        )
        is_model = isinstance(schema, type) and is_basemodel_subclass(schema)
        parser = _check_whole | (PydanticOutputParser(pydantic_object=schema) if is_model else JsonOutputParser())
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


@chain
def _check_whole(message: AIMessage) -> AIMessage:
    """Refuse a cut-off answer, which LangChain's parsers would complete: `[12, 345` might become `[12, 34]`."""
    try:
        json.loads(message.text)
    except json.JSONDecodeError as error:
        msg = (
            f"The output is not whole JSON ({error}); it ended with {message.response_metadata.get('finish_reason')!r}."
        )
        raise OutputParserException(msg, llm_output=message.text) from error
    return message


def _to_openai(message: BaseMessage) -> dict[str, str]:
    match message:
        case HumanMessage():
            role = "user"
        case AIMessage():
            role = "assistant"
        case SystemMessage():
            role = "system"
        case ChatMessage():
            role = message.role
        case _:
            msg = f"The embedded model cannot take a {type(message).__name__}. Send system, human and AI messages."
            raise InputError(msg)
    for block in message.content if isinstance(message.content, list) else []:
        if isinstance(block, dict) and block.get("type") != "text":
            msg = f"The embedded model reads text only, not a {block.get('type')!r} block. Leave it out."
            raise InputError(msg)
    return {"role": role, "content": str(message.text)}


def _usage_metadata(usage: dict[str, Any]) -> UsageMetadata:
    """Return the usage; llama.cpp counts tokens it found in its KV cache among the prompt's."""
    return UsageMetadata(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        total_tokens=usage["total_tokens"],
        input_token_details=InputTokenDetails(cache_read=usage["prompt_tokens_details"]["cached_tokens"]),
    )


class _Engine(Protocol):
    """The part of `xllamacpp.Server` that is used here; safe to call from several threads."""

    def handle_chat_completions(self, request: dict[str, Any], callback: Callable[[Event], bool], /) -> None: ...


def _events(
    engine: _Engine, request: dict[str, Any], given_up: threading.Event, timeout: float | None
) -> Generator[Event]:
    """Yield the events of one call; closing the iterator, or setting `given_up`, ends the call.

    The native call has a thread of its own, so that Ctrl-C, a cancelled task or the timeout need not wait for its end.
    """
    events: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()

    def on_event(event: Event) -> bool:
        events.put(event)
        return given_up.is_set() or not threading.main_thread().is_alive()

    def run() -> None:
        try:
            engine.handle_chat_completions(request, on_event)
            events.put(None)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            events.put(error)

    deadline = time.monotonic() + (timeout or threading.TIMEOUT_MAX / 2)
    threading.Thread(target=run, name="embedded-qwen").start()
    try:
        while (event := events.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if isinstance(event, Exception):
                msg = f"llama.cpp refused the request: {event}. Check the messages, the options and the schema."
                raise InputError(msg) from event
            if "error" in event:
                raise _to_error(event["error"])
            yield event
    except queue.Empty:
        msg = f"The embedded model did not finish within {timeout} s. Allow more time, or send a shorter prompt."
        raise ModelUnavailableError(msg) from None
    finally:
        given_up.set()


def _to_error(error: dict[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflowError(
            f"The prompt has {error['n_prompt_tokens']} tokens, the context window {error['n_ctx']}. "
            "Send less text or raise num_ctx."
        )
    text = f"llama.cpp refused the request: {error.get('message', error)}."
    is_input = error.get("type") == "invalid_request_error"
    return InputError(f"{text} Check the messages and options.") if is_input else ModelError(f"{text} Try again.")


_engines: dict[tuple[int, Path, int, int | None], _Engine] = {}
_engines_lock = threading.Lock()
# Before the interpreter takes itself apart: the engine's threads must end while their libraries are still there.
atexit.register(_engines.clear)


def _shared_engine(path: Path, num_ctx: int, n_threads: int | None) -> _Engine:
    """Return this process's engine for the file, loading it if it is the first to ask; a forked child loads its own."""
    key = (os.getpid(), path.resolve(), num_ctx, n_threads)
    with _engines_lock:
        if key not in _engines:
            _engines[key] = _load_engine(path, num_ctx, n_threads)
        return _engines[key]


def _load_engine(path: Path, num_ctx: int, n_threads: int | None) -> _Engine:
    xllamacpp = _import_xllamacpp()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = num_ctx
    params.n_parallel = 1  # more would divide num_ctx among them
    params.n_batch = _PROMPT_BATCH
    params.ctx_shift = False  # an answer that fills the window ends there; the prompt's start is never dropped
    params.cache_prompt = True
    params.cache_ram_mib = _PROMPT_STORE_MIB
    params.verbosity = -1
    if n_threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
    # The engine listens on a free port of 127.0.0.1, which cannot be turned off: a key nobody knows shuts it.
    params.api_keys = [secrets.token_hex(32)]
    params.ui = params.endpoint_slots = False
    params.n_threads_http = 1
    try:
        return cast("_Engine", xllamacpp.Server(params))
    except RuntimeError as error:
        msg = (
            f"llama.cpp cannot load {path} with num_ctx={num_ctx}: {error} The file may be damaged or of an unknown "
            "kind, or the memory too small. Try another file, a smaller num_ctx, or a newer xllamacpp."
        )
        raise ModelFileError(msg) from error


def _import_xllamacpp() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import xllamacpp  # noqa: PLC0415 - an extra, and 100 MB
    except ImportError as error:
        msg = f"The embedded model needs xllamacpp. Install it with: {EMBEDDED_EXTRA}"
        raise ModelUnavailableError(msg) from error
    return xllamacpp
