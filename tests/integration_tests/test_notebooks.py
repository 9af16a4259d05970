"""The cookbook, from top to bottom, with the model that it was written with."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

COOKBOOK = Path(__file__).parents[2] / "cookbook"
SECONDS_OF_A_CELL = 600

ALL_ANSWERS = """
import json

def _answers(value):
    if isinstance(value, dict) and isinstance(value.get("answer"), str):
        yield value["answer"]
    for part in value if isinstance(value, list) else ():
        yield from _answers(part)

print(json.dumps([answer for value in list(globals().values()) for answer in _answers(value)]))
"""
"""Run behind the last cell: what any variable, or list of them, holds as the answer to a question."""


@pytest.mark.embedded
@pytest.mark.parametrize("path", sorted(COOKBOOK.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_and_every_question_in_it_gets_an_answer(path: Path, embedded_model: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ALL_ANSWERS))
    here = {"metadata": {"path": str(COOKBOOK)}}

    NotebookClient(notebook, timeout=SECONDS_OF_A_CELL, kernel_name="python3", resources=here).execute()

    answers = json.loads(notebook.cells[-1].outputs[0].text)
    assert answers
    assert all(answer.strip() for answer in answers)
