from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_qwen_longctx.citations import cite, is_declined
from langchain_qwen_longctx.text_splitters import QwenTextSplitter

MINUTES = "The board met on 3 May. Ada Brook took the chair in 2019. Tea was served at four o'clock."
ACCOUNTS = "Income rose to 4,200 pounds. The roof cost 18,460 pounds. No debts remain."
CHRONICLE = "望月桥建于1713年。主持修造的是石匠鲁守砚。桥长三十丈。"


def passages(*texts: str) -> list[Document]:
    documents = [Document(text, metadata={"source": f"{number}.txt"}) for number, text in enumerate(texts)]
    return QwenTextSplitter().split_documents(documents)


def test_a_marker_becomes_the_sentence_that_supports_the_words_before_it() -> None:
    text, citations = cite("Ada Brook took the chair [1].", passages(MINUTES))

    assert text == "Ada Brook took the chair [1]."
    assert [citation["quote"] for citation in citations] == ["Ada Brook took the chair in 2019."]


def test_a_marker_at_the_beginning_counts_for_the_words_after_it() -> None:
    text, citations = cite("[1] Ada Brook took the chair.", passages(MINUTES))

    assert text == "[1] Ada Brook took the chair."
    assert [citation["quote"] for citation in citations] == ["Ada Brook took the chair in 2019."]


def test_an_unmarked_answer_may_rest_on_two_sentences_together() -> None:
    text, citations = cite("Ada Brook ruled when the roof cost 18,460 pounds.", passages(MINUTES, ACCOUNTS))

    assert text == "Ada Brook ruled when the roof cost 18,460 pounds. [1] [2]"
    assert [citation["source"] for citation in citations] == ["1.txt", "0.txt"]


def test_what_it_says_counts_more_than_what_was_asked_when_an_unmarked_answer_is_looked_up() -> None:
    lamp, keeper = "The old lamp at the northern pier was lit by its keeper Ada.", "Ada was born at Hexham."

    _, citations = cite(
        "Hexham.", passages(f"{lamp} {keeper}"), "Where was the keeper of the old lamp at the pier born?"
    )

    assert [citation["quote"] for citation in citations] == [keeper]


def test_a_chinese_marker_is_read_like_any_other() -> None:
    text, citations = cite("石匠鲁守砚【1】", passages(CHRONICLE))

    assert text == "石匠鲁守砚[1]"
    assert citations[0]["quote"] == "主持修造的是石匠鲁守砚。"


@pytest.mark.parametrize(
    ("question", "answer", "source"),
    [
        ("主持修造望月桥的石匠叫什么名字？", "主持修造望月桥的石匠叫鲁守砚。", "主持修造的石匠是鲁守砚，用的是青石。"),
        ("谁带领黑豹队擒杀？", "卡万·肖特带领黑豹队擒杀。", "防守截锋卡万·肖特以 11 分领先于全队。"),
        ("圣埃蒂安修道院是由谁的后代创立的？", "圣埃蒂安修道院是由罗洛的后代创立的。", "它是罗洛的子孙所建。"),
    ],
)
def test_a_chinese_name_is_found_however_it_is_cut_into_words(question: str, answer: str, source: str) -> None:
    _, citations = cite(answer, passages("集市逢三逢八。", source), question)

    assert [citation["quote"] for citation in citations] == [source]


def test_a_chinese_name_that_is_nowhere_is_not_found() -> None:
    _, citations = cite("石匠叫贺满仓。", passages("主持修造的石匠是鲁守砚。"), "石匠叫什么名字？")

    assert citations == []


def test_markers_are_renumbered_to_the_citations() -> None:
    text, citations = cite("The roof cost 18,460 pounds [2] under Ada Brook [1].", passages(MINUTES, ACCOUNTS))

    assert text == "The roof cost 18,460 pounds [1] under Ada Brook [2]."
    assert [citation["source"] for citation in citations] == ["1.txt", "0.txt"]


def test_a_marker_that_names_no_passage_is_dropped() -> None:
    text, citations = cite("Ada Brook took the chair [1] [7].", passages(MINUTES))

    assert text == "Ada Brook took the chair [1]."
    assert len(citations) == 1


@pytest.mark.parametrize(
    ("answer", "is_cited"),
    [
        ("The chair was taken by Hurricane Sandy. [1]", False),
        ("The chair was taken by Ada. [1]", True),
        ("The chair was taken by Ada of Hexham. [1]", True),
        ("Yes [1]", True),
        ("At noon [1]", True),
        ("In 1907 [1]", False),
        ("风暴桑迪 [1]", True),
    ],
)
def test_a_marker_after_a_name_or_a_figure_that_is_nowhere_is_dropped(answer: str, is_cited: bool) -> None:
    _, citations = cite(answer, passages(MINUTES), "Who took the chair?")

    assert bool(citations) is is_cited


@pytest.mark.parametrize(
    ("answer", "evidence", "is_cited"),
    [
        ("For 35 years [1].", "She took the chair in 1980.", False),
        ("For 35 years [1].", "She took the chair in 1980, and in 2015 she left it.", True),
        ("For 35 years [1].", "She took the chair at thirty, and left it old.", False),
        ("For 35 years [1].", "She took the chair at thirty, and at sixty-five she left it.", True),
        ("For 35 years [1].", "She had the chair for thirty-five years.", True),
        ("当了35年 [1]。", "她于三十岁就任，老年离任。", False),
        ("当了35年 [1]。", "她于三十岁就任，六十五岁离任。", True),
        ("当了35年 [1]。", "她任职三十五年。", True),
        ("当了35年 [1]。", "她当了许多年。", True),
        ("35 [1]。", "她于1980年就任，后来离任。", False),
        ("For 3 years [1].", "She took the chair in 1980.", True),
        ("From 1980 to 2015 [1].", "She took the chair in 1980.", True),
    ],
)
def test_a_figure_may_be_worked_out_from_others(answer: str, evidence: str, is_cited: bool) -> None:
    _, citations = cite(answer, passages(evidence), "How many years did she have the chair? 她任职多少年？")

    assert bool(citations) is is_cited


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ("至少3名 [1]。", "成员为三名以上。"),
        ("至少三名 [1]。", "成员为3名以上。"),
        ("12 [1]", "Twelve directors sit on it."),
        ("Twelve [1]", "12 directors sit on it."),
        ("12 [1]", "成员为十二名以上。"),
    ],
)
def test_a_number_is_the_same_in_words_and_in_digits(answer: str, quote: str) -> None:
    evidence = f"There is an audit committee. 董事会设审计委员会。{quote}"

    _, citations = cite(answer, passages(evidence), "How many are on the audit committee? 审计委员会有多少人？")

    assert [citation["quote"] for citation in citations] == [quote]


def test_a_number_tells_more_than_a_word_which_sentence_an_answer_has_it_from() -> None:
    asked, answer = "清算组在多少天内通知债权人？", "清算组在清算期间必须在十日内通知债权人 [1]。"
    others = "合并应当十日内公告。分立应当十日内公告。"

    _, citations = cite(answer, passages("清算组在清算期间行使职权。清算组应当在十日内通知债权人。", others), asked)

    assert citations[0]["quote"] == "清算组应当在十日内通知债权人。"


def test_a_marker_on_the_wrong_passage_is_put_right() -> None:
    text, citations = cite("The roof cost 18,460 pounds [1].", passages(MINUTES, ACCOUNTS), "What did the roof cost?")

    assert text == "The roof cost 18,460 pounds [1]."
    assert citations[0]["quote"] == "The roof cost 18,460 pounds."


def test_a_marker_counts_for_its_whole_sentence() -> None:
    _, citations = cite("The board's [1] roof cost 18,460 pounds. Income rose.", passages(MINUTES, ACCOUNTS))

    assert [citation["quote"] for citation in citations] == ["The roof cost 18,460 pounds."]


def test_a_marker_does_not_count_for_what_the_next_one_marks() -> None:
    text, citations = cite(
        "Ada Brook took the chair [1] as the roof cost 18,460 pounds [2].", passages(MINUTES, ACCOUNTS)
    )

    assert text == "Ada Brook took the chair [1] as the roof cost 18,460 pounds [2]."
    assert [citation["quote"] for citation in citations] == [
        "Ada Brook took the chair in 2019.",
        "The roof cost 18,460 pounds.",
    ]


def test_one_marker_may_name_several_passages() -> None:
    _, citations = cite("The chair was Ada Brook and the roof cost 18,460 [1, 2]", passages(MINUTES, ACCOUNTS))

    assert [citation["source"] for citation in citations] == ["0.txt", "1.txt"]


def test_a_sentence_is_cited_once_however_often_it_is_named() -> None:
    text, citations = cite("Ada Brook [1] took the chair in 2019 [1]", passages(MINUTES))

    assert text == "Ada Brook [1] took the chair in 2019 [1]"
    assert len(citations) == 1


def test_the_question_decides_where_the_answer_is_in_another_language() -> None:
    question = "谁在2019年担任主席？ Who took the chair in 2019?"

    _, citations = cite("艾达·布鲁克 [1]", passages(MINUTES), question)

    assert citations[0]["quote"] == "Ada Brook took the chair in 2019."


def test_an_unmarked_answer_is_cited_if_a_sentence_holds_it() -> None:
    text, citations = cite("It cost 18,460 pounds.", passages(MINUTES, ACCOUNTS))

    assert text == "It cost 18,460 pounds. [1]"
    assert citations[0]["quote"] == "The roof cost 18,460 pounds."


def test_each_sentence_of_an_unmarked_answer_is_cited_for_itself() -> None:
    text, citations = cite(
        "Ada Brook took the chair. She liked dancing. The roof cost 18,460 pounds.", passages(MINUTES, ACCOUNTS)
    )

    assert text == "Ada Brook took the chair. [1] She liked dancing. The roof cost 18,460 pounds. [2]"
    assert [citation["source"] for citation in citations] == ["0.txt", "1.txt"]


def test_a_figure_tells_where_an_unmarked_answer_has_it_from() -> None:
    evidence = passages("The roof cost 18,460 pounds and nobody complained.", "Income was 18,460 pounds.")

    _, citations = cite("About 18,460 sterling (21,000 euros) went there.", evidence, "What did the roof cost?")

    assert [citation["quote"] for citation in citations] == ["The roof cost 18,460 pounds and nobody complained."]


def test_a_figure_in_a_sentence_about_something_else_tells_nothing() -> None:
    _, citations = cite("Sterling 18,460 went there.", passages("Income was 18,460 pounds."), "What did the roof cost?")

    assert citations == []


def test_an_unmarked_answer_that_no_sentence_holds_has_no_citation() -> None:
    text, citations = cite("Napoleon Bonaparte, emperor of France.", passages(MINUTES, ACCOUNTS))

    assert text == "Napoleon Bonaparte, emperor of France."
    assert citations == []


def test_words_of_the_question_alone_do_not_support_an_unmarked_answer() -> None:
    _, citations = cite("Zoe took the chair in 2019", passages(MINUTES), "Who took the chair in 2019?")

    assert citations == []


def test_an_unmarked_number_is_cited_across_languages() -> None:
    _, citations = cite("18,460英镑", passages(MINUTES, ACCOUNTS), "屋顶花了多少钱？ How much did the roof cost?")

    assert [citation["quote"] for citation in citations] == ["The roof cost 18,460 pounds."]


def test_an_unmarked_answer_in_another_script_has_no_citation() -> None:
    _, citations = cite("艾达·布鲁克", passages(MINUTES), "谁是主席？ Who took the chair?")

    assert citations == []


def test_offsets_count_in_the_text_of_the_source() -> None:
    pages = [
        Document(MINUTES + "\n\n", metadata={"source": "a.pdf", "page": 1}),
        Document(ACCOUNTS, metadata={"source": "a.pdf", "page": 2}),
    ]

    _, [citation] = cite("The roof cost 18,460 pounds [2]", QwenTextSplitter().split_documents(pages))

    whole = "".join(page.page_content for page in pages)
    assert whole[citation["start"] : citation["end"]] == citation["quote"] == "The roof cost 18,460 pounds."
    assert citation["page"] == 2


@given(answer=st.text(alphabet="ab [1290]【】,，.桥年\n", max_size=60))
def test_every_citation_is_verbatim_whatever_the_model_writes(answer: str) -> None:
    texts = [MINUTES, ACCOUNTS, CHRONICLE]

    text, citations = cite(answer, passages(*texts))

    for citation in citations:
        source = texts[int(citation["source"][0])]
        assert source[citation["start"] : citation["end"]] == citation["quote"]
    assert all(f"[{number}]" in text for number in range(1, len(citations) + 1))


@pytest.mark.parametrize(
    "answer",
    [
        "NOT FOUND",
        "[1]",
        "not found.",
        '"NOT_FOUND"',
        "  ",
        "NOT FOUND: no passage says so",
        "The passages do not mention who lit the lamp. [1]",
        "The provided text doesn't say when. [2]",
        "No information about the lamp is given.",
        "The year is not stated in the passages.",
        "文中没有提到是谁点的灯。[1]",
        "这些段落并未说明年份。",
        "未提及。",
    ],
)
def test_the_model_may_decline_in_several_ways(answer: str) -> None:
    assert is_declined(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The satellite that broadcasts to Orsk was [1].",
        "The lamp was lit by the [2]",
        "卫星的位置在 [1]。",
        "写《雾港谣》的人是【1】",
    ],
)
def test_a_marker_in_the_place_of_the_answer_is_none(answer: str) -> None:
    assert is_declined(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Yes, it was [1].",
        "是 [1]",
        "Velmar is the town she was born in [1].",
        "The key was not found until 1912 [1]",
        "NOTHING",
        "没有找到钥匙 [1]",
        "The contract does not allow it [1]",
        "合同没有规定期限 [1]",
        "The documents were lost [1]",
    ],
)
def test_an_answer_is_not_taken_for_a_refusal(answer: str) -> None:
    assert not is_declined(answer)
