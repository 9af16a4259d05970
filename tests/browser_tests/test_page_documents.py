"""Documents that come and go, whatever they are called and say, and who may ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from browser_tests.steps import MINUTES, TOWN, add, answered, app, ask, expect, expect_documents, file, town
from command_line import TOWN_FACT, TOWN_QUESTION
from scripted import expert

from langchain_qwen_longctx.server import ServerSettings
from langchain_qwen_longctx.uploads import UploadLimits

if TYPE_CHECKING:
    from browser_tests.steps import Visit
    from playwright.sync_api import Page

EMPTY_PDF = b"%PDF-1.4\nno more than a beginning"


class TestDocuments:
    def test_without_documents_the_page_says_what_to_do_first(self, visit: Visit) -> None:
        page = visit(app())
        page.locator(".example").first.click()

        page.keyboard.press("Enter")

        expect(page.locator("#composer-hint")).to_contain_text("First add a document")
        expect(page.locator("#question")).not_to_have_value("")

    def test_a_file_that_cannot_be_read_is_named_in_place_beside_those_that_can(self, visit: Visit) -> None:
        page = visit(app())

        add(page, file("镇志.txt", TOWN), file("broken.pdf", EMPTY_PDF))

        expect(page.locator(".document.failed .name")).to_have_text("broken.pdf")
        expect(page.locator(".document.failed .state")).not_to_be_empty()
        expect_documents(page, "镇志.txt")

    def test_a_file_that_is_too_large_is_not_even_sent(self, visit: Visit) -> None:
        page = visit(app(settings=ServerSettings(upload=UploadLimits(max_file_bytes=1000))))
        expect(page.locator(".accepted")).to_contain_text("1 kB")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url))

        add(page, file("large.txt", "x" * 1001))

        expect(page.locator(".document.failed .state")).to_contain_text("at most 1 kB")
        assert sent == []

    def test_files_join_those_that_were_added_before_and_can_be_taken_out(self, visit: Visit) -> None:
        page = visit(app())
        add(page, file("镇志.txt", TOWN))
        expect_documents(page, "镇志.txt")

        add(page, file("minutes.txt", MINUTES))
        expect_documents(page, "镇志.txt", "minutes.txt")
        page.get_by_role("button", name="Remove minutes.txt").click()

        expect_documents(page, "镇志.txt")

    def test_a_file_that_is_dropped_anywhere_is_read(self, visit: Visit) -> None:
        page = visit(app())
        expect(page.locator(".accepted")).to_be_visible()
        dropped = page.evaluate_handle(
            "text => { const all = new DataTransfer(); all.items.add(new File([text], '镇志.txt')); return all; }", TOWN
        )

        page.dispatch_event("header", "dragenter", {"dataTransfer": dropped})
        expect(page.locator("#drop-veil")).to_be_visible()
        page.dispatch_event("header", "drop", {"dataTransfer": dropped})

        expect_documents(page, "镇志.txt")
        expect(page.locator("#drop-veil")).to_be_hidden()

    def test_documents_that_the_server_has_forgotten_are_added_again_and_asked(self, visit: Visit) -> None:
        page = visit(app())
        add(page, file("镇志.txt", TOWN))
        expect_documents(page, "镇志.txt")
        forget_collection(page)

        ask(page, TOWN_QUESTION)
        failure = page.locator(".failure")
        expect(failure).to_contain_text("no longer on the server")
        failure.get_by_role("button", name="Add them again").click()

        expect(page.locator(".answer")).to_contain_text("毛一清")

    def test_after_a_reload_what_is_lost_is_said_and_the_quote_is_still_shown(self, visit: Visit) -> None:
        page = visit(app())
        add(page, file("镇志.txt", TOWN))
        answered(page)
        forget_collection(page)

        page.reload()
        expect(page.locator(".documents .problem")).to_contain_text("no longer on the server")
        page.locator(".chip").click()

        expect(page.locator("#passage-text")).to_contain_text("no longer on the server")
        expect(page.locator("mark")).to_have_text(TOWN_FACT)

    def test_ones_own_documents_give_way_to_the_servers_again(self, visit: Visit) -> None:
        page = visit(town())
        add(page, file("minutes.txt", MINUTES))
        expect_documents(page, "minutes.txt")

        page.get_by_role("button", name="Back to the server").click()

        expect_documents(page, "镇志.txt")


def forget_collection(page: Page) -> None:
    """Have the server forget what the page added."""
    name = page.evaluate("JSON.parse(sessionStorage['qwen-longctx.session']).collection")
    assert page.request.delete(f"{page.url.split('#')[0]}collections/{name}").ok


class TestForeignText:
    NAME = "<img src=x onerror=alert(1)>.txt"
    FACT = "The chair said <script>alert(2)</script> & <img src=x onerror=alert(3)> twice."

    def test_markup_in_names_documents_questions_and_answers_stays_text(self, visit: Visit) -> None:
        page = visit(app(expert({"chair": (self.FACT, "<b onclick=alert(4)>twice</b>")})))
        add(page, file(self.NAME, f"{MINUTES}\n\n{self.FACT}"))
        expect_documents(page, self.NAME)

        answered(page, "What did the chair say of <i>this</i> & <script>alert(5)</script>?")
        page.locator(".chip").click()

        expect(page.locator("mark")).to_have_text(self.FACT)
        expect(page.locator("#passage-source")).to_have_text(self.NAME)
        expect(page.locator(".answer")).to_contain_text("<b onclick=alert(4)>twice</b>")
        expect(page.locator(".turn h2")).to_contain_text("<i>this</i>")
        assert page.locator(":is(main, aside, dialog) :is(img, script, b, i)").count() == 0


class TestKey:
    def test_it_is_asked_for_until_it_is_right_and_then_kept(self, visit: Visit) -> None:
        page = visit(town(settings=ServerSettings(api_keys=("right",))))
        dialog = page.get_by_role("dialog", name="A key, please")
        expect(dialog).to_be_visible()

        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("does not know this key")
        page.keyboard.type("right")
        page.keyboard.press("Enter")

        answered(page)
        page.reload()
        expect(page.locator(".answer")).to_be_visible()
        expect(dialog).to_be_hidden()

    def test_without_one_the_page_says_so_and_asks_again_on_demand(self, visit: Visit) -> None:
        page = visit(town(settings=ServerSettings(api_keys=("right",))))

        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#trouble")).to_contain_text("only with a key")
        page.get_by_role("button", name="Enter the key").click()

        expect(page.get_by_role("dialog", name="A key, please")).to_be_visible()
