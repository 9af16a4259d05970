"""Files of cases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from langchain_qwen_longctx.cases import Gold, read_cases
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

CASE = {"id": "1", "question": "谁？", "answers": ["Ada"], "document": "a.txt", "source": "passed over"}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_case_a_line(tmp_path: Path, newline: str) -> None:
    file = tmp_path / "cases.jsonl"
    lines = [json.dumps(CASE, ensure_ascii=False), "", json.dumps({**CASE, "id": "2", "kind": "needle"})]
    file.write_bytes(("\ufeff" + newline.join(lines)).encode())

    first, second = read_cases(file)

    assert (first.question, first.answers, first.evidence, first.kind) == ("谁？", ("Ada",), (), "")
    assert second.kind == "needle"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no cases"),
        ("{", "line 1: line: Invalid JSON"),
        (json.dumps({**CASE, "question": ""}), "line 1: question: "),
        (json.dumps(CASE) + "\n" + json.dumps({"id": "2"}), "line 2: question: Field required"),
        (json.dumps(CASE) + "\n" + json.dumps(CASE), "line 2: the id '1' has come before"),
        ("\udcff", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(InputError) as raised:
        read_cases(file)

    assert complaint in str(raised.value)
    assert str(file) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the cases in .*nowhere.jsonl cannot be read"):
        read_cases(tmp_path / "nowhere.jsonl")


def test_the_answers_own_place_counts_if_it_is_known() -> None:
    assert Gold(start=3, end=9).place == (3, 9)
    assert Gold(start=3, end=9, answer_start=5, answer_end=7).place == (5, 7)
