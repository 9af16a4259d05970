"""Sentences that give orders to a language model instead of telling a reader something. Pure.

They are kept from the model, and that is all: search, quotes and offsets know nothing of it. The patterns are narrow. A
sentence must order how to answer, or to pass over what else the model is told; to speak of models, prompts or questions
is not enough. Whoever words an order in a way of their own gets by them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from langchain_qwen_longctx.neutralizing import neutralize
from langchain_qwen_longctx.recent_texts import spans_of

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHHELD: Final = "…"
"""What stands in the place of a sentence that is kept from the model."""

_ORDER: Final = (
    r"(?:^|[.:;,!?‘“\"'(—–-] ?|>(?:system|user|assistant)? ?"
    r"|\b(?:please|must|should|shall|will|and|then|now|also|always|only|instead) )"
)
"""What stands before a verb that is an order."""

_REPLY: Final = r"(?:answer|reply|respond|output|print|say|write|return|speak)"
_REPLIES: Final = r"(?:answer|reply|replie|respond|response|output)s?"
_IN: Final = r"(?:with|by|in) (?:the )?(?:\w+ )?(?:word|number|name|phrase|text|sentence|letter|link|language)"
_LANGUAGE: Final = r"in (?:english|chinese|french|german|spanish|italian|latin|russian|japanese|korean|arabic)"
_FORM: Final = rf"(?: {_IN}| {_LANGUAGE}| with|:| [\"'“‘])"
_EVERY: Final = r"(?:every|any|all|each|whatever|whichever|no matter)"
_ASKED: Final = r"(?:\w+ ){0,2}(?:question|request|prompt)"
_MODEL: Final = r"(?:(?:ai|language|chat) ?(?:model|assistant|bot|system)s?|ais?|llms?)"
_ELSE: Final = r"(?:above|before|else|(?:instruction|prompt|passage|question)s?)"
_MUST: Final = r"(?:must|should|shall|(?:has|have|needs?|is|are) to)"

_TOLD_TO: Final = (
    rf"(?:ignore|disregard|forget|override|skip) .{{0,60}}\b{_ELSE}\b",
    rf"{_REPLY} (?:\w+ ){{0,3}}?(?:only|just|exactly|always|nothing but)\b{_FORM}",
    rf"{_REPLY}\b.{{0,60}} (?:to|for) {_EVERY} {_ASKED}",
    rf"{_REPLY} {_EVERY} {_ASKED}s? ?(?:with|by|:)",
    rf"{_REPLY}\b.{{0,80}}\b{_EVERY} (?:the question|(?:you are|is|gets) asked)\b",
    rf"(?:end|begin|start|finish|close|append|add|include|translate) .{{0,60}}\b(?:your|each) {_REPLIES}\b",
    r"pretend (?:to be|you are)\b",
)

_ENGLISH: Final = (
    rf"{_ORDER}(?:{'|'.join(_TOLD_TO)})",
    rf"\b(?:only|always|must|just|simply) {_REPLY}(?: only)?{_FORM}",
    rf"\b{_REPLIES} .{{1,30}} to {_EVERY} {_ASKED}",
    rf"\b{_EVERY} (?:(?:\w+ ){{0,2}}question|(?:you are|is|gets) asked).{{0,60}}{_ORDER}{_REPLY}\b",
    r"\b(?:when|before|after|whenever) you (?:answer|reply|respond)\b",
    rf"\byou are (?:now |no longer )?(?:an? )?(?:\w+ )?(?:{_MODEL}|assistant|chatbot|translator|pirate)\b",
    rf"\byou are (?:now )?in \w+ mode\b|\b{_REPLY} only as\b",
    rf"\bfrom now on\b.{{0,50}}\b{_REPLY}\b",
    rf"\b{_MODEL} (?:\w+ )?{_MUST}\b|\bthe assistant (?:\w+ )?{_MUST} (?:\w+ )?(?:{_REPLY}|refuse)\b",
    r"\{ ?[\"']sentences[\"'] ?:",
)

_ZH_REPLY: Final = r"(?:回答|答复|回复|作答|输出|返回|改写成)"
_ZH_MODEL: Final = r"(?:(?<![a-z])ai(?![a-z])|人工智能|语言模型|大模型|(?:智能|阅读|问答)助手|聊天机器人)"
_ZH_FROM_NOW: Final = r"从现在(?:起|开始)"
_ZH_MUST: Final = r"(?:一律|都要|请|必须|务必)"
_ZH_ABOVE: Final = r"(?:以上|上述|之前|[前上]面|先前|所有|一切|其[他它])"

_CHINESE: Final = (
    rf"(?:忽略|无视|忘记|忘掉|(?:不要|不必)理会|抛开|跳过)(?!了|过).{{0,12}}{_ZH_ABOVE}.{{0,10}}(?:内容|指[令示]|要求|提示|问题|文字|资料)",
    rf"(?:请|须|应当|一律|务必|统一|只能|{_ZH_FROM_NOW}).{{0,6}}{_ZH_REPLY} ?[:：“\"「『]",
    rf"(?:所有|任何|一切|凡是|每个|不管|无论).{{0,14}}问.{{0,10}}(?:{_ZH_MUST}|都|只).{{0,4}}(?:{_ZH_REPLY}[:：“\"「『]|改写)",
    rf"{_ZH_REPLY}(?:时|的时候|问题时).{{0,4}}{_ZH_MUST}.{{0,14}}(?:末尾|开头|结尾|前面|后面|网址|链接)",
    rf"(?:只|必须|一律|请)(?:能|可)?用.{{1,4}}[文语]{_ZH_REPLY}",
    rf"(?:{_ZH_FROM_NOW}|现在).{{0,3}}你.{{0,3}}(?:是|扮演).{{0,4}}(?:翻译|助手|机器人|{_ZH_MODEL})",
    rf"{_ZH_MODEL}.{{0,6}}(?:注意|必须|应当|务必|请|不得)",
)

_ORDERS: Final = re.compile("|".join((*_ENGLISH, *_CHINESE)))

_HINTS: Final = (
    *("answer", "reply", "replie", "respond", "response", "output", "print", "say", "write", "return", "speak"),
    *("ignore", "disregard", "forget", "override", "skip", "pretend", "you are"),
    *("llm", "language", "chat", "assistant", "sentences"),
    *("答", "复", "忘", "你", "输出", "返回", "改写", "忽略", "无视", "理会", "抛开", "跳过"),
    *("人工智能", "模型", "机器人", "助手"),
)
_AI: Final = re.compile(r"(?<![a-z])ais?(?![a-z])")
"""Something of them is in every order; most sentences are told from one by that."""

_ABOUT_ORDERS: Final = re.compile(
    r"\b(?:ignor|instruct|prompt|inject|assistant|ai\b|llm|language model|chat ?bot|overrid|disregard)"
    r"|忽略|指令|提示词|注入|助手|人工智能|语言模型|大模型|机器人",
    re.IGNORECASE,
)

_TURN: Final = re.compile(
    r"^[^\w\n]{0,8}(?:question|answer|human|user|assistant|ai|system|instructions?|passages?|prompt|response|[qa]"
    r"|问题?|回?答|答案|用户|助手|系统|资料|段落|提示|指令) ?[)\]】]? ?[:：]|< ?[|｜]",
    re.IGNORECASE | re.MULTILINE,
)
"""How a line begins in a conversation with a model, or a mark of a chat format that has come apart."""


def are_orders(sentences: Sequence[str]) -> list[bool]:
    """Tell which sentences order a language model what to answer, or what to pass over.

    Args:
        sentences: Each in one line, as `in_one_line` returns it.
    """
    # All at once, and plain words before patterns: each takes a third of the time.
    together = "\n".join(sentences)
    said = neutralize(together)
    if said != together:
        said = "\n".join(map(in_one_line, said.split("\n")))
    said = said.casefold()
    hints = [hint for hint in _HINTS if hint in said]
    if not _may_be_order(said, hints):
        return [False] * len(sentences)
    return [_may_be_order(line, hints) and _ORDERS.search(line) is not None for line in said.split("\n")]


def in_one_line(text: str) -> str:
    """Return a text with a single space for each stretch of white space."""
    return " ".join(text.split())


def _may_be_order(said: str, hints: Sequence[str]) -> bool:
    return any(hint in said for hint in hints) or ("ai" in said and _AI.search(said) is not None)


def is_about_orders(question: str) -> bool:
    """Tell whether a question may be about such sentences, so that they must not be kept from the model."""
    return _ABOUT_ORDERS.search(question) is not None


def disarm(text: str, question: str) -> str:
    """Return a text of the documents as it may stand in a prompt: without orders, and unlike the prompt itself."""
    return quote(withhold(text, question))


def quote(text: str) -> str:
    """Return a text with a mark before each line, if it has lines as they are in a conversation with a model.

    So they do not look like the prompt that they are put into, nor like its end.
    """
    return "\n".join(f"> {line}" for line in text.splitlines()) if _TURN.search(neutralize(text)) else text


def withhold(text: str, question: str) -> str:
    """Return a text without the sentences that give orders to a language model, unless the question may be about them.

    An ellipsis stands in the place of each.
    """
    if is_about_orders(question):
        return text
    parts, end, spans = [], 0, spans_of(text)
    said = [in_one_line(text[start:stop]) for start, stop in spans]
    for (start, stop), is_order in zip(spans, are_orders(said), strict=True):
        if is_order:
            parts += [text[end:start], WITHHELD]
            end = stop
    return "".join([*parts, text[end:]])
