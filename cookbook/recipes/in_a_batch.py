"""Ask many questions at once, and pay for none twice: whatever the model has said is kept in a folder.

Run it again, or after an interruption, and what is known already takes no time.

Run it: `python cookbook/recipes/in_a_batch.py`
"""

from pathlib import Path

from langchain_core.language_models import BaseChatModel
from platformdirs import user_cache_path

from langchain_qwen_longctx import (
    QAInput,
    QAOutput,
    create_chat_model,
    create_long_context_qa,
    load_documents,
    open_reply_cache,
)
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"
QUESTIONS = [
    "Who chaired the Stannock Light Trust in 2019?",
    "How much did the re-leading of the lighthouse gallery roof cost?",
    "How many kinds of living things were found in the rock-pool survey?",
]


def ask_all(model: BaseChatModel, questions: list[str], folder: Path) -> list[QAOutput]:
    """Return the answers in the order of the questions, two of which are under way at a time."""
    qa = create_long_context_qa(model=model, documents=load_documents(CHRONICLE), cache=open_reply_cache(folder))
    asked: list[QAInput] = [{"question": question} for question in questions]
    return qa.batch(asked, {"max_concurrency": 2})


if __name__ == "__main__":
    for result in ask_all(create_chat_model(choose_model()), QUESTIONS, user_cache_path("harbour-town")):
        usage = result["usage"]
        print(f"{usage['model_calls']} calls, {usage['cached_calls']} from before: {result['answer']}")
