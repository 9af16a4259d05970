"""Nothing is paid for twice: across questions by the cache, after an interruption by cache or checkpointer."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from notebook import BORN, FACTS, LIT, STEPS, notebook
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa, open_checkpointer, open_reply_cache
from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from langchain_qwen_longctx import ReplyCache
    from langchain_qwen_longctx.schemas import Level, QAOutput

QUESTION = "Who lit the lamp?"
PAGES = 100
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def qa_of(model: RuleChatModel, pages: int = PAGES, **options: Any) -> Any:  # noqa: ANN401 - a graph and a Runnable
    config = LongContextConfig(
        context_window=2048, chunk_tokens=128, answer_tokens=256, coverage="full", max_attempts=1
    )
    documents = notebook(pages, {1: LIT, pages - 5: BORN})
    return create_long_context_qa(model=model, documents=documents, config=config, **options)


def healthy() -> RuleChatModel:
    return RuleChatModel(respond=expert(FACTS, **STEPS))


def dying(after: int, error: BaseException) -> RuleChatModel:
    """Return a model that answers so many readings and then no more."""
    well, lock, left = expert(FACTS, **STEPS), Lock(), [after]

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        if prompt_of(messages) != "READ":
            return well(messages)
        with lock:
            left[0] -= 1
            return well(messages) if left[0] >= 0 else error

    return RuleChatModel(respond=respond)


def substance(result: QAOutput) -> dict[str, Any]:
    """Return a result without what it cost."""
    return {name: value for name, value in result.items() if name != "usage"}


CACHES: list[Callable[[Path], BaseCache[Any] | ReplyCache]] = [lambda _: InMemoryCache(), open_reply_cache]
SAVERS: list[Callable[[Path], BaseCheckpointSaver[str]]] = [lambda _: InMemorySaver(), open_checkpointer]


@pytest.mark.parametrize("open_cache", CACHES, ids=["memory", "disk"])
@pytest.mark.parametrize("level", ["retrieve", "read", "reason", "auto"])
def test_the_same_question_again_costs_nothing(
    level: Level, open_cache: Callable[[Path], BaseCache[Any] | ReplyCache], tmp_path: Path
) -> None:
    cache, models = open_cache(tmp_path), [healthy(), healthy()]

    first, second = (
        qa_of(model, pages=24, cache=cache).invoke(
            {"question": "Where was the lighter of the lamp born?", "level": level}
        )
        for model in models
    )

    assert substance(second) == substance(first)
    assert models[1].calls == 0
    assert second["usage"]["model_calls"] == second["usage"]["input_tokens"] == second["usage"]["output_tokens"] == 0
    assert second["usage"]["cached_calls"] == first["usage"]["model_calls"] + first["usage"]["cached_calls"] > 0


def test_another_question_is_read_for_anew() -> None:
    cache, model = InMemoryCache[str](), healthy()
    qa = qa_of(model, pages=24, cache=cache)
    qa.invoke({"question": QUESTION, "level": "read"})

    qa.invoke({"question": "Where was Rosalind Thackwell born?", "level": "read"})

    assert model.prompts["READ"] == 2 * 24


@pytest.mark.parametrize(
    ("error", "raised"), [(ConnectionError("refused"), ModelUnavailableError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_after_an_interruption_only_what_is_missing_is_asked(
    error: BaseException, raised: type[BaseException], tmp_path: Path
) -> None:
    first, second = dying(30, error), healthy()
    with pytest.raises(raised):
        qa_of(first, cache=open_reply_cache(tmp_path)).invoke({"question": QUESTION, "level": "read"})

    result = qa_of(second, cache=open_reply_cache(tmp_path)).invoke({"question": QUESTION, "level": "read"})

    assert second.prompts == {"READ": PAGES - 30, "ANSWER": 1}
    assert result["usage"]["cached_calls"] == 31
    assert substance(result) == substance(qa_of(healthy()).invoke({"question": QUESTION, "level": "read"}))


@pytest.mark.parametrize("open_saver", SAVERS, ids=["memory", "disk"])
@pytest.mark.parametrize("error", [ConnectionError("refused"), KeyboardInterrupt()], ids=["outage", "interrupt"])
def test_a_thread_that_died_in_a_reading_goes_on_where_it_was(
    open_saver: Callable[[Path], BaseCheckpointSaver[str]], error: BaseException, tmp_path: Path
) -> None:
    saver, first, second = open_saver(tmp_path), dying(70, error), healthy()
    with pytest.raises((ModelUnavailableError, KeyboardInterrupt)):
        qa_of(first, checkpointer=saver).invoke({"question": QUESTION, "level": "read"}, THREAD)
    if isinstance(saver, InMemorySaver):
        reopened: BaseCheckpointSaver[str] = saver
    else:
        reopened = open_saver(tmp_path)

    result = qa_of(second, checkpointer=reopened).invoke(None, THREAD)

    assert second.prompts["ANALYZE"] == 0
    assert second.prompts["READ"] <= PAGES - 64
    assert substance(result) == substance(qa_of(healthy()).invoke({"question": QUESTION, "level": "read"}))
    assert PAGES + 2 <= result["usage"]["model_calls"] <= first.calls + second.calls


@pytest.mark.parametrize("open_saver", SAVERS, ids=["memory", "disk"])
def test_a_thread_that_died_between_two_steps_goes_on_with_the_second(
    open_saver: Callable[[Path], BaseCheckpointSaver[str]], tmp_path: Path
) -> None:
    asked = {"question": "Where was the lighter of the lamp born?", "level": "reason"}
    well = expert(FACTS, **STEPS)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return ConnectionError("refused") if prompt_of(messages) == "NEXT_QUESTION" else well(messages)

    saver, second = open_saver(tmp_path), healthy()
    with pytest.raises(ModelUnavailableError):
        qa_of(RuleChatModel(respond=respond), checkpointer=saver).invoke(asked, THREAD)

    result = qa_of(second, checkpointer=saver).invoke(None, THREAD)

    assert second.prompts["DECOMPOSE"] == 0
    assert result["steps"][0] == {"question": QUESTION, "answer": "Rosalind Thackwell", "found": True}
    assert substance(result) == substance(qa_of(healthy()).invoke(asked))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("retrieve", "read"),
        ("retrieve", "auto"),
        ("read", "retrieve"),
        ("read", "reason"),
        ("reason", "read"),
        ("auto", "retrieve"),
        ("auto", "reason"),
    ],
)
def test_a_thread_does_not_mix_its_questions(first: Level, second: Level) -> None:
    qa = qa_of(healthy(), pages=24, checkpointer=InMemorySaver())
    asked = {"question": "Where was the lighter of the lamp born?", "level": second}
    qa.invoke({"question": f"{QUESTION} Answer in one word.", "level": first}, THREAD)

    result = qa.invoke(asked, THREAD)

    alone = qa_of(healthy(), pages=24).invoke(asked)
    assert substance(result) == substance(alone)
    assert {**result["usage"], "seconds": 0} == {**alone["usage"], "seconds": 0}


def test_two_threads_know_nothing_of_each_other() -> None:
    qa = qa_of(healthy(), checkpointer=InMemorySaver())
    asked = {"question": QUESTION, "level": "retrieve"}

    results = [qa.invoke(asked, {"configurable": {"thread_id": name}}) for name in ("a", "b")]

    assert substance(results[0]) == substance(results[1])
    assert qa.get_state({"configurable": {"thread_id": "c"}}).values == {}
