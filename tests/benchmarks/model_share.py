"""How much of a full reading's time is the model's own, and how many tokens it is sent for each of the document's.

    python tests/benchmarks/model_share.py DOCUMENT --model ollama:qwen2.5-coder:0.5b

Reads a document from end to end, one chunk after the other, with a model of Ollama's, which tells with each reply how
long it took. Prints a Markdown table. The model must be loaded: ask it something before.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage

from langchain_qwen_longctx import LongContextConfig, create_chat_model, create_long_context_qa, load_documents
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult


class Durations(BaseCallbackHandler):
    """Adds up what Ollama says that its replies took.

    Attributes:
        seconds: By its own account, loading, reading and writing.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Add one reply."""
        message = getattr(response.generations[0][0], "message", None)
        assert isinstance(message, AIMessage)
        self.seconds += message.response_metadata["total_duration"] / 1e9


def main() -> None:
    """Read, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("--model", default="ollama:qwen2.5-coder:0.5b")
    parser.add_argument("--question", default="Who kept the lighthouse at Velmar in 1834?")
    arguments = parser.parse_args()
    documents = load_documents(arguments.document)
    size = sum(count_tokens(document.page_content) for document in documents)
    config = LongContextConfig(coverage="full", concurrency=1)
    qa = create_long_context_qa(model=create_chat_model(arguments.model), documents=documents, config=config)
    durations, begun = Durations(), time.perf_counter()
    result = qa.invoke({"question": arguments.question, "level": "read"}, {"callbacks": [durations]})
    wall, coverage, usage = time.perf_counter() - begun, result["coverage"], result["usage"]
    read, share = f"{coverage['chunks_read']} of {coverage['chunks_total']}", f"{durations.seconds / wall:.1%}"
    sent = f"{usage['input_tokens'] / size:.2f}"
    print("| tokens | readings | calls | seconds | the model's own | tokens sent for each |")  # noqa: T201 - its purpose
    print("|---|---|---|---|---|---|")  # noqa: T201
    print(f"| {size:,} | {read} | {usage['model_calls']} | {wall:,.0f} | {share} | {sent} |")  # noqa: T201


if __name__ == "__main__":
    main()
