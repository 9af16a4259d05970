"""What is said where PostgreSQL cannot be used, and what a cache that workers share asks of the rest."""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from command_line import EXPERT, TOWN_QUESTION, Shell, take
from langchain_core.documents import Document
from langgraph.cache.memory import InMemoryCache
from scripted import RuleChatModel, ScriptedChatModel

from langchain_qwen_longctx import (
    LongContextConfig,
    ReplyCache,
    create_long_context_qa,
    open_postgres_cache,
    open_postgres_checkpointer,
)
from langchain_qwen_longctx.chat_models import ask
from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.prompts import STANDALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from langchain_qwen_longctx.persistence import ItemT

NOWHERE = "postgresql://anna:Rhabarber@127.0.0.1:1/qa?sslpassword=Quitte"

both = pytest.mark.parametrize("open_it", [open_postgres_cache, open_postgres_checkpointer])


@both
def test_a_server_that_is_not_there_is_an_error_that_says_where_and_what_to_do(open_it: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match=r"user=anna dbname=qa host=127.0.0.1 port=1 .*; start it, or check") as caught:
        open_it(NOWHERE)

    assert "Rhabarber" not in str(caught.value)
    assert "Quitte" not in str(caught.value)


@both
@pytest.mark.parametrize("url", ["Rhabarber", "postgresql://anna:Rhabarber@[::1/qa", "mysql://anna@host/qa"])
def test_what_is_no_address_is_an_error_that_does_not_show_it(open_it: Callable[[str], Any], url: str) -> None:
    with pytest.raises(InputError, match="write postgresql://USER:PASSWORD@HOST") as caught:
        open_it(url)

    assert "Rhabarber" not in str(caught.value)


@both
def test_without_the_extra_the_error_names_it(open_it: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg.conninfo", None)

    with pytest.raises(InputError, match=r'pip install "langchain-qwen-longctx\[postgres\]"'):
        open_it(NOWHERE)


def test_a_shell_without_its_database_answers_all_the_same(
    shell: Shell, town: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QWEN_LONGCTX_POSTGRES", NOWHERE)
    take(RuleChatModel(respond=EXPERT), monkeypatch)

    result = shell("ask", TOWN_QUESTION, town)

    assert (result.code, "毛一清" in result.out) == (0, True)
    assert "PostgreSQL at user=anna" in result.err + caplog.text


class Claims(ReplyCache):
    """A cache that remembers how long a reply may be waited for, and goes through things backwards."""

    def __init__(self) -> None:
        super().__init__(InMemoryCache())
        self.waits: list[float] = []
        self.orders: list[list[Any]] = []

    @contextmanager
    def claimed(self, key: str, seconds: float) -> Iterator[str | None]:
        self.waits.append(seconds)
        with super().claimed(key, seconds) as text:
            yield text

    def in_own_order(self, items: Sequence[ItemT]) -> Sequence[ItemT]:
        self.orders.append([*items])
        return items[::-1]


@pytest.mark.parametrize(("deadline", "longest"), [(math.inf, 40.0), (5.0, 5.0)], ids=["call", "question"])
def test_another_workers_reply_is_waited_for_as_long_as_a_call_or_the_question_may_take(
    deadline: float, longest: float
) -> None:
    cache, config = Claims(), LongContextConfig(call_timeout=40)
    variables = {"conversation": "User: Who?", "question": "And then?"}

    ask(
        ScriptedChatModel().enqueue("Who then?"),
        STANDALONE,
        variables,
        config=config,
        allowance={"deadline": now() + deadline},
        cache=cache,
    )

    assert cache.waits == [pytest.approx(longest, abs=1)]


def test_a_wave_is_read_in_the_order_of_the_worker_and_comes_to_the_same() -> None:
    documents = [Document("Ada Brook took the chair.", metadata={"source": f"{n}"}) for n in range(3)]
    config = LongContextConfig(coverage="full", concurrency=1)
    model, cache = RuleChatModel(respond=EXPERT), Claims()
    qa = create_long_context_qa(model=model, documents=documents, config=config, cache=cache)

    result = qa.invoke({"question": "Who took the chair?", "level": "read"})

    assert cache.orders[0] == [0, 1, 2]
    assert result["coverage"]["chunks_read"] == 3
