"""LangServe's playground, which loads nothing from elsewhere and may call nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser_tests.steps import TOWN, app, expect
from command_line import TOWN_QUESTION
from serving import serving

if TYPE_CHECKING:
    from browser_tests.steps import Visit


# LangServe's /stream_log is made of it.
@pytest.mark.filterwarnings("ignore:astream_log is deprecated")
def test_a_question_is_asked_and_answered_in_it(visit: Visit) -> None:
    with serving(app(documents={"镇志.txt": TOWN})) as url:
        page = visit(f"{url}/qa/playground/")

        page.locator("textarea").first.fill(TOWN_QUESTION)
        page.get_by_role("button", name="Start").click()

        expect(page.locator("body")).to_contain_text('"answer": "毛一清 [1]"')
