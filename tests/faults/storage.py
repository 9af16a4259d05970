"""Disks that are full, processes that are killed or share a folder, files and clocks that are not what they were.

Whatever happens, the answer is right or an error names the file; nothing is lost but the calls under way, and nothing
is believed or run that was not kept so.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import storage_damage
import storage_databases
import storage_disks
import storage_kills
from notebook import FACTS, LIT, notebook
from outcomes import Outcome, trial, wrong
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage
    from trials import Trial

HOUR: Final = 3600.0


def run(*, is_short: bool) -> Iterator[Trial]:
    """Try everything."""
    yield from storage_kills.trials(is_short=is_short)
    yield from storage_disks.trials(is_short=is_short)
    jumps = (-HOUR, HOUR) if is_short else (-24 * HOUR, -HOUR, HOUR, 24 * HOUR) * 3
    yield trial("the clock put back or forth by hours, a second before a deadline", map(jump, jumps))
    # What is damaged is told each time, and that is thousands of times.
    logger = logging.getLogger("langchain_qwen_longctx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield from storage_damage.trials(Path(folder), count=30 if is_short else 1_000)
        yield from storage_databases.trials(count=15 if is_short else 500)
    finally:
        logger.setLevel(before)


def jump(seconds: float) -> Outcome:
    """Put the system's clock elsewhere during a question that has a second."""
    real, well = time.time, expert(FACTS)

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        clock.side_effect = lambda: real() + seconds
        return well(messages)

    config = LongContextConfig(chunk_tokens=128, coverage="full", max_seconds=1)
    model = RuleChatModel(respond=respond, latency=0.02)
    qa = create_long_context_qa(model=model, documents=notebook(300, {1: LIT}), config=config)
    with mock.patch.object(time, "time", side_effect=real) as clock:
        result = qa.invoke({"question": "Who lit the lamp?", "level": "read"})
    if result["stopped"] != "deadline" or not 0 < result["usage"]["seconds"] < HOUR / 60:
        return wrong(f"{result['stopped']} after {result['usage']}")
    return Outcome("ends in time, with what was read by then")
