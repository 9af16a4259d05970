"""What can be told of the notebooks without running them."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

PACKAGE = "langchain_qwen_longctx"
NOTEBOOKS = sorted((Path(__file__).parents[2] / "cookbook").glob("*.ipynb"))

# A path that begins at the root of a machine, and not one within an address.
PLACE_ON_A_MACHINE = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|Users|var)\b|[A-Z]:\\Users")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    read: NotebookNode = nbformat.read(request.param, as_version=4)
    return read


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 9


def test_a_notebook_is_valid_and_names_each_cell(notebook: NotebookNode) -> None:
    nbformat.validate(notebook)

    names = [cell.id for cell in notebook.cells]

    assert len(set(names)) == len(names)


def test_a_notebook_opens_with_its_title_and_what_its_reader_will_be_able_to_do(notebook: NotebookNode) -> None:
    opening = notebook.cells[0]

    assert opening.cell_type == "markdown"
    assert opening.source.startswith("# ")
    assert "you will be able to" in opening.source


def test_a_notebook_was_run_from_top_to_bottom(notebook: NotebookNode) -> None:
    counts = [cell.execution_count for cell in code_cells(notebook)]

    assert counts == list(range(1, len(counts) + 1))


def test_what_a_notebook_shows_is_kept_in_it_without_errors_or_warnings(notebook: NotebookNode) -> None:
    shown = [cell for cell in code_cells(notebook) if shows_something(cell.source)]

    assert shown
    assert [cell.source for cell in shown if not cell.outputs] == []
    kinds = [output.get("name", output.output_type) for cell in code_cells(notebook) for output in cell.outputs]
    assert {"error", "stderr"}.isdisjoint(kinds)


def test_a_notebook_says_nothing_about_the_machine_it_was_run_on(notebook: NotebookNode) -> None:
    assert [text for text in texts(notebook) if PLACE_ON_A_MACHINE.search(text)] == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(cell.metadata == {} for cell in notebook.cells)


def test_what_a_notebook_imports_from_the_package_exists(notebook: NotebookNode) -> None:
    names = [pair for cell in code_cells(notebook) for pair in imported(cell.source)]

    assert names
    assert [f"{module}.{name}" for module, name in names if not hasattr(import_module(module), name)] == []


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: NotebookNode) -> Iterator[str]:
    """Yield the source of every cell, and all texts among what it shows."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield from [output.get("text", ""), *map(str, output.get("data", {}).values())]


def parsed(source: str) -> ast.Module:
    tree = compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    return tree


def shows_something(source: str) -> bool:
    """Tell whether a cell ends in a value, or calls `print` or `display` outside of its functions."""
    *_, last = body = parsed(source).body
    does = [part for part in body if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    calls = {
        node.func.id
        for part in does
        for node in ast.walk(part)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    is_value = isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call | ast.Await)
    return is_value or not calls.isdisjoint({"print", "display"})


def imported(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == PACKAGE:
            yield from ((node.module, alias.name) for alias in node.names)
