from __future__ import annotations

from functools import partial
from threading import Barrier, Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from waiting import PATIENCE, until

from langchain_qwen_longctx import fair_sharing
from langchain_qwen_longctx.errors import ClientGoneError
from langchain_qwen_longctx.fair_sharing import Turnstile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_qwen_longctx.fair_sharing import Visit


def order_of(turnstile: Turnstile, calls: Sequence[tuple[str, Visit]]) -> list[str]:
    """Let calls come one after the other while the only place is taken, and return in which order they get it."""
    served: list[str] = []

    def call(name: str, visit: Visit) -> None:
        with visit.admission():
            served.append(name)

    threads = [Thread(target=call, args=named) for named in calls]
    with turnstile.visit("somebody").admission():
        for number, thread in enumerate(threads, 1):
            thread.start()
            until(partial(is_waiting, turnstile, number))
    for thread in threads:
        thread.join()
    return served


def is_waiting(turnstile: Turnstile, calls: int) -> bool:
    return turnstile.waiting == calls


def test_clients_take_turns_whatever_each_of_them_asks() -> None:
    turnstile = Turnstile(1)
    anna, ben = turnstile.visit("anna"), turnstile.visit("ben")

    served = order_of(turnstile, [("a1", anna), ("a2", anna), ("a3", anna), ("b1", ben), ("b2", ben)])

    assert served == ["a1", "b1", "a2", "b2", "a3"]


def test_many_questions_of_one_client_count_no_more_than_one_of_another() -> None:
    turnstile = Turnstile(1)
    many = [turnstile.visit("anna") for _ in range(3)]
    ben = turnstile.visit("ben")

    served = order_of(turnstile, [*((f"a{n}", visit) for n, visit in enumerate(many)), ("b1", ben), ("b2", ben)])

    assert served == ["a0", "b1", "a1", "b2", "a2"]


def test_questions_of_one_client_take_turns_as_well() -> None:
    turnstile = Turnstile(1)
    first, second = turnstile.visit("anna"), turnstile.visit("anna")

    served = order_of(turnstile, [("1a", first), ("1b", first), ("2a", second), ("2b", second)])

    assert served == ["1a", "2a", "1b", "2b"]


def test_so_many_calls_are_under_way_as_there_are_places() -> None:
    turnstile = Turnstile(2)
    together = Barrier(2, timeout=PATIENCE)

    def call() -> None:
        with turnstile.visit("anna").admission():
            together.wait()

    threads = [Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not together.broken
    assert turnstile.waiting == 0


def test_who_has_gone_is_turned_away_and_gives_the_place_to_the_next() -> None:
    turnstile = Turnstile(1)
    gone, stays = turnstile.visit("gone"), turnstile.visit("stays")
    refused, served = Event(), Event()

    def call_of_gone() -> None:
        with pytest.raises(ClientGoneError), gone.admission():
            pass
        refused.set()

    def call_of_stays() -> None:
        with stays.admission():
            served.set()

    threads = [Thread(target=call_of_gone), Thread(target=call_of_stays)]
    with turnstile.visit("somebody").admission():
        for thread in threads:
            thread.start()
        until(partial(is_waiting, turnstile, 2))
        gone.end()
        assert refused.wait(PATIENCE)
        assert not served.is_set()
    assert served.wait(PATIENCE)
    with pytest.raises(ClientGoneError), gone.admission():
        pass
    for thread in threads:
        thread.join()


def test_a_call_that_fails_gives_its_place_back() -> None:
    turnstile = Turnstile(1)
    with pytest.raises(ZeroDivisionError), turnstile.visit("anna").admission():
        raise ZeroDivisionError

    with turnstile.visit("anna").admission():
        assert turnstile.waiting == 0


def test_what_a_call_waited_and_took_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    came, began, ended = 100.0, 102.0, 105.0
    monkeypatch.setattr(fair_sharing, "time", SimpleNamespace(monotonic=iter([came, began, ended]).__next__))
    told: list[tuple[float, float]] = []
    turnstile = Turnstile(1, lambda waited, took: told.append((waited, took)))

    with turnstile.visit("anna").admission():
        pass

    assert told == [(2.0, 3.0)]
