"""Ask in a chain and make something of the answer: a headline here, with the citations still beside it.

Run it: `python cookbook/recipes/in_a_chain.py`
"""

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough

from langchain_qwen_longctx import create_chat_model, create_long_context_qa, load_documents
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"
HEADLINE = ChatPromptTemplate([("human", "Write a newspaper headline of at most eight words for this: {answer}")])


def build_chain(model: BaseChatModel) -> Runnable[str, Any]:
    """Return a chain from a question to its answer with everything that backs it, and a headline."""
    qa: Runnable[Any, Any] = create_long_context_qa(model=model, documents=load_documents(CHRONICLE))
    headline = HEADLINE | model | StrOutputParser()
    return {"question": RunnablePassthrough()} | qa | RunnablePassthrough.assign(headline=headline)


if __name__ == "__main__":
    chain = build_chain(create_chat_model(choose_model()))
    story = chain.invoke("Who chaired the Stannock Light Trust in 2019?")
    print(story["headline"], story["answer"], story["citations"][0]["quote"], sep="\n")
