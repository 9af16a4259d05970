"""What a note says about itself: front matter, tags and links, in the many ways in which people write them."""

from __future__ import annotations

import pytest

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.note_properties import (
    Properties,
    body_start,
    is_tagged,
    read_front_matter,
    read_properties,
)


def said(text: str) -> Properties:
    return read_properties(text, read_front_matter(text))


def headed(*lines: str, end: str = "\n") -> str:
    return end.join(["---", *lines, "---", "", "Body.", ""])


class TestFrontMatter:
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_it_gives_title_aliases_and_tags(self, end: str, mark: str) -> None:
        note = mark + headed("title: 灯塔志", "aliases: [The Light, 老灯]", "tags:", "  - 镇/灯塔", "  - oil", end=end)

        assert said(note) == Properties("灯塔志", ["The Light", "老灯"], ["镇/灯塔", "oil"], [])

    @pytest.mark.parametrize("line", ["tags: a, b c", "tags: [a, b, c]", "tag: a b c", "Tags: '#a #b #c'"])
    def test_tags_are_a_list_or_one_text(self, line: str) -> None:
        assert said(headed(line)).tags == ["a", "b", "c"]

    @pytest.mark.parametrize("line", ["aliases: Old Lamp, 老灯", "alias: [Old Lamp, 老灯]"])
    def test_aliases_are_a_list_or_one_text(self, line: str) -> None:
        assert said(headed(line)).aliases == ["Old Lamp", "老灯"]

    @pytest.mark.parametrize("title", ["2024-02-30", "1.10", "12:30", "yes", "007"])
    def test_a_title_stays_as_it_is_written(self, title: str) -> None:
        assert said(headed(f"title: {title}")).title == title

    @pytest.mark.parametrize("line", ["title:", "title: {a: b}", "tags: {a: b}", "aliases: [[a], {b: c}]", "tags: []"])
    def test_what_is_no_text_there_is_passed_over(self, line: str) -> None:
        assert said(headed(line)) == Properties("", [], [], [])

    @pytest.mark.parametrize(
        "text", ["", "Body.", "---\ntitle: never closed", " ---\ntitle: a\n---\n", "---\n- a\n---\n"]
    )
    def test_there_may_be_none(self, text: str) -> None:
        assert read_front_matter(text) == {}

    @pytest.mark.parametrize("line", ["title: [", "a: b: c", "\tx: 1", "title: \ud83d", "x: " + "[" * 50_000])
    def test_what_is_not_yaml_is_an_error(self, line: str) -> None:
        with pytest.raises(InputError, match="its front matter is not YAML"):
            read_front_matter(headed(line))

    def test_nothing_in_it_is_executed(self) -> None:
        fields = read_front_matter(headed("title: !!python/object/apply:os.getcwd []"))

        assert fields == {"title": []}

    @pytest.mark.parametrize("line", ["? [a, b]\n: c", "? {a: b}\n: c", "a: &a [*a]", "title: a\x07"])
    def test_what_no_dictionary_can_hold_is_an_error(self, line: str) -> None:
        with pytest.raises(InputError, match="its front matter is not YAML"):
            read_front_matter(headed(line))

    def test_aliases_of_aliases_take_no_more_than_they_are(self) -> None:
        lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]

        assert said(headed(*lines, "tags: *a39", "title: Fine")).title == "Fine"

    def test_what_is_too_long_is_an_error(self) -> None:
        with pytest.raises(InputError, match="more than 100,000 characters"):
            read_front_matter(headed("title: " + "long " * 20_000))

    @pytest.mark.parametrize("text", ["---\ntitle: a\n---\nBody.", "---\r\ntitle: a\r\n...\r\nBody.", "Body."])
    def test_the_body_begins_below_it(self, text: str) -> None:
        assert text[body_start(text) :].strip() == "Body."


class TestTags:
    @pytest.mark.parametrize(
        ("text", "tags"),
        [
            ("About #oil and #镇/灯塔。", ["oil", "镇/灯塔"]),
            ("#first\n(#second), #third-one", ["first", "second", "third-one"]),
            ("#2024 #y2024 #1-2", ["y2024"]),
            ("# Heading\n## Another", []),
            ("http://x.org/#part a#b [[Note#Heading]] &#38;", []),
            ("`#code` and #tag", ["tag"]),
            ("```css\n#menu {}\n```\n#after", ["after"]),
            ("~~~\n#never closed", []),
            ("#Oil #oil", ["oil"]),
            ("#trailing/ ", ["trailing"]),
        ],
    )
    def test_in_the_text_they_stand_behind_a_hash(self, text: str, tags: list[str]) -> None:
        assert said(text).tags == tags

    def test_in_front_matter_a_hash_begins_a_comment(self) -> None:
        assert said(headed("tags: a #b")).tags == ["a"]

    @pytest.mark.parametrize("wanted", ["镇", "镇/灯塔", "#镇", "Oil", "oil/"])
    def test_a_note_has_its_tags_and_those_above_them(self, wanted: str) -> None:
        assert is_tagged(["镇/灯塔", "oil"], wanted)

    @pytest.mark.parametrize("wanted", ["灯塔", "镇/灯", "oi", "oil/lamp", "", "#"])
    def test_a_note_has_no_other(self, wanted: str) -> None:
        assert not is_tagged(["镇/灯塔", "oil"], wanted)


class TestLinks:
    @pytest.mark.parametrize(
        ("text", "links"),
        [
            ("[[Note|the lamp]]", [["Note", "the lamp"]]),
            ("[[dir/Note#Heading|灯]] [[Note#^block|b]]", [["Note", "b"], ["dir/Note", "灯"]]),
            ("| a | [[Note\\|in a table]] |", [["Note", "in a table"]]),
            ("[[Note]] [[Note#Heading]] [[#Heading|here]]", []),
            ("![[picture.png|300]]", []),
            ("`[[Note|code]]`", []),
        ],
    )
    def test_they_tell_what_another_note_is_called(self, text: str, links: list[list[str]]) -> None:
        assert said(text).links == links
