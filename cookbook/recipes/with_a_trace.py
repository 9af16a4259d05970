"""See what happened for one question and what took the time: every step, search and call of the model as a tree.

Tags and metadata that you give to the question stand on all of it. With `LANGSMITH_TRACING=true` and a key in the
environment, LangSmith shows the same without any of this.

Run it: `python cookbook/recipes/with_a_trace.py`
"""

from collections.abc import Iterator
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.tracers import BaseTracer, Run

from langchain_qwen_longctx import QAOutput, create_chat_model, create_long_context_qa, load_documents
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"


class Tree(BaseTracer):
    """Holds the run that ended last, with all those within it."""

    root: Run

    def _persist_run(self, run: Run) -> None:
        self.root = run


def drawn(run: Run, depth: int = 0) -> Iterator[str]:
    """Yield a line for a run and for each within it, but for the rules that say where to go on."""
    seconds = (run.end_time - run.start_time).total_seconds() if run.end_time else 0
    yield f"{seconds:6.2f} s  {'  ' * depth}{run.name} ({run.run_type})"
    for child in run.child_runs:
        if not child.name.startswith("route_") and "langsmith:hidden" not in (child.tags or []):
            yield from drawn(child, depth + 1)


def ask_traced(model: BaseChatModel, question: str, *tags: str) -> tuple[QAOutput, Run]:
    """Return the answer and its trace."""
    qa, tree = create_long_context_qa(model=model, documents=load_documents(CHRONICLE)), Tree()
    result = qa.invoke(
        {"question": question},
        {"callbacks": [tree], "tags": list(tags), "metadata": {"edition": CHRONICLE.name}, "run_name": "chronicle"},
    )
    return result, tree.root


if __name__ == "__main__":
    chosen = create_chat_model(choose_model())
    answered, trace = ask_traced(chosen, "Who chaired the Stannock Light Trust in 2019?", "demo")
    print(answered["answer"], *drawn(trace), sep="\n")
