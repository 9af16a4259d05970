"""Riddles, the documents they are hidden in, and the cases made of both."""

from __future__ import annotations

from itertools import islice
from random import Random
from typing import TYPE_CHECKING, get_args

import pytest

from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.cases import read_cases
from langchain_qwen_longctx.cli_eval import KINDS
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.generators import generate
from langchain_qwen_longctx.haystacks import Lang, make_up, mix, plant, tokens_in
from langchain_qwen_longctx.riddles import MAKERS, Names
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from pathlib import Path

LANGS: tuple[Lang, ...] = get_args(Lang)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    generate(folder, kinds=KINDS, lengths=["4k"], langs=LANGS, count=4)
    return folder


def test_the_command_line_knows_every_kind() -> None:
    assert set(KINDS) == set(MAKERS)


def test_every_case_can_be_read_and_its_evidence_is_where_it_says(folder: Path) -> None:
    cases = read_cases(folder / "cases.jsonl")

    assert len(cases) == len(KINDS) * len(LANGS) * 4
    for case in cases:
        text = (folder / case.document).read_text("utf-8")
        assert len({(gold.start, gold.end) for gold in case.evidence}) == len(case.evidence)
        for gold in case.evidence:
            fact = text[gold.start : gold.end]
            assert fact.endswith((".", "。"))
            if gold.answer_start is not None:
                assert text[gold.answer_start : gold.answer_end] in case.answers
        if case.kind != "counting":
            told = " ".join(text[gold.start : gold.end] for gold in case.evidence)
            assert all(answer in told for answer in case.answers)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("kind", KINDS)
def test_riddles_differ_from_each_other(kind: str, lang: Lang) -> None:
    riddles = list(MAKERS[kind](lang, 20, Random(1)))

    assert len({riddle.question for riddle in riddles}) == 20


@pytest.mark.parametrize("lang", LANGS)
def test_a_count_is_the_number_of_its_facts(lang: Lang) -> None:
    for riddle in MAKERS["counting"](lang, 20, Random(2)):
        assert riddle.answers == (str(len(riddle.facts)),)


@pytest.mark.parametrize("lang", LANGS)
def test_the_most_frequent_name_is_the_answer(lang: Lang) -> None:
    for riddle in MAKERS["most"](lang, 20, Random(3)):
        assert max(riddle.facts, key=riddle.facts.count).count(riddle.answers[0]) == 1


@pytest.mark.parametrize("lang", LANGS)
def test_nothing_in_the_document_is_about_an_unanswerable_question(folder: Path, lang: Lang) -> None:
    cases = [case for case in read_cases(folder / "cases.jsonl") if (case.kind, case.lang) == ("unanswerable", lang)]

    for case in cases:
        assert not case.answers
        text = (folder / case.document).read_text("utf-8")
        assert case.question[:-1] not in text


@pytest.mark.parametrize("lang", LANGS)
def test_where_no_word_is_shared_none_is(lang: Lang) -> None:
    for riddle in MAKERS["no-overlap"](lang, 24, Random(4)):
        assert not {*analyze(riddle.facts[0])} & {*analyze(riddle.question)}


def test_single_facts_are_spread_over_the_document(folder: Path) -> None:
    depths = [case.depth for case in read_cases(folder / "cases.jsonl") if case.kind == "needle" and case.lang == "en"]

    assert all(depth is not None for depth in depths)
    assert [int((depth or 0) * 4) for depth in depths] == [0, 1, 2, 3]


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(tmp_path / name, kinds=["needle"], lengths=["2k"], langs=["zh"], count=3, seed=seed)

    files = ["cases.jsonl", "needle-zh-2k.txt"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert all((tmp_path / "a" / file).read_bytes() != (tmp_path / "c" / file).read_bytes() for file in files)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("length", ["1k", "20k"])
def test_a_document_is_about_as_long_as_asked_for(folder: Path, tmp_path: Path, lang: Lang, length: str) -> None:
    generate(tmp_path, kinds=["needle"], lengths=[length], langs=[lang], count=3)

    tokens = count_tokens((tmp_path / f"needle-{lang}-{length}.txt").read_text("utf-8"))
    assert tokens == pytest.approx(tokens_in(length), abs=300)


def test_the_paragraphs_of_a_given_text_are_mixed_and_repeated() -> None:
    drawn = list(islice(mix("one\r\n\r\ntwo\nthree\n", Random(0)), 6))

    assert set(drawn[:3]) == set(drawn[3:]) == {"one", "two", "three"}


def test_an_empty_text_makes_no_haystack() -> None:
    with pytest.raises(InputError, match="the text for the haystack is empty"):
        next(mix(" \n", Random(0)))


def test_facts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"3 facts take \d+ tokens, more than the 10 of the document; ask for fewer"):
        plant([(0.5, "The keeper of the lighthouse is Ada.")] * 3, make_up("en", Random(0)), 10, "en")


def test_facts_at_the_same_place_keep_their_order() -> None:
    planted = plant([(0.0, "First."), (0.0, "Second."), (1.0, "Last.")], make_up("en", Random(0)), 400, "en")

    assert [planted.text[start:end] for start, end in planted.spans] == ["First.", "Second.", "Last."]
    assert planted.spans == sorted(planted.spans)


@pytest.mark.parametrize(("length", "tokens"), [("8k", 8000), ("1.5M", 1_500_000), (" 400 ", 400)])
def test_lengths_are_written_short(length: str, tokens: int) -> None:
    assert tokens_in(length) == tokens


def test_what_is_no_length_is_refused() -> None:
    with pytest.raises(InputError, match="'long' is no length; write tokens, as in 8k"):
        tokens_in("long")


@pytest.mark.parametrize("lang", LANGS)
def test_names_do_not_run_out(lang: Lang) -> None:
    names = Names(lang, Random(0))

    assert len({names.place() for _ in range(3000)}) == 3000


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"cannot be written to .*file.*; give another folder"):
        generate(tmp_path / "file" / "cases", kinds=["needle"], lengths=["1k"], langs=["en"], count=1)
