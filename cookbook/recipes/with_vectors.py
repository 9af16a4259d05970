"""Search by vectors as well as by words: take any retriever of LangChain, and what it searches beside it.

The vectors here only count which three letters follow each other, so that a misspelt name is still found. For meaning,
put `OllamaEmbeddings(model="bge-m3")` in their place.

Run it: `python cookbook/recipes/with_vectors.py`
"""

from pathlib import Path
from zlib import crc32

from langchain_classic.retrievers import EnsembleRetriever
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_qwen_longctx import (
    BilingualBM25Retriever,
    QAInput,
    QAOutput,
    QwenTextSplitter,
    create_chat_model,
    create_long_context_qa,
    load_documents,
)
from langchain_qwen_longctx.doctor import choose_model

CHRONICLE = Path(__file__).parents[1] / "documents" / "harbour_town.md"


class LetterTriples(Embeddings):
    """How often each three letters follow each other, in 4,096 dimensions by their hash."""

    def embed_query(self, text: str) -> list[float]:
        """Return the counts of a text."""
        counts, padded = [0.0] * 4096, f"  {text.lower()}  "
        for start in range(len(padded) - 2):
            counts[crc32(padded[start : start + 3].encode()) % len(counts)] += 1
        return counts

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the counts of each text."""
        return [self.embed_query(text) for text in texts]


def build_qa(model: BaseChatModel, embeddings: Embeddings) -> Runnable[QAInput, QAOutput]:
    """Return a Runnable that ranks by words and by vectors, half each."""
    chunks = QwenTextSplitter().split_documents(load_documents(CHRONICLE))
    words = BilingualBM25Retriever.from_documents(chunks, k=16)
    vectors = InMemoryVectorStore.from_documents(chunks, embeddings).as_retriever(search_kwargs={"k": 16})
    both = EnsembleRetriever(retrievers=[words, vectors], weights=[0.5, 0.5])
    return create_long_context_qa(model=model, retriever=both, documents=chunks)


if __name__ == "__main__":
    qa = build_qa(create_chat_model(choose_model()), LetterTriples())
    print(qa.invoke({"question": "Who took the chair of the Stanock Lite Trust in 2019?"})["answer"])
