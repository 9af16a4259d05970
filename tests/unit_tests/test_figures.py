"""Pictures of results: that they are drawn, of what, and in which order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.figures import draw, draw_accuracy, draw_cost, draw_depth, lengths_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_qwen_longctx.evaluation import Outcome


def outcome(**fields: Any) -> Outcome:
    known: Any = {
        "id": "1", "arm": "auto", "model": "qwen", "knobs": {}, "kind": "needle", "lang": "en", "length": "8k",
        "depth": 0.5, "question": "Who?", "answers": ["Ada"], "answer": "Ada", "found": True, "right": True,
        "exact": True, "f1": 1.0, "retrieved": 1.0, "read": 1.0, "packed": 1.0, "cited": 1.0, "citations": 1,
        "verbatim": 1, "model_calls": 2, "cached_calls": 1, "input_tokens": 1000, "output_tokens": 10, "seconds": 2.0,
        "error": None,
    }  # fmt: skip
    return cast("Outcome", {**known, **fields})


OUTCOMES = [
    outcome(length="1m", depth=0.05),
    outcome(length="8k", right=False, depth=0.99),
    outcome(length="128k", arm="oracle", depth=None),
]


def figure() -> Any:  # noqa: ANN401 - matplotlib has no types
    return pytest.importorskip("matplotlib.figure").Figure()


def test_each_picture_is_there_twice_and_shows_something(tmp_path: Path) -> None:
    files = draw(OUTCOMES, tmp_path / "pictures")

    assert sorted(file.name for file in files) == [
        f"{name}.{kind}" for name in ("accuracy", "cost", "depth-auto") for kind in ("png", "svg")
    ]
    for file in files:
        data = file.read_bytes()
        assert data.startswith((b"\x89PNG", b"<?xml"))
        assert len(data) > 5000


def test_lengths_are_sorted_by_size_and_other_words_come_last() -> None:
    by_arm: Any = {"auto": {"1m": [], "8k": [], "whole": []}, "oracle": {"128k": [], "1m": []}}

    assert lengths_of(by_arm) == ["8k", "128k", "1m", "whole"]


def test_accuracy_is_drawn_in_percent_with_its_interval() -> None:
    canvas = figure()
    draw_accuracy(canvas, [*OUTCOMES, outcome(right=True)])

    axes = canvas.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8k", "128k", "1m"]
    assert [line.get_label() for line in axes.containers] == ["auto", "oracle"]
    assert list(axes.containers[0][0].get_ydata()) == [50, 100]


def test_cost_counts_calls_from_a_cache_too() -> None:
    canvas = figure()
    draw_cost(canvas, OUTCOMES)

    assert len(canvas.axes) == 3
    assert list(canvas.axes[0].lines[0].get_ydata()) == [3, 3]
    assert all(axes.get_yscale() == "log" for axes in canvas.axes)


def test_depth_is_drawn_from_the_beginning_down_to_the_end() -> None:
    canvas = figure()
    draw_depth(canvas, OUTCOMES[:2])

    grid = canvas.axes[0].images[0].get_array()
    assert grid.shape == (10, 2)
    assert (grid[9, 0], grid[0, 1]) == (0, 1)
    assert bool(grid.mask[0, 0])


def test_each_language_has_a_panel_of_its_own() -> None:
    canvas = figure()
    draw_depth(canvas, [outcome(depth=0.05), outcome(depth=0.05, right=False), outcome(depth=0.95, lang="zh")])

    english, chinese, _ = canvas.axes
    assert [axes.get_title() for axes in (english, chinese)] == ["auto, en", "auto, zh"]
    assert [text.get_text() for text in english.texts + chinese.texts] == ["1 of 2", "1 of 1"]
    assert (english.images[0].get_array()[0, 0], chinese.images[0].get_array()[9, 0]) == (0.5, 1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="the pictures cannot be written to"):
        draw(OUTCOMES, tmp_path / "file" / "pictures")


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(InputError, match=r'pip install "langchain-qwen-longctx\[eval\]"'):
        draw(OUTCOMES, tmp_path)
