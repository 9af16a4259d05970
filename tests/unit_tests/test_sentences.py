"""What a sentence is: examples a reader would agree with, and properties that hold for any text."""

from __future__ import annotations

import time
import tracemalloc
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_qwen_longctx.sentences import MAX_SENTENCE_BYTES, iter_sentences, sentence_spans
from langchain_qwen_longctx.text_blocks import Border

WORDS = st.sampled_from(
    ["他说：“好。”", "苹果；", "，", "。", "……", "Mr. Wu", "The end.", "3.14", "U.S.", '"', "**", ")"]
)
LAYOUT = st.sampled_from(["\n", "\r\n", "\n\n", " ", "\t", "\u3000", "\x0c", "\u2028", "- ", "1. ", "| a |", "# "])
ODDITIES = st.sampled_from(["e\u0301", "👨\u200d👩\u200d👧", "🇨🇳", "\ud800", "\u200b", "x" * 300, "中" * 300])
TEXTS = st.one_of(st.text(max_size=80), st.lists(WORDS | LAYOUT | ODDITIES, max_size=40).map("".join))


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_spans_are_in_order_and_trimmed_and_hold_every_visible_character(text: str) -> None:
    position = 0
    for start, end in sentence_spans(text):
        assert not text[position:start].strip()
        assert text[start:end].strip() == text[start:end] != ""
        position = end
    assert not text[position:].strip()


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_no_sentence_is_too_long_to_cite(text: str) -> None:
    assert all(len(sentence.encode("utf-8", "surrogatepass")) <= MAX_SENTENCE_BYTES * 2 for sentence in sentences(text))


@settings(deadline=None)
@given(TEXTS)
def test_a_blank_line_always_ends_a_sentence(text: str) -> None:
    assert not any("\n\n" in sentence for sentence in sentences(text))


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t\u3000"])
def test_a_blank_text_has_no_sentences(text: str) -> None:
    assert sentence_spans(text) == []


@pytest.mark.parametrize(
    "expected",
    [
        ["Mr. Smith met Dr. Wu in the U.S. Army base at 5 p.m. on Jan. 5 in St. Paul.", "He left."],
        ["He died in the U.S.", "The end."],
        ["See Fig. 3, No. 5 and pp. 7 f., e.g. the tables, i.e. numbers, etc.", "Then stop."],
        ["J. R. R. Tolkien wrote it.", "Vitamin C.", "The rest."],
        ["Pi is 3.14 or so.", "Version 1.2.3 of config.py is at https://example.com/a.b?c=d!", "Fine."],
        ["Then… nothing.", "Well...", "Maybe so.", "What?!", "Really?"],
        ['"Stop!" she said.', '"Why?"', "(He left.)", "‘Who?’ asked Tom.", "“Nobody.”"],
        ["He won.[12]", "She lost.[3][4]", "The end."],
    ],
)
def test_english_stops_end_sentences_but_not_abbreviations_numbers_or_addresses(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["他来了。", "你好吗？", "好！", "真的吗？！"],
        ["他说：“你好。”", "然后走了。", "「走吧！」", "（他笑了。）"],
        ['他说:"你好。', '再见。"', '她说:"好。"', "走了。"],
        ["“好吗？”，他问。", "是的……我不知道。"],
        ["《你好吗？》是一部电影。", "好看。"],
        ["**重点。**", "前文。", "**重点**再来。"],
        ["圆周率是3.14。", "网址是https://x.y/z?q=1！", "苹果公司(Apple Inc.)在U.S.成立。", "Python很好."],
    ],
)
def test_chinese_stops_end_sentences_with_their_closing_quotes(expected: list[str]) -> None:
    assert sentences("".join(expected)) == expected


def test_a_chinese_semicolon_divides_only_what_is_already_long() -> None:
    long_clause = "国务院有关部门依照本法和其他法律的规定" * 6 + "；"
    assert sentences("他来了；她走了。") == ["他来了；她走了。"]
    assert sentences(long_clause + "由省级人民政府规定。") == [long_clause, "由省级人民政府规定。"]


def test_mixed_text_is_divided_by_the_rules_of_both_languages() -> None:
    assert sentences("Qwen is a model. 它很小。It runs at home. 很好。") == [
        "Qwen is a model.",
        "它很小。",
        "It runs at home.",
        "很好。",
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "lines",
    [
        ["1. Wash the rice", "2. Boil water", "- with salt", "* or without", "(a) slowly", "[3] Smith"],
        ["（一）名称；", "（二）住所；", "三、资本", "④ 其他", "第五条 公司应当有名称"],
        ["| name | age |", "|---|---|", "| Mr. Bob. Jr. | 2. 3 |"],
        ["id,name,age,city,country", "1,Bob the great,23,London,England", "2,Eve the good,24,Paris,France"],
        ["1.2 Roles . . . . . . . . . . . . . . 4", "2.1 Duties . . . . . . . . . . . . . . 5"],
        ["Name: Bob Smith the Third of York", "Address: 12 Long Street in London"],
        ["# A title", "Some text.", "## Step 2. Then go"],
        ["第三回 托内兄如海荐西宾", "却说雨村忙回头看时，不是别人。"],
        ["CHAPTER I. Loomings. A start", "Call me Ishmael."],
        ["Fresno, California", "The neighborhood includes Kearney Boulevard, named after an early entrepreneur."],
    ],
)
def test_list_items_rows_and_headings_are_sentences_of_their_own(lines: list[str], newline: str) -> None:
    assert sentences(newline.join(lines)) == lines


def test_a_numbering_is_not_a_sentence() -> None:
    assert sentences("1. Wash. Dry.\n- 2. Boil\nFigure 7-26. A nut.") == [
        "1. Wash.",
        "Dry.",
        "- 2. Boil",
        "Figure 7-26. A nut.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The quick brown fox jumps over the lazy dog and goes\r\nhome to Mr. Wu. Then it wakes up to eat a\r\nlot.",
            [
                "The quick brown fox jumps over the lazy dog and goes\r\nhome to Mr. Wu.",
                "Then it wakes up to eat a\r\nlot.",
            ],
        ),
        (
            "这是一段被硬换行的中文文本，每一行都有三十来个字符，经常\n出现在扫描得来的文件之中。需要把它们连接起来才能得到完整\n的句子。",
            [
                "这是一段被硬换行的中文文本，每一行都有三十来个字符，经常\n出现在扫描得来的文件之中。",
                "需要把它们连接起来才能得到完整\n的句子。",
            ],
        ),
        (
            "- an item that is long enough to be wrapped by an\n  editor at some column\n- another",
            ["- an item that is long enough to be wrapped by an\n  editor at some column", "- another"],
        ),
    ],
)
def test_a_line_break_in_hard_wrapped_prose_ends_nothing(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_line_that_begins_with_closing_punctuation_continues_the_one_before() -> None:
    assert sentences("他对着窗外的人大声地喊道：“你好吗\n？\n”\n没有人回答他。") == [
        "他对着窗外的人大声地喊道：“你好吗\n？\n”",
        "没有人回答他。",
    ]


@pytest.mark.parametrize("lines", [["床前明月光，", "疑是地上霜。"], ["Short line", "Another"]])
def test_short_lines_stand_alone(lines: list[str]) -> None:
    assert sentences("\n".join(lines)) == lines


@pytest.mark.parametrize("clause", ["the committee met again in the evening, ", "委员会在晚上又开了一次会，"])
def test_an_endless_sentence_is_cut_at_clause_borders(clause: str) -> None:
    parts = sentences(clause * 60)
    assert len(parts) > 1
    assert all(part.endswith(clause.strip()) for part in parts)


@pytest.mark.parametrize("character", ["👨\u200d👩\u200d👧", "🇨🇳", "e\u0301", "👍🏽", "각"])
def test_a_cut_keeps_what_looks_like_one_character(character: str) -> None:
    assert all(len(part) % len(character) == 0 and part.startswith(character) for part in sentences(character * 1000))


def test_borders_tell_headings_paragraphs_lines_and_sentences_apart() -> None:
    text = "# Title\nOne. Two is here.\nThree is here.\n\nFour is here.\n\n# Next"
    assert [sentence.border for sentence in iter_sentences(text)] == [
        Border.PARAGRAPH,
        Border.AFTER_HEADING,
        Border.SENTENCE,
        Border.LINE,
        Border.PARAGRAPH,
        Border.BEFORE_HEADING,
    ]


@pytest.mark.parametrize(
    "unit", ["。 ", ". ", "a. b. ", '"', ".)", "\n", " ", "x", "中", "(", "1. \n", "a\u0301", "a,\n", "**。"]
)
def test_time_grows_with_length_whatever_the_text(unit: str) -> None:
    started = time.process_time()
    sentence_spans(unit * (200_000 // len(unit)))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("unit", ["a\n", "a. "])
def test_no_more_of_a_text_is_looked_at_than_the_next_few_lines(unit: str) -> None:
    text = unit * 10_000
    tracemalloc.start()

    deque(iter_sentences(text), maxlen=0)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
