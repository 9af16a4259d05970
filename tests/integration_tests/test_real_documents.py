"""The loaders on real files: https://github.com/docling-project/docling, Qwen-Agent's examples, Chinese statutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_qwen_longctx.document_loaders import find_files, load_documents, load_file, source_text

FOLDER = Path(__file__).parents[3] / "shared" / "loader_docs"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"needs the real documents in {FOLDER}")


def text_of(name: str) -> str:
    return source_text(load_file(FOLDER / name), str(FOLDER / name))


def test_every_file_loads() -> None:
    sources = {document.metadata["source"] for document in load_documents(FOLDER)}
    assert sources == {str(path) for path in find_files(FOLDER)}
    assert len(sources) == len(list(FOLDER.iterdir()))


def test_a_sentence_of_a_two_column_page_is_in_one_piece() -> None:
    assert "clamped to the supporting structure by the nut and bolt" in text_of("amt_handbook_sample.pdf")


def test_a_chinese_sentence_wrapped_over_lines_is_in_one_piece() -> None:
    assert "溪深难受雪，山冻不流云。鸥鹭飞难辨，沙汀望莫分。" in text_of("qwen_agent_poem.pdf")


def test_code_in_a_pdf_keeps_its_lines() -> None:
    assert "import requests\ndef download_image(url, filename):\n" in text_of("qwen_agent_doc.pdf")


def test_a_blank_page_keeps_its_number() -> None:
    pages = [document.metadata["page"] for document in load_file(FOLDER / "redp5110_sampled.pdf")]
    assert pages == [*range(1, 17), 18]


def test_tables_in_content_controls_of_a_word_file_are_read() -> None:
    assert "Feature: Foreword Boilerplate | Action Needed: Replace the original" in text_of("docx_rich_tables_01.docx")


def test_rows_of_a_word_table_name_their_columns() -> None:
    assert "Berries | Food: Blueberry, Strawberry, Cranberry | Calories per portion: 150" in text_of("word_sample.docx")


def test_rows_of_a_chinese_sheet_name_their_columns() -> None:
    assert "row 2 | 0 | title: 效果如何优化 | file: 2023-04-04.00" in text_of("zh_langchain-ChatGLM_open.xlsx")


def test_a_novel_is_read_from_the_first_chapter_to_the_last() -> None:
    text = text_of("moby-dick.epub")
    assert 0 < text.index("Call me Ishmael.") < text.index("# Epilogue") > 1_000_000


def test_a_web_page_is_read_without_its_scripts() -> None:
    text = text_of("wiki_duck.html")
    assert "## Etymology\n\nThe word duck comes from Old English" in text
    assert "function(" not in text


def test_a_statute_in_markdown_is_the_file_itself() -> None:
    name = "zh_公司法2023.md"
    assert text_of(name) == (FOLDER / name).read_bytes().decode("utf-8")
