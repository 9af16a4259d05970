"""The page in a real browser, served by the real application; only the model is scripted."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser_tests.steps import Visit
    from fastapi import FastAPI
    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# As a pattern, it is matched by the driver, and no request of this machine has to wait for the test.
ABROAD = re.compile(r"^(?!https?://(127\.0\.0\.1|localhost)[:/]|blob:|data:)")
LOUD = frozenset({"error", "warning"})


# Not for the whole session: asyncio takes Playwright's loop for a running one in every test that comes later.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"needs a browser on the path: {', '.join(NAMES)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open pages that complain about nothing and reach nothing beyond this machine."""
    complaints: list[str] = []
    abroad: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # The browser itself notes every status beyond 399, which tests of errors are about.
        if message.type in LOUD and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    def refuse(route: Route) -> None:
        abroad.append(route.request.url)
        route.abort()

    with ExitStack() as opened:

        def open_page(app: FastAPI | str, **options: Any) -> Page:
            address = app if isinstance(app, str) else opened.enter_context(serving(app))
            settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
            context = opened.enter_context(browser.new_context(**settings))
            context.set_default_timeout(10_000)
            context.route(ABROAD, refuse)
            page = context.new_page()
            page.on("console", listen)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("dialog", lambda dialog: complaints.append(dialog.message))
            page.goto(address)
            return page

        yield open_page
    assert complaints == []
    assert abroad == []
