"""Documents with exactly as many chunks as a test asks for, two facts to plant in them, and how to ask over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel

    from langchain_qwen_longctx.schemas import Level, QAOutput

NOTEBOOK, DIARY = "notebook.txt", "diary.txt"

LIT = "The lamp was lit by Rosalind Thackwell."
BORN = "Rosalind Thackwell was born at Hexham."
FACTS = {"Who lit the lamp": (LIT, "Rosalind Thackwell"), "Thackwell born": (BORN, "Hexham")}
"""What `scripted.expert` is to know of them."""

STEPS = {"decompose": "1. Who lit the lamp?\n2. Where was she born?", "next_question": "Where was Thackwell born?"}
"""How it is to take apart the question where the one was born who lit the lamp."""


def notebook(pages: int, planted: Mapping[int, str] | None = None) -> list[Document]:
    """Return the pages of a notebook, each one chunk of four sentences that differ from page to page.

    Args:
        pages: How many.
        planted: Sentences to put in the middle of pages, by the number of the page from 0.
    """
    return [
        Document(_page(number, (planted or {}).get(number, "")), metadata={"source": NOTEBOOK, "page": number + 1})
        for number in range(pages)
    ]


def diary(pages: int, planted: Mapping[int, str] | None = None) -> list[Document]:
    """Return the like of `notebook` in Chinese, with the newlines of Windows."""
    return [
        Document(
            f"第{number}日，渡口无事。河水涨了{number}寸。{(planted or {}).get(number, '')}夜里有风。\r\n",
            metadata={"source": DIARY, "page": number + 1},
        )
        for number in range(pages)
    ]


def _page(number: int, planted: str) -> str:
    between = f" {planted} " if planted else " "
    return (
        f"Entry {number} was written at the desk by the window. The tide stood at {number * 7 % 50} feet.{between}"
        f"Ship {number * 13 % 97} left the harbour in the evening. Nothing else of note happened on day {number}.\n"
    )


def ask_over(
    documents: Sequence[Document], model: BaseChatModel, question: str, level: Level, **knobs: Any
) -> QAOutput:
    """Return what is answered over documents by a model with a window of a few pages."""
    config = LongContextConfig(context_window=2048, chunk_tokens=128, answer_tokens=256, **knobs)
    qa = create_long_context_qa(model=model, documents=documents, config=config)
    return qa.invoke({"question": question, "level": level})
