"""Texts whose answers are known, in the languages that the method is made for; everything in them is invented."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from langchain_core.documents import Document

from langchain_qwen_longctx.sentences import sentence_spans
from langchain_qwen_longctx.tokens import count_tokens


@dataclass(frozen=True, slots=True)
class Sample:
    """A text, and what may be asked about it.

    Attributes:
        language: Its language.
        text: Sentences, one of which answers the question.
        question: The question.
        fact: The number of that sentence, from 1.
        answer: What a right answer has in it.
        unanswered: A question about the same thing that the text does not answer.
    """

    language: str
    text: str
    question: str
    fact: int
    answer: str
    unanswered: str

    @property
    def sentences(self) -> list[Document]:
        """Return the sentences as passages."""
        where = {"source": self.language, "page": None, "chunk_id": self.language}
        return [
            Document(self.text[start:end], metadata={**where, "start": start, "end": end})
            for start, end in sentence_spans(self.text)
        ]


SAMPLES: Final = (
    Sample(
        "English",
        "The ferry to Merrow Isle leaves twice a day. It carries mail, sheep and up to forty passengers. Its engine "
        "was replaced in 1968 by the mechanic Hester Quill. The crew paints the hull every spring. In a storm the "
        "ferry stays in the harbour.",
        "Who replaced the engine of the ferry to Merrow Isle?",
        3,
        "Quill",
        "How much does a ticket for the ferry to Merrow Isle cost?",
    ),
    Sample(
        "Chinese",
        "青螺渡口每天有两班渡船。渡船运送邮件、羊群和四十名乘客。一九六八年，机匠苏文柏为渡船换了发动机。"
        "船工每年春天给船身刷漆。遇到风暴，渡船停在港内。",
        "青螺渡口的渡船是谁换的发动机？",
        3,
        "苏文柏",
        "青螺渡口的船票多少钱？",
    ),
)


def filler(tokens: int) -> str:
    """Return a text of at most so many tokens that the server has not read before."""
    sentences = [sentence.page_content for sample in SAMPLES for sentence in sample.sentences]
    lines, left = [str(time.time_ns())], tokens
    for sentence in cycle(sentences):
        left -= count_tokens(f"{lines[-1]}\n")
        if left < count_tokens(sentence):
            break
        lines.append(sentence)
    return "\n".join(lines)
