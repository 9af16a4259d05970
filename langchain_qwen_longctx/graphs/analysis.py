"""The first step of every level: what to find, how to answer, and the words to search for in each language."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

from langchain_qwen_longctx.analyzers import analyze as terms
from langchain_qwen_longctx.bilingual_dictionary import look_up
from langchain_qwen_longctx.errors import ModelResponseError, OutOfBudgetError
from langchain_qwen_longctx.events import emit
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState, Spent, add_spent, having_spent, spent_on
from langchain_qwen_longctx.languages import LANGUAGE_NAMES, detect_language, han_share
from langchain_qwen_longctx.prompts import ANALYZE, TRANSLATE_QUESTION
from langchain_qwen_longctx.schemas import SearchPlan
from langchain_qwen_longctx.transliteration import chinese_names, sound_alikes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.schemas import StopReason

MIN_HAN_SHARE: Final = 0.4
"""From this share of Chinese characters on, a translation counts as Chinese; below it, as not Chinese."""

LEEWAY_ACROSS_LANGUAGES: Final = 2
"""Factor on the number of chunks that are divided, and divisor of their least score, if all documents are foreign."""

_CLAUSE: Final = re.compile(r"(?:[^。！？；：，!?;:,.\n]|(?<=\d)[.,:](?=\d))+[。！？；：，!?;:,.\s]*")
_FORM: Final = re.compile(
    r"\b(?:answer|reply|respond|words?|sentences?|paragraphs?|bullets?|table|list|json|markdown|brief|briefly|short|shortly"
    rf"|concise|concisely|detail|{'|'.join(LANGUAGE_NAMES.values())})\b"
    r"|[答句字简]|详细|列表|表格|要点|格式|英文|英语|中文|汉语|法语|德语|日语|不超过|以内",
    re.IGNORECASE,
)


def analyze(resources: QAResources, state: QAState) -> QAState:
    """Split the question into information and instruction, and put the information into Chinese and English.

    A reply that cannot be read costs its calls but not the question: the question itself is always a query. A
    sub-question, which carries no instruction, is put into the documents' languages only if they are others.
    """
    question = state["question"]
    if "hints" in state and not foreign_languages(question, resources.languages):
        return finish(question, plan_search(question, None), state)
    spent: Spent
    halted: list[StopReason] = []
    try:
        reply = call(resources, state, ANALYZE, {"question": question}, schema=SearchPlan)
        plan, spent = plan_search(question, reply.parsed), spent_on(reply)
    except ModelResponseError as error:
        plan, spent = plan_search(question, None), spent_on(error)
    except OutOfBudgetError as error:
        plan, spent, halted = plan_search(question, None), spent_on(error), [error.reason]
    return {**finish(question, plan, state), "spent": spent, "halted": halted}


def finish(question: str, plan: Plan, state: QAState) -> QAState:
    """Add to a plan what is known already, and tell of it."""
    keywords = [*plan["keywords"], *state.get("hints", [])]
    emit("analysis", {"question": question, "queries": plan["queries"], "keywords": keywords})
    return {"plan": {**plan, "keywords": keywords}}


def plan_search(question: str, proposed: SearchPlan | None) -> Plan:
    """Keep of the model's proposal what can be trusted.

    The information must be words of the question, or a small model's slip of the pen would be searched for. A
    translation must be in its language.
    """
    if proposed is None:
        return {
            "information": question,
            "instruction": "",
            "translation": "",
            "queries": [question],
            "keywords": [],
        }
    own = proposed.question_zh if is_chinese(question) else proposed.question_en
    information, instruction = split_question(question, own)
    translations = [
        text.strip()
        for text, is_right in ((proposed.question_en, is_english), (proposed.question_zh, is_chinese))
        if is_right(text)
    ]
    keywords = [*proposed.keywords_en, *proposed.keywords_zh]
    return {
        "information": information,
        "instruction": instruction,
        "translation": "",
        "queries": list(dict.fromkeys([information, *translations])),
        "keywords": [keyword for word in keywords if (keyword := word.strip())],
    }


def split_question(question: str, proposed: str) -> tuple[str, str]:
    """Divide a question's own words into information and instruction.

    A clause is instruction if it speaks of the form of an answer and the model left it out when it wrote down what is
    asked. Without such a clause, or with nothing else, all of the question is information.

    Args:
        question: The question as asked.
        proposed: The question in the model's words, in the same language.
    """
    wanted = set(terms(proposed))
    parts: dict[bool, list[str]] = {True: [], False: []}
    for clause in _CLAUSE.findall(question):
        parts[_is_about_form(clause, wanted)].append(clause)
    information = "".join(parts[False]).strip()
    instruction = "".join(parts[True]).strip(" \t\r\n,;:，；：、")
    return (information, instruction) if wanted and information and instruction else (question, "")


def _is_about_form(clause: str, wanted: set[str]) -> bool:
    words = set(terms(clause))
    return _FORM.search(clause) is not None and 2 * len(words & wanted) < len(words)


def is_english(text: str) -> bool:
    """Tell whether a text is not mainly Chinese; a name left in Chinese is let pass."""
    return bool(text.strip()) and han_share(text) < MIN_HAN_SHARE


def is_chinese(text: str) -> bool:
    """Tell whether a text is mainly Chinese; names left in Latin letters are let pass."""
    return han_share(text) >= MIN_HAN_SHARE


def wording(state: QAState) -> str:
    """Return the question as a reading is asked it: with its translation, if none of the documents is in its language.

    The translation alone would lose what a small model mistranslates.
    """
    translation = state["plan"]["translation"] if "plan" in state else ""
    return f"{state['question']}\n{translation}" if translation else state["question"]


def wording_to_answer(state: QAState) -> str:
    """Return the question as an answer and its check are asked it: with its translation, unless that is Chinese.

    A small model's Chinese translation of an English question misleads it more often than it helps.
    """
    return state["question"] if detect_language(in_their_language(state)) == "zh" else wording(state)


def in_their_language(state: QAState) -> str:
    """Return the question in a language of the documents."""
    return (state["plan"]["translation"] if "plan" in state else "") or state["question"]


def is_foreign(question: str, languages: Sequence[str]) -> bool:
    """Tell whether none of the documents are in a question's language."""
    return detect_language(question) not in languages


def leeway(resources: QAResources, state: QAState) -> int:
    """Return how many times as far a question is searched for: further if none of the documents are in its language.

    Found by a translation alone, the right chunk is often not the best one; the right passage mostly is.
    """
    return LEEWAY_ACROSS_LANGUAGES if is_foreign(state["question"], resources.languages) else 1


def foreign_languages(question: str, languages: Sequence[str]) -> list[str]:
    """Return the documents' languages that the question is not in."""
    own = detect_language(question)
    return [language for language in languages if language != own]


def route_translation(resources: QAResources, state: QAState) -> Literal["translate", "search"]:
    """Translate only if some of the documents are in another language than the question."""
    return "translate" if foreign_languages(state["question"], resources.languages) else "search"


def words_in(text: str, language: str, frequencies: Mapping[str, int]) -> dict[str, list[str]]:
    """Return what the documents have for words of a text in another language, names by their sound among them.

    A part of a name that is found by its sound is no word, though the dictionary may have it: 米兰 in 米兰达, Miranda.

    Args:
        text: The text.
        language: The other language.
        frequencies: In how many chunks of the documents a term stands.
    """
    known = look_up(text, language, frequencies)
    inside = {word: name for name in chinese_names(text) for word in known if word in name and word != name}
    for word in known:
        if word not in inside:
            text = text.replace(word, " ")
    alike = sound_alikes(text, language, frequencies)
    return {word: meanings for word, meanings in known.items() if inside.get(word) not in alike} | alike


def translate(resources: QAResources, state: QAState) -> QAState:
    """Put the information into the documents' other languages once more, on its own.

    A small model's translations differ from prompt to prompt, and what one misses, often a name, the other may have.
    If no documents are in the question's language, this one is also put beside it: a small model reads and answers far
    better in one language than in two. What a dictionary has of it goes into the prompt, and into the search.
    """
    plan: Plan = {**(state.get("plan") or plan_search(state["question"], None))}
    is_own = not is_foreign(state["question"], resources.languages)
    spent: Spent = {}
    for code in foreign_languages(state["question"], resources.languages):
        words = words_in(plan["information"], code, resources.weights.frequencies)
        plan["keywords"] = [*plan["keywords"], *chain.from_iterable(words.values())]
        listed = "; ".join(f"{word}: {', '.join(meanings)}" for word, meanings in words.items())
        variables = {"language": LANGUAGE_NAMES[code], "text": plan["information"], "words": listed or "-"}
        try:
            reply: Reply[Any] = call(resources, having_spent(state, spent), TRANSLATE_QUESTION, variables)
        except OutOfBudgetError as error:
            return {"plan": plan, "spent": add_spent(spent, spent_on(error)), "halted": [error.reason]}
        spent = add_spent(spent, spent_on(reply))
        plan["queries"] = [*plan["queries"], reply.text]
        if not is_own and code == resources.languages[0] and reply.text:
            plan["translation"] = reply.text
    return {"plan": plan, "spent": spent}
