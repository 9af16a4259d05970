"""A question on its way to an answer, and what one does with that."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from browser_tests.steps import (
    ENGLISH,
    MINUTES,
    MINUTES_FACT,
    MINUTES_QUESTION,
    TOWN,
    add,
    answered,
    app,
    ask,
    expect,
    expect_documents,
    file,
    focused,
    is_within_view,
    town,
)
from command_line import BIRTH_QUESTION, EXPERT, FOLLOW_UP, HOPS_QUESTION, TOWN_FACT, TOWN_QUESTION
from scripted import RuleChatModel, only_after_reading, prompt_of

from langchain_qwen_longctx.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from browser_tests.steps import Visit
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk
    from playwright.sync_api import FileChooser


class TestAsking:
    def test_a_chosen_file_is_read_and_its_citation_shows_exactly_the_quote(self, visit: Visit) -> None:
        page = visit(app(ENGLISH))
        with page.expect_file_chooser() as chosen:
            page.get_by_role("button", name="Choose files").click()
        chooser: FileChooser = chosen.value
        chooser.set_files(file("minutes.txt", MINUTES))
        expect_documents(page, "minutes.txt")

        ask(page, MINUTES_QUESTION)
        page.get_by_role("button", name="Citation 1, in minutes.txt").click()

        expect(page.locator("mark")).to_have_text(MINUTES_FACT)
        assert page.locator("mark").text_content() == MINUTES_FACT
        assert is_within_view(page, "mark", "#passage-text")
        expect(page.locator("#passage-source")).to_have_text("minutes.txt")

    def test_a_chinese_question_is_asked_and_answered_in_a_chinese_page(self, visit: Visit) -> None:
        page = visit(town(), locale="zh-CN")

        answered(page)

        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        expect(page.locator(".answer")).to_contain_text("毛一清")
        expect(page.locator(".citation .quote")).to_have_text(TOWN_FACT)
        expect(page.get_by_role("button", name="新对话")).to_be_visible()

    def test_the_language_changes_on_demand_and_for_good(self, visit: Visit) -> None:
        page = visit(town(), locale="zh-CN")
        answered(page)

        page.locator("#language").click()

        expect(page.get_by_role("heading", name="Where it says so")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Where it says so")).to_be_visible()

    def test_enter_that_takes_a_proposal_of_an_input_method_does_not_send(self, visit: Visit) -> None:
        page = visit(town())
        field = page.locator("#question")
        field.fill("钟楼")

        field.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
        field.press("Shift+Enter")

        expect(field).to_have_value("钟楼\n")
        expect(page.locator(".turn")).to_have_count(0)

    def test_reasoning_unfolds_its_sub_questions_with_what_was_read_for_them(self, visit: Visit) -> None:
        page = visit(town(model=RuleChatModel(respond=only_after_reading(EXPERT))))

        answered(page, HOPS_QUESTION, "reason")
        page.locator(".work summary").click()

        expect(page.locator(".step-question")).to_have_text([TOWN_QUESTION, BIRTH_QUESTION, HOPS_QUESTION])
        expect(page.locator(".step-answer")).to_have_text(["毛一清", "岭下村", "岭下村"])
        expect(page.locator(".evidence blockquote").first).to_have_text(TOWN_FACT)
        assert page.locator(".cells [data-outcome=relevant]").count() >= 2

    def test_a_draft_is_shown_as_such_until_it_is_confirmed(self, visit: Visit) -> None:
        confirmed = Event()
        page = visit(town(model=HesitantModel(respond=EXPERT, confirmed=confirmed)))
        ask(page, TOWN_QUESTION)
        draft = page.locator(".draft")

        expect(draft).to_contain_text("毛一清")
        expect(page.locator(".answer")).to_have_count(0)
        confirmed.set()

        expect(page.locator(".answer")).to_contain_text("毛一清")
        expect(draft).to_have_count(0)

    def test_what_is_not_in_the_documents_is_said_calmly_with_a_way_to_look_deeper(self, visit: Visit) -> None:
        page = visit(town())
        ask(page, "镇上的邮局几点开门？")

        expect(page.locator(".absent h3")).to_have_text("Not in the documents")
        expect(page.locator(".turn [role=alert]")).to_have_count(0)
        page.get_by_role("button", name="Read chunk by chunk").click()

        expect(page.get_by_role("button", name="Look in steps")).to_be_visible()
        expect(page.locator(".turn")).to_have_count(1)

    def test_a_reading_that_ends_early_is_marked(self, visit: Visit) -> None:
        page = visit(town(max_model_calls=4, coverage="full"))

        answered(page, level="read")

        expect(page.locator(".notice")).to_contain_text("The limit on calls was reached")

    def test_stop_ends_the_work_on_the_server_too(self, visit: Visit) -> None:
        held, asked = Event(), Event()

        def hold(messages: Sequence[BaseMessage]) -> str | BaseException:
            asked.set()
            held.wait(10)
            return EXPERT(messages)

        model = RuleChatModel(respond=hold)
        page = visit(town(model=model))
        ask(page, TOWN_QUESTION)
        assert asked.wait(10)

        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".interrupted")).to_contain_text("You stopped this")
        held.set()

        # Another question takes its own calls, and those of the one that was stopped would be there by then.
        calls = model.calls
        answered(page)
        assert calls == 1
        assert model.calls <= calls + 3

    def test_an_error_is_shown_with_its_remedy_and_asking_again_works(self, visit: Visit) -> None:
        broken = Event()
        broken.set()

        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            return ModelUnavailableError("the cable is out") if broken.is_set() else EXPERT(messages)

        page = visit(town(respond=respond))
        ask(page, TOWN_QUESTION)
        failure = page.locator(".failure")
        expect(failure).to_contain_text("the cable is out")

        broken.clear()
        failure.get_by_role("button", name="Try again").click()

        expect(page.locator(".answer")).to_contain_text("毛一清")
        expect(failure).to_have_count(0)

    def test_a_server_that_does_not_answer_is_named_as_the_reason(self, visit: Visit) -> None:
        page = visit(town())
        expect(page.locator(".document")).to_be_visible()
        page.context.set_offline(offline=True)

        ask(page, TOWN_QUESTION)

        expect(page.locator(".failure")).to_contain_text("The server does not answer")


class HesitantModel(RuleChatModel):
    """Writes an answer, but does not end it before that is confirmed."""

    confirmed: Any

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield from super()._stream(messages, *args, **kwargs)
        if prompt_of(messages) == "ANSWER":
            self.confirmed.wait(10)


class TestConversation:
    def test_a_follow_up_is_sent_with_what_was_asked_before(self, visit: Visit) -> None:
        page = visit(town())
        answered(page)

        with page.expect_request("**/ask") as sent:
            answered(page, FOLLOW_UP)

        said = [{"type": "human", "content": TOWN_QUESTION}, {"type": "ai", "content": "毛一清 [1]"}]
        assert (sent.value.post_data_json or {})["history"] == said
        expect(page.locator(".answer").last).to_contain_text("岭下村")
        expect(page.locator("#questions a")).to_have_text([TOWN_QUESTION, FOLLOW_UP])

    def test_it_is_still_there_after_a_reload_and_its_citations_open(self, visit: Visit) -> None:
        page = visit(app())
        add(page, file("镇志.txt", TOWN))
        answered(page)

        page.reload()
        page.locator(".citation").click()

        expect(page.locator("mark")).to_have_text(TOWN_FACT)
        expect_documents(page, "镇志.txt")

    def test_a_new_one_begins_with_nothing_but_the_documents(self, visit: Visit) -> None:
        page = visit(town())
        answered(page)

        page.get_by_role("button", name="New conversation").click()

        expect(page.locator(".turn")).to_have_count(0)
        expect_documents(page, "镇志.txt")
        assert focused(page) == "question"

    def test_an_answer_is_saved_as_markdown_with_its_quotes_and_their_places(self, visit: Visit) -> None:
        page = visit(town())
        answered(page)

        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as Markdown").click()

        start = TOWN.index(TOWN_FACT)
        lines = Path(saved.value.path()).read_text("utf-8").splitlines()
        assert saved.value.suggested_filename == "镇上的钟楼是谁设计的.md"
        assert lines[:7] == [
            f"# {TOWN_QUESTION}",
            "",
            "毛一清 \\[1\\]",
            "",
            f"**\\[1\\]** 镇志.txt, characters {start}–{start + len(TOWN_FACT)}",
            "",
            f"> {TOWN_FACT}",
        ]

    def test_all_answers_are_saved_in_one_file(self, visit: Visit) -> None:
        page = visit(town())
        answered(page)
        answered(page, FOLLOW_UP)

        with page.expect_download() as saved:
            page.get_by_role("button", name="Save all answers").click()

        text = Path(saved.value.path()).read_text("utf-8")
        assert re.findall("^#+ .*", text, re.MULTILINE) == [
            "# Questions and answers",
            f"## {TOWN_QUESTION}",
            f"## {FOLLOW_UP}",
        ]

    def test_an_answer_is_copied_with_its_citations(self, visit: Visit) -> None:
        page = visit(town(), permissions=["clipboard-read", "clipboard-write"])
        answered(page)

        page.get_by_role("button", name="Copy").click()

        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == f"毛一清 [1]\n\n[1] 镇志.txt: {TOWN_FACT}"


class TestPassage:
    def test_one_goes_from_citation_to_citation(self, visit: Visit) -> None:
        page = visit(town())
        answered(page, HOPS_QUESTION, "reason")
        page.locator(".chip").first.click()
        quotes = page.locator(".citation .quote").all_text_contents()
        expect(page.locator("mark")).to_have_text(quotes[0])

        page.get_by_role("button", name="Next citation").click()
        expect(page.locator("mark")).to_have_text(quotes[1])
        expect(page.locator("#passage-next")).to_be_disabled()
        page.get_by_role("button", name="Previous citation").click()

        expect(page.locator("mark")).to_have_text(quotes[0])
        expect(page.locator(".chip[aria-current]")).to_have_text("1")

    def test_more_of_the_document_comes_on_demand_while_the_quote_stays_where_it_is(self, visit: Visit) -> None:
        page = visit(app(ENGLISH, documents={"minutes.txt": MINUTES}))
        answered(page, MINUTES_QUESTION)
        page.locator(".chip").click()
        text = page.locator(".passage")
        expect(text).not_to_contain_text("Item 150 of")
        more = page.get_by_role("button", name="Show what comes before")
        more.scroll_into_view_if_needed()
        before = page.locator("mark").bounding_box()

        more.click()

        expect(text).to_contain_text("Item 150 of")
        assert page.locator("mark").bounding_box() == pytest.approx(before, abs=1)

    def test_the_whole_of_it_works_by_keyboard(self, visit: Visit) -> None:
        page = visit(town())
        expect(page.locator(".document")).to_be_visible()

        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert focused(page) == "question"
        page.keyboard.type(TOWN_QUESTION)
        page.keyboard.press("Enter")
        expect(page.locator(".citations")).to_be_visible()
        presses = 0
        while focused(page) != "chip":
            page.keyboard.press("Shift+Tab")
            presses += 1
            assert presses < 20
        page.keyboard.press("Enter")
        expect(page.locator("mark")).to_have_text(TOWN_FACT)
        assert focused(page) == "passage-text"
        page.keyboard.press("Escape")

        expect(page.locator("#passage")).to_be_hidden()
        assert focused(page) == "chip"
