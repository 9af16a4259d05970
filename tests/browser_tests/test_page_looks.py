"""How the page looks on every screen and in every light, and the modules it is made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from browser_tests.steps import answered, expect, is_within_view, town
from command_line import HOPS_QUESTION

if TYPE_CHECKING:
    from browser_tests.steps import Visit
    from playwright.sync_api import Page

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


class TestLooks:
    def test_on_a_phone_nothing_is_cut_off_and_the_passage_comes_as_a_sheet_from_below(self, visit: Visit) -> None:
        page = visit(town(), **PHONE)
        assert width_of(page) == 360
        answered(page, HOPS_QUESTION, "reason")
        assert width_of(page) == 360

        page.locator(".chip").first.tap()
        expect(page.locator("mark")).to_be_visible()
        page.locator("#passage").evaluate("sheet => Promise.all(sheet.getAnimations().map(({ finished }) => finished))")
        sheet = page.locator("#passage").bounding_box()

        assert sheet
        assert (sheet["x"], sheet["width"], sheet["y"] + sheet["height"]) == (0, 360, 740)
        assert 0 < sheet["y"] < 370
        assert is_within_view(page, "mark", "#passage-text")
        page.touchscreen.tap(180, 40)
        expect(page.locator("#passage")).to_be_hidden()

    def test_on_a_phone_the_documents_come_out_of_the_side(self, visit: Visit) -> None:
        page = visit(town(), **PHONE)
        answered(page)

        page.get_by_role("button", name="1 document").tap()
        expect(page.locator("#sidebar .document .name")).to_be_visible()
        page.locator("#questions a").tap()

        expect(page.locator("#sidebar")).to_be_hidden()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_every_colour_of_text_can_be_read_on_its_ground(self, visit: Visit, scheme: str) -> None:
        page = visit(town(), color_scheme=scheme)
        grounds = {
            "ink": ["ground", "surface", "tint", "mark"],
            "muted": ["ground", "surface", "tint", "line"],
            "accent": ["ground", "surface", "tint"],
            "caution": ["ground"],
            "danger": ["ground", "surface"],
            "on-accent": ["accent"],
        }

        weak = {
            (text, ground): contrast
            for text, below in grounds.items()
            for ground in below
            if (contrast := contrast_of(page, text, ground)) < 4.5
        }

        assert weak == {}

    def test_every_control_has_a_name(self, visit: Visit) -> None:
        page = visit(town())
        answered(page)
        page.locator(".chip").click()
        expect(page.locator("mark")).to_be_visible()

        controls = page.locator(":is(button, textarea, summary, a):visible").all()
        names = [control.get_attribute("aria-label") or control.inner_text().strip() for control in controls]

        assert len(names) > 10
        assert all(names)


def width_of(page: Page) -> int:
    """Return how wide the page is, be it seen or not."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def contrast_of(page: Page, text: str, ground: str) -> float:
    """Return the contrast of two of the page's colours, as WCAG defines it."""
    lighter, darker = sorted((luminance(page, text), luminance(page, ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(page: Page, name: str) -> float:
    """Return the relative luminance of a colour of the page."""
    code = page.evaluate("name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`)", name)
    digits = code.strip().removeprefix("#")
    pairs = [digit * 2 for digit in digits] if len(digits) == 3 else re.findall("..", digits)
    shares = [int(pair, 16) / 255 for pair in pairs]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class TestModules:
    """What has no element of its own is tried through the modules that the page is made of."""

    def test_both_languages_say_the_same_things(self, visit: Visit) -> None:
        page = visit(town())

        keys = page.evaluate(
            """async () => {
                const { TEXTS } = await import("./page/texts.js");
                const kinds = (texts) => Object.entries(texts).map(([key, text]) => [key, typeof text]);
                return Object.values(TEXTS).map(kinds);
            }"""
        )

        assert keys[0] == keys[1]

    def test_events_are_read_wherever_the_network_divides_them(self, visit: Visit) -> None:
        page = visit(town())
        stream = ': ping\r\n\r\nevent: draft\r\ndata: {"text": "钟\u2028楼"}\r\n\r\nevent: hop\ndata: {}\n\nevent: cut'

        ways = page.evaluate(
            """async (text) => {
                const { readEvents } = await import("./page/api.js");
                const bytes = new TextEncoder().encode(text);
                const divided = (step) => new ReadableStream({
                    start(controller) {
                        for (let at = 0; at < bytes.length; at += step) controller.enqueue(bytes.slice(at, at + step));
                        controller.close();
                    },
                });
                return Promise.all([1, 2, 3, 7, 1000].map((step) => Array.fromAsync(readEvents(divided(step)))));
            }""",
            stream,
        )

        assert ways == 5 * [[["draft", {"text": "钟\u2028楼"}], ["hop", {}]]]

    def test_text_means_nothing_to_markdown(self, visit: Visit) -> None:
        page = visit(town())
        texts = {
            "# no heading": "\\# no heading",
            "a_b*c [1] <b> `x` | ~y~ $z$ &amp;": "a\\_b\\*c \\[1\\] \\<b\\> \\`x\\` \\| \\~y\\~ \\$z\\$ \\&amp;",
            "1. one\r\n- two\n+ three\n4) four": "1\\. one\n\\- two\n\\+ three\n4\\) four",
            "    code\n====": "code\n\\====",
            "在 2019 年。": "在 2019 年。",
        }

        escaped = page.evaluate(
            "async texts => texts.map((await import('./page/markdown_export.js')).escape)",
            list(texts),
        )

        assert escaped == list(texts.values())

    def test_a_long_reading_takes_no_more_cells_than_fit(self, visit: Visit) -> None:
        page = visit(town())
        outcomes = ["irrelevant"] * 900 + ["relevant"] + ["failed"] * 99

        cells = page.evaluate("async outcomes => (await import('./page/work.js')).toCells(outcomes)", outcomes)

        assert len(cells) <= 180
        assert cells.count("relevant") == 1
        assert cells[-1] == "failed"
