"""What people do on the page and see there, and the documents that they ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, EXPERT, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from scripted import RuleChatModel, expert

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.server import ServerSettings, create_app

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import FilePayload, Page
    from scripted import Respond

expect: Any = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright").expect
# A browser beside other work on two cores takes its time.
expect.set_options(timeout=15_000)

TOWN = chronicle(18, {4: TOWN_FACT, 11: BIRTH_FACT})
MINUTES_FACT = "In 2019 the chair was held by Rosalind Thackwell, the veterinary surgeon."
MINUTES_QUESTION = "Who held the chair in 2019?"
MINUTES = "\n\n".join([*(f"Item {n} of the agenda was put off." for n in range(200)), MINUTES_FACT, "It rained."])
ENGLISH = expert({"chair": (MINUTES_FACT, "Rosalind Thackwell")})


class Visit(Protocol):
    """Serves an application, or takes the address of one, and opens its page."""

    def __call__(self, app: FastAPI | str, **options: Any) -> Page: ...


def app(
    respond: Respond = EXPERT,
    documents: dict[str, str] | None = None,
    settings: ServerSettings | None = None,
    model: RuleChatModel | None = None,
    **knobs: Any,
) -> FastAPI:
    """Return the application over texts by their names, or without documents of its own."""
    texts = [Document(text, metadata={"source": name}) for name, text in (documents or {}).items()]
    return create_app(
        model=model or RuleChatModel(respond=respond),
        documents=texts or None,
        config=LongContextConfig(**knobs),
        settings=settings,
    )


def town(**options: Any) -> FastAPI:
    """Return the application over the town's chronicle."""
    return app(documents={"镇志.txt": TOWN}, **options)


def file(name: str, text: str | bytes) -> FilePayload:
    buffer = text if isinstance(text, bytes) else text.encode()
    return {"name": name, "mimeType": "application/octet-stream", "buffer": buffer}


def add(page: Page, *files: FilePayload) -> None:
    page.locator("#files").set_input_files(files)


def expect_documents(page: Page, *names: str) -> None:
    """Wait until these documents can be asked."""
    expect(page.locator(".document:not(.pending, .failed) .name")).to_have_text(names)


def ask(page: Page, question: str, level: str = "retrieve") -> None:
    """Ask as a person does who knows what level is wanted."""
    page.locator("#options-button").click()
    page.locator(f"#options input[value={level}]").check(force=True)
    page.keyboard.press("Escape")
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")


def answered(page: Page, question: str = TOWN_QUESTION, level: str = "retrieve") -> None:
    ask(page, question, level)
    expect(page.locator(".turn").last.locator(".citations")).to_be_visible()


def is_within_view(page: Page, selector: str, frame: str) -> bool:
    """Tell whether an element lies within the part of another one that is seen."""
    inner, outer = page.locator(selector).bounding_box(), page.locator(frame).bounding_box()
    assert inner
    assert outer
    return outer["y"] <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"]


def focused(page: Page) -> str:
    """Return the id or else the class of what has the focus."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))
