"""The error tree, and that its drawing is true."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from langchain_qwen_longctx import errors
from langchain_qwen_longctx.errors import BrokenDocumentError, DocumentError, InputError, LongContextError

_DRAWN = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>\w+Error)\b", re.MULTILINE)
INDENT = 4


def drawn_parents() -> dict[str, str | None]:
    """Return each class drawn in the module's docstring with the one it hangs from."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in _DRAWN.finditer((errors.__doc__ or "").partition("```")[2]):
        depth = len(line["branch"]) // INDENT
        path[depth:] = [line["name"]]
        parents[line["name"]] = path[depth - 1] if depth else None
    return parents


def real_parents() -> dict[str, str | None]:
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]
    return {cls.__name__: None if cls is LongContextError else cls.__bases__[0].__name__ for cls in classes}


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert drawn_parents() == real_parents()


def test_every_error_says_in_a_docstring_when_it_is_raised() -> None:
    assert [name for name in real_parents() if not getattr(errors, name).__doc__] == []


def test_bad_input_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        raise InputError("k is 0")  # noqa: EM101, TRY003 - the message under test


def test_a_document_error_names_its_source() -> None:
    error = DocumentError("report.pdf", "the file is empty")

    assert str(error) == "report.pdf: the file is empty"
    assert error.source == "report.pdf"


def test_a_document_error_comes_out_of_another_process_as_it_went_in() -> None:
    error = pickle.loads(pickle.dumps(BrokenDocumentError("report.pdf", "is damaged")))  # noqa: S301 - our own

    assert (type(error), str(error)) == (BrokenDocumentError, "report.pdf: is damaged")
    assert (error.source, error.problem) == ("report.pdf", "is damaged")
