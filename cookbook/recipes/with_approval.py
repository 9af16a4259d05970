"""Let a person see an answer, beside the words it rests on, before anything is done with it.

The question is answered in a graph inside another one. That halts until someone has decided, today or next week, and
goes on from there without asking the model again; for next week, take `open_checkpointer(folder)`.

Run it: `python cookbook/recipes/with_approval.py`
"""

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langchain_qwen_longctx import Citation, build_graph, create_chat_model, load_documents
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"


class Letter(TypedDict, total=False):
    """A letter to the town, of which the inner graph knows the question, and fills in the answer and its citations."""

    question: str
    answer: str
    citations: list[Citation]
    reply: str


def approve(state: Letter) -> Letter:
    """Halt until it is known whether the answer may go out."""
    quotes = [citation["quote"] for citation in state["citations"]]
    is_right = interrupt({"answer": state["answer"], "quotes": quotes})
    return {"reply": state["answer"] if is_right else "We are looking into it."}


def build_office(model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return a graph that answers letters."""
    graph = StateGraph(Letter)
    graph.add_node("ask", build_graph(model=model, documents=load_documents(CHRONICLE)).compile())
    graph.add_node("approve", approve)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", "approve")
    return graph.compile(checkpointer=InMemorySaver())


if __name__ == "__main__":
    office = build_office(create_chat_model(choose_model()))
    thread: RunnableConfig = {"configurable": {"thread_id": "letter 1"}}
    halted = office.invoke({"question": "Who chaired the Stannock Light Trust in 2019?"}, thread)
    print(halted["__interrupt__"][0].value)
    print(office.invoke(Command(resume=input("Send it? [y/n] ") == "y"), thread)["reply"])
