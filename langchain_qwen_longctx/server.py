"""The method behind HTTP: LangServe's routes, uploads, an OpenAI-compatible one, and the web page."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads the annotations
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI, Header, Response, UploadFile
from langchain_core.runnables import RunnableConfig, RunnableLambda  # LangChain reads the annotation of the first
from pydantic import BaseModel
from sse_starlette import EventSourceResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from langchain_qwen_longctx import __version__, openai_api, ui
from langchain_qwen_longctx.document_collections import SERVED, Answerer, Collection, CollectionInfo, Passage
from langchain_qwen_longctx.document_loaders import READABLE_SUFFIXES
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.fair_sharing import Turnstile
from langchain_qwen_longctx.gate import UPLOADS_AT_ONCE, Gate
from langchain_qwen_longctx.graphs.resources import default_config
from langchain_qwen_longctx.langserve_routes import add_langserve
from langchain_qwen_longctx.metrics import CONTENT_TYPE, Metrics
from langchain_qwen_longctx.problems import PROBLEMS, add_problems
from langchain_qwen_longctx.questions import Question, QuestionAtLevel
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.schemas import Level, QAInput, QAOutput
from langchain_qwen_longctx.streaming import EVENTS, explain, narrate, status_of, to_line
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.transport import model_name
from langchain_qwen_longctx.uploads import Shelf, UploadLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache

MAX_AROUND: Final = 20_000
"""Characters shown on each side of a passage at most."""

BODY_OVERHEAD: Final = 1_000_000
"""Bytes of a request beside its files."""

SECONDS_BEFORE_MAKING_WAY: Final = 1e-4
"""How long a thread computes while others could go on."""

LEVELS: Final[tuple[Level, ...]] = ("retrieve", "read", "reason")

# Visible characters of ASCII: what a header can carry.
_KEY: Final = re.compile(r"[!-~]+")


class ServerInfo(BaseModel):
    """What a page needs to know of a server before anything is asked.

    Attributes:
        version: Of this package.
        model: What answers.
        levels: All that `level` may be.
        upload: What may be uploaded: `UploadLimits`, and the suffixes that can be read.
        max_calls: Most model calls of a question; None is no limit.
        max_seconds: Seconds after which no more is read for a question; None is no limit.
        served: The documents that the server was started with.
    """

    version: str
    model: str
    levels: list[Level]
    upload: dict[str, Any]
    max_calls: int | None
    max_seconds: float | None
    served: CollectionInfo | None


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Who may ask, and how much.

    Attributes:
        api_keys: Whoever sends none of these is refused, and each is a client of its own. Default none: everybody may.
        allowed_hosts: Names by which the server may be called, so that no web site can point one of its own at it.
            Default any.
        max_requests: Requests under way at once, beyond which one is told to come again. Default 64.
        upload: What may be uploaded.

    Raises:
        InputError: A key cannot be sent in a header.
    """

    api_keys: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ("*",)
    max_requests: int = 64
    upload: UploadLimits = field(default_factory=UploadLimits)

    def __post_init__(self) -> None:
        if not all(map(_KEY.fullmatch, self.api_keys)):
            msg = (
                "a key is empty, which would let everyone in, or no plain text; take letters, digits and signs of ASCII"
            )
            raise InputError(msg)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the routes work with.

    Attributes:
        model_name: What the model is called.
        shelf: The documents.
        answerer: What answers from them.
        metrics: What is counted.
        check: Raises a `ModelError` if the model cannot answer now.
    """

    model_name: str
    shelf: Shelf
    answerer: Answerer
    metrics: Metrics
    check: Callable[[], None]

    def qa(self, level: Level | None = None) -> Runnable[Any, QAOutput]:
        """Return a Runnable from a `Question` as a dict to its answer.

        Args:
            level: The level; None takes the question's own.
        """

        def find(question: dict[str, Any]) -> Runnable[QAInput, QAOutput]:
            collection = self.shelf.get(question.get("collection") or SERVED)
            return collection.runnable(self.answerer, question.get("max_calls"), question.get("max_seconds"))

        def turn(question: dict[str, Any]) -> QAInput:
            at = level or question.get("level") or "auto"
            history = [said.to_message() for said in question.get("history") or []]
            return {"question": question["question"], "history": history, "level": at}

        # Not by listeners: these make LangChain keep a record of every step.
        def answer(question: dict[str, Any], config: RunnableConfig) -> QAOutput:
            with self.metrics.question():
                result = find(question).invoke(turn(question), config)
            self.metrics.answered(result)
            return result

        async def narrated(question: dict[str, Any], config: RunnableConfig) -> QAOutput:
            with self.metrics.question():
                qa = await asyncio.to_thread(find, question)
                result = await qa.ainvoke(turn(question), config)
            self.metrics.answered(result)
            return result

        answering: Any = RunnableLambda(answer, narrated)
        typed: Runnable[Any, QAOutput] = answering.with_types(
            input_type=Question if level else QuestionAtLevel, output_type=QAOutput
        )
        return typed


def create_app(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BilingualBM25Retriever | None = None,
    config: LongContextConfig | None = None,
    cache: ReplyCache | None = None,
    settings: ServerSettings | None = None,
    name: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Return the application that serves answers from documents.

    | route                                               | what                                                     |
    |-----------------------------------------------------|----------------------------------------------------------|
    | `/qa`, `/retrieve`, `/read`, `/reason`              | LangServe: `invoke`, `batch`, `stream`, `playground` …   |
    | `/ask`                                              | a `QAOutput`, or server-sent events on the way to it     |
    | `/collections`, `/collections/{id}`, `…/passage`    | uploads, and the text around a citation                  |
    | `/v1/chat/completions`, `/v1/models`                | as OpenAI's                                              |
    | `/`, `/info`                                        | the web page, and what it needs to know                  |
    | `/health`, `/ready`, `/metrics`                     | for those who run it                                     |

    Args:
        model: The chat model, which all share: `config.concurrency` calls at once, by turns of the clients.
        documents: The documents that it is started with, as `load_documents` returns them. Without these and an index,
            it answers from uploads alone.
        retriever: Their index, made before, instead.
        config: The knobs; its limits hold for every question, and a question may only lower them.
        cache: Keeps the model's replies.
        settings: Who may ask, and how much.
        name: What the model is called; by default its own name.
        check: Raises a `ModelError` if the model cannot answer now; for `/ready`.

    Raises:
        InputError: The context windows of model and config differ, or the documents hold no text.
    """
    settings = settings or ServerSettings()
    config = config or default_config(model)
    answerer = Answerer(model=model, config=config, cache=cache)
    shelf = Shelf(_served(documents, retriever, answerer), settings.upload, config.chunk_tokens)
    metrics = Metrics()
    turnstile = Turnstile(config.concurrency, metrics.call_made)
    metrics.watch("longctx_calls_waiting", "Calls that wait for their turn", lambda: turnstile.waiting)
    metrics.watch("longctx_collections", "Collections of uploads", lambda: len(shelf))
    name = name or model_name(model)
    service = Service(model_name=name, shelf=shelf, answerer=answerer, metrics=metrics, check=check)
    app = FastAPI(
        title="langchain-qwen-longctx",
        version=__version__,
        description="Answers from documents of any size, every citation a verbatim span of its source.",
        # FastAPI's pages of the routes load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        lifespan=_many_threads(settings.max_requests * config.concurrency),
    )
    _add_questions(app, service)
    _add_collections(app, service)
    _add_operations(app, service)
    app.include_router(openai_api.create_router(service.qa(), name))
    ui.add_page(app)
    add_problems(app)
    app.add_middleware(
        Gate,
        turnstile=turnstile,
        api_keys=settings.api_keys,
        max_upload_bytes=settings.upload.max_files * settings.upload.max_file_bytes + BODY_OVERHEAD,
        max_requests=settings.max_requests,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))
    return app


def _served(
    documents: Iterable[Document] | None, retriever: BilingualBM25Retriever | None, answerer: Answerer
) -> Collection | None:
    """Return the collection that a server is started with, its graph made, so that the first question need not wait."""
    if documents is not None and retriever is not None:
        msg = "give either documents or a retriever, which has its own"
        raise InputError(msg)
    if documents is not None:
        chunks = QwenTextSplitter(chunk_tokens=answerer.config.chunk_tokens).split_documents(documents)
        retriever = BilingualBM25Retriever.from_documents(chunks)
    if retriever is None:
        return None
    for metadata in (chunk.metadata for chunk in retriever.docs):
        # A file's name on Linux may hold bytes that are no text, which no answer could have in it.
        metadata["source"] = metadata["source"].encode(errors="backslashreplace").decode()
    collection = Collection(SERVED, retriever)
    collection.runnable(answerer)
    return collection


def _many_threads(count: int) -> Callable[[FastAPI], Any]:
    """Return a lifespan with so many threads for what waits; asyncio has six on two cores, and a call takes one."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with ThreadPoolExecutor(count, thread_name_prefix="question") as executor, _without_pauses():
            asyncio.get_running_loop().set_default_executor(executor)
            yield

    return lifespan


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Keep a question from waiting for what Python does for others.

    What has been loaded up to now stays, so the collector of garbage need not look through it again and again: with the
    dictionaries in memory, each time holds up everything for a fifth of a second. And a thread that computes makes way
    sooner: five milliseconds each time that a thread has heard from its model add up.
    """
    gc.collect()
    gc.freeze()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SECONDS_BEFORE_MAKING_WAY)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
        gc.unfreeze()


def _add_questions(app: FastAPI, service: Service) -> None:
    qa = service.qa()
    # A batch is answered as many questions at a time as there are calls: more would only wait, each in a thread.
    together: Any = {"max_concurrency": service.answerer.config.concurrency}
    add_langserve(app, "/qa", qa.with_config(together), QuestionAtLevel, service.shelf)
    for level in LEVELS:
        add_langserve(app, f"/{level}", service.qa(level).with_config(together), Question, service.shelf)

    @app.post("/ask", response_model=QAOutput, responses={200: {"content": EVENTS}}, tags=["questions"])
    async def ask(question: QuestionAtLevel, accept: Annotated[str, Header()] = "*/*") -> Any:  # noqa: ANN401
        """Answer a question; with `Accept: text/event-stream`, tell what happens on the way to the answer."""
        turn = dict(question)
        if "text/event-stream" not in accept:
            # In one thread all through, which takes half as long as to await each step.
            return await asyncio.to_thread(qa.invoke, turn)
        service.shelf.get(question.collection)
        return EventSourceResponse(_sent(qa, turn))


async def _sent(qa: Runnable[Any, Any], question: object) -> AsyncIterator[dict[str, str]]:
    try:
        async for name, data in narrate(qa, question):
            yield {"event": name, "data": to_line(data)}
    except Exception as error:  # noqa: BLE001 - the answer has begun, so its status can no longer say so
        detail = {"status": status_of(error), "detail": explain(error)}
        yield {"event": "error", "data": to_line(detail)}


def _add_collections(app: FastAPI, service: Service) -> None:
    shelf = service.shelf
    # Reading takes several times the memory that a file has, and a client that goes does not end it.
    readers = ThreadPoolExecutor(UPLOADS_AT_ONCE, thread_name_prefix="upload")

    @app.post("/collections", status_code=201, tags=["documents"])
    async def upload(files: list[UploadFile]) -> CollectionInfo:
        """Take documents to ask about, for a while."""
        given = [(file.filename or "", file.file) for file in files]
        collection = await asyncio.get_running_loop().run_in_executor(readers, shelf.add, given)
        return shelf.describe(collection)

    @app.get("/collections/{collection_id}", tags=["documents"])
    async def describe(collection_id: str) -> CollectionInfo:
        """Tell what a collection holds."""
        return shelf.describe(shelf.get(collection_id))

    @app.delete("/collections/{collection_id}", status_code=204, tags=["documents"])
    async def remove(collection_id: str) -> None:
        """Forget a collection of uploads."""
        shelf.remove(collection_id)

    @app.get("/collections/{collection_id}/passage", tags=["documents"])
    async def passage(collection_id: str, source: str, start: int, end: int, around: int = 1200) -> Passage:
        """Return the text of a citation with what stands around it."""
        return shelf.get(collection_id).passage(source, start, end, max(0, min(around, MAX_AROUND)))


def _add_operations(app: FastAPI, service: Service) -> None:
    shelf, config = service.shelf, service.answerer.config
    checking: asyncio.Future[None] | None = None

    @app.get("/info", tags=["operations"])
    async def info() -> ServerInfo:
        """Tell what the server has and allows."""
        return ServerInfo(
            version=__version__,
            model=service.model_name,
            levels=["auto", *LEVELS],
            upload={**asdict(shelf.limits), "suffixes": sorted(READABLE_SUFFIXES)},
            max_calls=config.max_model_calls,
            max_seconds=config.max_seconds,
            served=shelf.describe(shelf.served) if shelf.served else None,
        )

    @app.get("/health", tags=["operations"])
    async def health() -> dict[str, str]:
        """Tell that the server runs."""
        return {"status": "ok"}

    @app.get("/ready", tags=["operations"])
    async def ready() -> dict[str, str]:
        """Tell whether the model can answer; 503 if not."""
        nonlocal checking
        # Who asks at the same time shares one check: no key is needed to ask.
        if checking is None or checking.done():
            checking = asyncio.ensure_future(asyncio.to_thread(service.check))
        await asyncio.shield(checking)
        return {"status": "ready", "model": service.model_name}

    @app.get("/metrics", response_class=PlainTextResponse, tags=["operations"])
    async def figures() -> Response:
        """Return figures for Prometheus."""
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)
