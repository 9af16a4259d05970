"""Cases for an evaluation that need no download: riddles hidden in long documents, of any length and kind."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.haystacks import Lang, make_up, mix, plant, tokens_in
from langchain_qwen_longctx.riddles import MAKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_qwen_longctx.haystacks import Planted
    from langchain_qwen_longctx.riddles import Riddle

CASES_FILE: Final = "cases.jsonl"


def generate(
    folder: Path,
    *,
    kinds: Sequence[str],
    lengths: Sequence[str],
    langs: Sequence[Lang],
    count: int,
    seed: int = 0,
    haystack: str | None = None,
    on_document: Callable[[str, int, int], None] = lambda *_: None,
) -> Path:
    """Write a document for each kind, length and language, and the cases of all of them.

    A kind's riddles share a document, so that each of them hides among the others.

    Args:
        folder: Where to; it is made if need be.
        kinds: Some of `riddles.MAKERS`.
        lengths: Lengths of the documents in tokens, as in `8k`.
        langs: Languages of documents and questions.
        count: Riddles of each kind, length and language.
        seed: The same one gives the same files.
        haystack: A text whose paragraphs fill the documents; None makes up text.
        on_document: Called before each document with its name, its number from 0, and how many there are.

    Returns:
        The file of the cases.

    Raises:
        InputError: A length is none, is too short for so many riddles, or the folder cannot be written to.
    """
    wanted = [(kind, length, lang) for kind in kinds for length in lengths for lang in langs]
    sizes = {length: tokens_in(length) for length in lengths}
    cases = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (kind, length, lang) in enumerate(wanted):
            name = f"{kind}-{lang}-{length}"
            on_document(name, number, len(wanted))
            random = Random(f"{seed} {name}")  # noqa: S311 - nothing secret
            riddles = list(MAKERS[kind](lang, count, random))
            paragraphs = make_up(lang, random) if haystack is None else mix(haystack, random)
            planted = plant(list(facts_of(riddles, random)), paragraphs, sizes[length], lang)
            Path(folder, f"{name}.txt").write_bytes(planted.text.encode())
            shared = {"kind": kind, "lang": lang, "length": length, "document": f"{name}.txt"}
            cases += [{**case, **shared} for case in cases_of(name, riddles, planted)]
        on_document("", len(wanted), len(wanted))
        file = folder / CASES_FILE
        file.write_bytes("".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases).encode())
    except OSError as error:
        msg = f"the cases cannot be written to {folder} ({error}); give another folder"
        raise InputError(msg) from error
    return file


def facts_of(riddles: Sequence[Riddle], random: Random) -> Iterator[tuple[float, str]]:
    """Yield the facts of all riddles with their depths.

    Single facts are spread evenly; those of a riddle with several come in their order, anywhere.
    """
    for number, riddle in enumerate(riddles):
        if len(riddle.facts) == 1:
            yield (number + 0.5) / len(riddles), riddle.facts[0]
        else:
            yield from zip(sorted(random.random() for _ in riddle.facts), riddle.facts, strict=True)


def cases_of(name: str, riddles: Sequence[Riddle], planted: Planted) -> Iterator[dict[str, Any]]:
    """Yield the case of each riddle."""
    spans = iter(planted.spans)
    for number, riddle in enumerate(riddles):
        own = [next(spans) for _ in riddle.facts]
        needed = [own[place] for place in riddle.needed]
        yield {
            "id": f"{name}-{number}",
            "question": riddle.question,
            "answers": riddle.answers,
            "needs_all": riddle.needs_all,
            "evidence": [gold(start, end, riddle.answers, planted.text) for start, end in needed],
            "depth": needed[0][0] / len(planted.text) if len(needed) == 1 else None,
        }


def gold(start: int, end: int, answers: Sequence[str], text: str) -> dict[str, Any]:
    """Return a fact's place as a case has it, and that of the answer if the fact says it."""
    fact = text[start:end]
    told = next((answer for answer in answers if answer in fact), None)
    place = {"start": start, "end": end, "text": fact}
    if told is None:
        return place
    return {**place, "answer_start": start + fact.index(told), "answer_end": start + fact.index(told) + len(told)}
