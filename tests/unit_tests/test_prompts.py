from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_qwen_longctx.prompts import ANALYZE, ANSWER, CHECK, TRANSLATE_ANSWER, TRANSLATE_QUESTION

if TYPE_CHECKING:
    from langchain_core.prompts import ChatPromptTemplate
    from syrupy.assertion import SnapshotAssertion


def rendered(prompt: ChatPromptTemplate, **variables: str) -> str:
    return "\n\n".join(f"[{message.type}]\n{message.text}" for message in prompt.format_messages(**variables))


def test_the_analysis_prompt_is_as_measured(snapshot: SnapshotAssertion) -> None:
    assert rendered(ANALYZE, question="第五交响曲是谁写的？") == snapshot


def test_the_prompts_that_translate_are_as_measured(snapshot: SnapshotAssertion) -> None:
    assert rendered(TRANSLATE_QUESTION, language="German", text="Who wrote it?", words="it: es") == snapshot
    assert rendered(TRANSLATE_ANSWER, language="German", text="Beethoven did.") == snapshot


def test_the_answer_prompt_is_as_measured(snapshot: SnapshotAssertion) -> None:
    variables = {"evidence": "[1] Beethoven did.", "question": "Who wrote it?", "style": "Answer in English."}

    assert rendered(ANSWER, **variables) == snapshot


def test_the_prompt_that_checks_an_answer_is_as_measured(snapshot: SnapshotAssertion) -> None:
    assert rendered(CHECK, question="Who wrote it?", text="Beethoven did.") == snapshot


def test_braces_in_a_question_are_plain_text() -> None:
    assert "{question}" in rendered(ANALYZE, question="What does {question} mean?")
