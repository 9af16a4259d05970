"""Give an agent your documents as a tool: it decides by itself when to look something up, and how to ask.

The agent reads the answer; your program finds all that backs it in the artifact of the tool's message. The agent's
model must be one that calls tools, such as qwen2:7b on Ollama; the one that looks things up may be any.

Run it: `python cookbook/recipes/as_a_tool.py`
"""

from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langgraph.graph.state import CompiledStateGraph

from langchain_qwen_longctx import QAOutput, create_chat_model, create_long_context_qa, load_documents
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"


def build_agent(agent_model: BaseChatModel, model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return an agent that asks the chronicle what it does not know."""
    qa = create_long_context_qa(model=model, documents=load_documents(CHRONICLE))

    @tool(response_format="content_and_artifact")
    def look_up(question: str) -> tuple[str, QAOutput]:
        """Answer one question about the harbour town of Quillness from its chronicle."""
        result = qa.invoke({"question": question})
        return result["answer"], result

    return create_agent(agent_model, [look_up], system_prompt="Look up whatever you are asked about Quillness.")


if __name__ == "__main__":
    chosen = create_chat_model(choose_model())
    question = "Quillness: who chaired the Stannock Light Trust in 2019? Answer in one word."
    for message in build_agent(chosen, chosen).invoke({"messages": [("human", question)]})["messages"]:
        message.pretty_print()
