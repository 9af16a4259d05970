"""Every suite in its short form: whatever happens, the outcome is one that is allowed."""

from __future__ import annotations

import pytest
from suites import TITLES, suite


@pytest.mark.parametrize("name", TITLES)
def test_everything_that_is_tried_comes_out_as_it_should(name: str) -> None:
    trials = list(suite(name)(is_short=True))

    assert trials
    assert not [trial for trial in trials if trial.held < trial.tries]
