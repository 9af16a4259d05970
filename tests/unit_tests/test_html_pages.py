"""Pages as a browser shows them, whatever is nested in whatever, in a time that grows with their length alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_qwen_longctx.document_loaders import load_bytes, source_text
from langchain_qwen_longctx.errors import EmptyDocumentError
from langchain_qwen_longctx.html_pages import html_text

TAGS = st.sampled_from(
    [
        *("p", "div", "table", "tr", "td", "th", "ul", "ol", "li", "b", "a", "script", "style", "title", "nav", "br"),
        *("pre", "h1", "h6", "q", "svg", "select", "body", "html", "iframe", "template"),
    ]
)
SOUP = st.lists(
    st.one_of(
        TAGS.map("<{}>".format),
        TAGS.map("</{}>".format),
        TAGS.map("<{}/>".format),
        st.sampled_from(
            ["<ol start='7'>", "<li value=99999999999>", "<p style='display: none'>", "<!--", "-->", "&nbsp;"]
        ),
        st.text(st.characters(exclude_characters="<>&"), max_size=9),
    ),
    max_size=30,
).map("".join)


def text_of(data: bytes, name: str) -> str:
    return source_text(load_bytes(data, name), name)


class TestPages:
    def test_text_is_kept_and_scripts_styles_and_menus_are_not(self) -> None:
        page = "<title>t</title><style>s</style><nav>menu</nav><h2>A <b>b</b></h2><p>Text</p><script>x()</script>"
        assert text_of(page.encode(), "a.html").strip() == "## A b\n\nText"

    def test_table_cells_are_separated_by_bars(self) -> None:
        page = "<table><tr><th>Name</th><th>Year</th></tr><tr><td>A long name</td><td>2019</td></tr></table>"
        assert text_of(page.encode(), "a.html").splitlines() == ["Name | Year", "A long name | 2019"]

    def test_the_declared_charset_is_honoured(self) -> None:
        page = '<html><head><meta charset="gb2312"></head><body>第五交響曲</body></html>'
        assert "第五交響曲" in text_of(page.encode("gb18030"), "a.html")

    def test_an_xhtml_page_with_mark_and_declaration_is_read(self) -> None:
        page = '\ufeff<?xml version="1.0" encoding="utf-8"?><html><body><p>Text</p></body></html>'
        assert text_of(page.encode(), "a.xhtml").strip() == "Text"

    def test_a_page_of_scripts_only_is_empty(self) -> None:
        with pytest.raises(EmptyDocumentError):
            load_bytes(b"<html><script>render()</script></html>", "a.html")


class TestLayout:
    @pytest.mark.parametrize(
        ("page", "text"),
        [
            ("<p>One\n  two<p>three<br>four", "One two\n\nthree\nfour"),
            ("<div>a</div><div>b</div>c<section>d</section>", "a\nb\nc\nd"),
            ("a<br><br>b", "a\n\nb"),
            ("<h1>A<br>b</h1>c<h2></h2>d", "# A b\n\nc\n\nd"),
            ("<b>bo</b>ld <q>said</q>", 'bold "said"'),
            ("<dl><dt>term<dd>what it is</dl>", "term\nwhat it is"),
            ("<pre>\n  if x:\n\n    y  \n</pre>z", "  if x:\n\n    y\nz"),
            ("x<p style='Display : NONE'>y<b>y</b></p>z", "xz"),
            ("a<!-- b -->c<script>d</script><svg><title>e</title></svg>", "ac"),
            ("&lt;b&gt; &amp;amp; &unknown; &#0;", "<b> &amp; &unknown; \ufffd"),
        ],
    )
    def test_blocks_stand_on_lines_of_their_own(self, page: str, text: str) -> None:
        assert html_text(page) == text

    @pytest.mark.parametrize(
        ("page", "text"),
        [
            ("<ul><li>a<li>b</ul>", "- a\n- b"),
            ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
            ("<ol start=3><li>a<li value=9>b<li>c</ol>", "3. a\n9. b\n10. c"),
            ("<ol start=x><li value=-1>a</ol>", "1. a"),
            ("<ul><li>a<ul><li>b</ul><li><p>c</p></ul>", "- a\n  - b\n\n- c"),
            ("<ul><li></li></ul>a", "a"),
            ("<li>a", "- a"),
        ],
    )
    def test_items_have_their_marks(self, page: str, text: str) -> None:
        assert html_text(page) == text

    @pytest.mark.parametrize(
        ("page", "text"),
        [
            (
                "<table><caption>c</caption><tr><th>Name<th>Year<tr><td>X<td>2019</table>d",
                "c\n\nName | Year\nX | 2019\n\nd",
            ),
            ("<table><tr><td>a<td><td>c<tr><td><td>b</table>", "a |  | c\nb"),
            ("<table><tr><td>a<br>b<td><ul><li>c</ul></table>", "a b | - c"),
            ("<table><td>no row</table>", "no row"),
            ("<td>no table", "no table"),
            ("<table><tr><td>menu<td><h1>Head</h1><p>One.<p>Two.</table>", "menu\n\n# Head\n\nOne.\n\nTwo."),
            ("<table><tr><td><table><tr><td>a<td>b<tr><td>c<td>d</table></table>", "a | b\nc | d"),
            ("<table><tr><td></table>a", "a"),
        ],
    )
    def test_rows_of_data_are_lines_and_tables_for_the_layout_are_not(self, page: str, text: str) -> None:
        assert html_text(page) == text


class TestHostilePages:
    @pytest.mark.parametrize("tags", ["<div>", "<font>", "<ul><li>", "<table><tr><td>", "<blockquote><q>", "<b><i><u>"])
    def test_nothing_is_lost_below_any_depth(self, tags: str) -> None:
        assert "deep text" in html_text(f"{tags * 20_000}deep text")

    @pytest.mark.parametrize(
        "page",
        [
            "<h1 " * 50_000,
            f"<pre>a{' ' * 200_000}b",
            f"<pre>{'|' * 200_000}x",
            "<p>" + "<b>x</b>" * 50_000,
            "<table>" + "<tr><td>a" * 20_000 + f"<tr><td>{'b' * 200_000}",
            "<table><tr>" + "<td>a" * 10_000 + f"<td>{'a<br>' * 50_000}",
            "<p style='margin-top: 99999em; padding-left: 99999em'>a" * 5_000,
            "<table><tr><td>a" * 20_000,
            f"<p {' '.join(f'a{number}' for number in range(50_000))}>",
        ],
        ids=lambda page: page[:20],
    )
    def test_time_and_text_grow_with_length_whatever_the_page(self, page: str) -> None:
        started = time.process_time()
        assert len(html_text(page)) < 2 * len(page)
        assert time.process_time() - started < 2

    def test_a_text_of_any_length_is_read_to_its_end(self) -> None:
        assert html_text(f"<p>{'x' * 11_000_000}<p>end").endswith("end")

    def test_an_encoding_that_is_none_of_the_web_is_not_used(self) -> None:
        started = time.process_time()
        page = b'<meta charset="punycode"><p>Text</p>-' + b"zzzzza9b" * 50_000
        assert text_of(page, "a.html").startswith("Text")
        assert time.process_time() - started < 2

    @settings(deadline=None, max_examples=300)
    @given(SOUP)
    def test_any_soup_of_tags_is_text(self, page: str) -> None:
        text = html_text(page)
        assert "\n\n\n" not in text
        assert not text.startswith("\n")
