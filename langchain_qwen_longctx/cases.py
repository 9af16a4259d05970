"""Questions with known answers, as files hold them: one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


class Gold(BaseModel):
    """A paragraph of the document that a right answer rests on, as offsets in the document's text.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last.
        answer_start: Where in the document the answer itself begins, if the paragraph says it word for word.
        answer_end: Where it ends.
    """

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0)
    end: int
    answer_start: int | None = None
    answer_end: int | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Where a chunk or passage must be to count: at the answer if that is known, else anywhere in the paragraph."""
        if self.answer_start is None or self.answer_end is None:
            return self.start, self.end
        return self.answer_start, self.answer_end


class Case(BaseModel):
    """A question with what is known about its answer; one line of a JSON Lines file. Other fields are passed over.

    Attributes:
        id: Names the case; no two of a file have the same.
        question: What is asked.
        answers: The right answers, any of which will do; empty if the document does not answer the question.
        document: Path of the document, relative to the file of the cases.
        needs_all: Whether all of these must be given.
        evidence: The paragraphs that the answer rests on, in the order in which they are needed.
        kind: What sort of question it is; results are summed up by it.
        lang: Language of the question.
        length: Length of the document, as the results are to name it.
        depth: Where in the document the evidence is, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    question: str = Field(min_length=1)
    answers: tuple[str, ...]
    document: str = Field(min_length=1)
    needs_all: bool = False
    evidence: tuple[Gold, ...] = ()
    kind: str = ""
    lang: str = ""
    length: str = ""
    depth: float | None = None


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a JSON Lines file.

    Raises:
        InputError: The file cannot be read, a line is no case, an id comes twice, or there is none at all.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the cases in {path} cannot be read ({error}); give a file with one JSON object a line"
        raise InputError(msg) from error
    cases: dict[str, Case] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = Case.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            msg = f"{path}, line {number}: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"
            raise InputError(msg) from error
        if case.id in cases:
            msg = f"{path}, line {number}: the id {case.id!r} has come before; give each case its own"
            raise InputError(msg)
        cases[case.id] = case
    if not cases:
        msg = f"{path} holds no cases; give a file with one JSON object a line"
        raise InputError(msg)
    return list(cases.values())
