"""What a trace of a question looks like: names that say what was done, and tags on all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers import BaseTracer
from notebook import BORN, FACTS, LIT, STEPS, notebook
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa, prompts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import Runnable
    from langchain_core.tracers import Run

    from langchain_qwen_longctx.schemas import Level, QAInput, QAOutput

QUESTION = "Who lit the lamp?"
PROMPTS = {name: prompt for name, prompt in vars(prompts).items() if isinstance(prompt, ChatPromptTemplate)}

TREE = """\
long_context_qa
  accept
    route_history
  look_up
    run
      look_up
        __start__
          route_start
        analyze
          analyze (llm)
          route_plan
        search
          run
            search
              retrieve
                BilingualBM25Retriever (retriever)
                route_aggregate
              select
                BilingualBM25Retriever (retriever)
                BilingualBM25Retriever (retriever)
                route_evidence
              answer
                answer (llm)
                route_answer
              cite
                route_found
              check
                route_verdict
          route_search
    route_outcome
  report
"""


class Tracer(BaseTracer):
    root: Run

    def _persist_run(self, run: Run) -> None:
        self.root = run


def qa_of() -> Runnable[QAInput, QAOutput]:
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, max_readings=2)
    model = RuleChatModel(respond=expert(FACTS, **STEPS))
    return create_long_context_qa(model=model, documents=notebook(40, {5: LIT, 20: BORN}), config=config)


def drawn(run: Run, depth: int = 0) -> str:
    kind = "" if run.run_type == "chain" else f" ({run.run_type})"
    return f"{'  ' * depth}{run.name}{kind}\n" + "".join(drawn(child, depth + 1) for child in run.child_runs)


def within(run: Run) -> Iterator[Run]:
    yield run
    for child in run.child_runs:
        yield from within(child)


def test_every_step_search_and_call_goes_by_the_name_of_what_it_does() -> None:
    tracer = Tracer()

    qa_of().invoke({"question": QUESTION, "level": "retrieve"}, {"callbacks": [tracer]})

    assert drawn(tracer.root) == TREE


async def test_asynchronously_the_names_are_the_same() -> None:
    tracer = Tracer()

    await qa_of().ainvoke({"question": QUESTION, "level": "retrieve"}, {"callbacks": [tracer]})

    assert drawn(tracer.root) == TREE


@pytest.mark.parametrize(
    ("level", "calls"),
    [("read", {"analyze", "read", "answer"}), ("reason", {"decompose", "read", "answer", "next_question", "check"})],
)
def test_no_run_goes_by_the_name_of_a_class_of_the_framework(level: Level, calls: set[str]) -> None:
    tracer, question = Tracer(), "Where was the one born who lit the lamp?" if level == "reason" else QUESTION

    qa_of().invoke({"question": question, "level": level}, {"callbacks": [tracer]})

    runs = list(within(tracer.root))
    assert {run.name for run in runs if run.run_type == "llm"} == calls
    assert [run.name for run in runs if run.name.startswith(("Runnable", "LangGraph", "Unnamed"))] == []


def test_tags_and_metadata_of_the_question_are_on_every_call_of_the_model() -> None:
    tracer = Tracer()

    qa_of().invoke(
        {"question": QUESTION},
        {"callbacks": [tracer], "tags": ["newsletter"], "metadata": {"reader": "Ada"}, "run_name": "chronicle"},
    )

    calls = [run for run in within(tracer.root) if run.run_type == "llm"]
    assert tracer.root.name == "chronicle"
    assert len(calls) == 2
    assert all("newsletter" in (run.tags or []) and run.metadata["reader"] == "Ada" for run in calls)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_goes_by_the_name_of_its_constant(name: str) -> None:
    assert PROMPTS[name].name == name.lower()
