"""What the terms of a text are: examples of each kind, and properties that hold for any text."""

from __future__ import annotations

import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_qwen_longctx.analyzers import STOP_WORDS, _jieba, analyze, normalize

with warnings.catch_warnings():
    # jieba has unescaped backslashes in its patterns and, where setuptools has it, still imports pkg_resources.
    warnings.filterwarnings("ignore", message=r".*invalid escape sequence")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import jieba

ANY_TEXT = st.text(st.characters())
WORDS = st.sampled_from(["num_ctx", "1,234", "2019-03-01", "v2.5", "a@b.com", "John's", "U.S.", "__", "the", "不"])
PIECES = st.sampled_from(
    ["中华", "臺灣", "カナ", "한국", "e\u0301", "\ud800", "\0", "\u200d", " ", "'", "’", ".", "-", "，"]
)
TEXTS = ANY_TEXT | st.lists(WORDS | PIECES | st.characters(), max_size=30).map("".join)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_any_text_has_terms_without_spaces_and_stop_words(text: str) -> None:
    terms = analyze(text)
    assert not any(term == "" or any(map(str.isspace, term)) for term in terms)
    assert STOP_WORDS.isdisjoint(terms)


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x7F)))
def test_every_term_of_ascii_text_has_a_letter_or_a_digit(text: str) -> None:
    assert all(any(map(str.isalnum, term)) for term in analyze(text))


@settings(deadline=None)
@given(TEXTS)
def test_the_same_text_always_has_the_same_terms(text: str) -> None:
    assert analyze(text) == analyze(text)


@pytest.mark.parametrize("text", ["", " \n\t\u3000", "...!?，。！？《》", "____ __ _", "—–-'’\"", "👍🏽🇨🇳", "+=/@#"])
def test_a_text_without_a_word_or_number_has_no_terms(text: str) -> None:
    assert analyze(text) == []


def test_repeated_terms_are_kept_in_order() -> None:
    assert analyze("Ship, port; ship") == ["ship", "port", "ship"]


class TestNormalForm:
    @pytest.mark.parametrize(
        ("variant", "plain"),
        [
            ("ＡＢＣ１２３", "abc123"),
            ("ﬁnance", "finance"),
            ("cafe\u0301", "café"),
            ("Ⅷ", "viii"),
            ("ｶﾅ", "カナ"),
            ("STRASSE", "straße"),
            ("GitHub", "github"),
        ],
    )
    def test_width_ligatures_accents_and_case_do_not_matter(self, variant: str, plain: str) -> None:
        assert analyze(variant) == analyze(plain) != []

    def test_a_lone_surrogate_is_a_replacement_character(self) -> None:
        assert normalize("a\ud800b") == "a\ufffdb"

    def test_text_after_a_null_character_is_not_lost(self) -> None:
        assert analyze("中文\0words") == ["中文", "word"]


class TestEnglish:
    @pytest.mark.parametrize(
        "words", ["connect connected connecting connections", "company companies", "chair chaired"]
    )
    def test_the_forms_of_a_word_meet(self, words: str) -> None:
        assert len(set(analyze(words))) == 1

    def test_function_words_are_left_out(self) -> None:
        assert analyze("What is the name of the ship that they were on?") == ["name", "ship"]

    @pytest.mark.parametrize(
        "negation", ["not", "no", "never", "without", "cannot", "don't", "won't", "neither", "nor"]
    )
    def test_negations_are_kept(self, negation: str) -> None:
        assert negation in analyze(f"They {negation} be liable")

    @pytest.mark.parametrize("apostrophe", ["'", "’", "＇"])
    def test_a_possessive_meets_its_word(self, apostrophe: str) -> None:
        assert analyze(f"the company{apostrophe}s books") == analyze("company book")

    def test_a_possessive_of_a_compound_meets_it(self) -> None:
        assert analyze("O'Brien's GPT-4's") == analyze("O'Brien GPT-4")

    def test_an_apostrophe_within_a_name_stays(self) -> None:
        assert analyze("O'Brien") == ["o'brien", "brien"]

    def test_an_abbreviation_with_dots_is_one_term(self) -> None:
        assert analyze("the U.S. and the U.K.") == ["u.s", "u.k"]


class TestNumbers:
    @pytest.mark.parametrize("number", ["1,234,567", "1234567", "１，２３４，５６７"])
    def test_separators_of_thousands_do_not_matter(self, number: str) -> None:
        assert analyze(number) == ["1234567"]

    def test_decimals_stay_whole(self) -> None:
        assert analyze("3.14, 1,234.56 and 20%.") == ["3.14", "1234.56", "20"]

    def test_a_version_or_an_address_stays_whole(self) -> None:
        assert analyze("1.2.3 192.168.0.1") == ["1.2.3", "192.168.0.1"]

    @pytest.mark.parametrize(
        ("text", "parts"),
        [("2019-03-01", ["2019", "03", "01"]), ("2019/3/1", ["2019", "3", "1"]), ("12:30", ["12", "30"])],
    )
    def test_dates_and_times_are_terms_whole_and_in_parts(self, text: str, parts: list[str]) -> None:
        assert analyze(text) == [text, *parts]

    def test_a_span_of_years_is_found_by_either(self) -> None:
        assert analyze("2019–2021") == ["2019", "2021"]

    def test_a_number_within_chinese_is_a_term_of_its_own(self) -> None:
        assert "2012" in analyze("成立于2012年的公司")

    def test_a_number_with_its_unit_meets_both(self) -> None:
        assert analyze("5.2kg") == ["5.2kg", "5.2", "kg"]

    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("1,2,3a", ["1", "1", "2", "2", "3a", "3"]),
            ("1:2.3a-4", ["1", "1", "2.3a-4", "2.3", "4"]),
            ("1,2a.3,4", ["1", "1", "2a.3", "2", "3", "4"]),
        ],
    )
    def test_numbers_that_a_word_follows_are_words(self, text: str, terms: list[str]) -> None:
        assert analyze(text) == terms


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("num_ctx", ["num_ctx", "num", "ctx"]),
            ("GPT-4", ["gpt-4", "gpt", "4"]),
            ("v2.5", ["v2.5", "2.5"]),
            ("a@b.com", ["a@b.com", "com"]),
            ("__init__", ["__init__", "init"]),
            ("H2O", ["h2o", "2"]),
        ],
    )
    def test_an_identifier_is_a_term_whole_and_in_parts(self, text: str, terms: list[str]) -> None:
        assert analyze(text) == terms

    def test_an_identifier_within_chinese_is_found(self) -> None:
        assert "num_ctx" in analyze("把num_ctx设为8192")


class TestChinese:
    def test_a_long_word_is_found_by_the_words_inside_it(self) -> None:
        assert analyze("中华人民共和国") == ["中华", "华人", "人民", "共和", "共和国", "中华人民共和国"]

    def test_function_words_are_left_out(self) -> None:
        assert analyze("公司的董事是谁？") == ["公司", "董事"]

    @pytest.mark.parametrize("negation", ["不", "没", "没有", "无", "非", "未", "無"])
    def test_negations_are_kept(self, negation: str) -> None:
        assert analyze(negation) == analyze(normalize(negation)) != []

    @pytest.mark.parametrize(
        ("traditional", "simplified"),
        [
            ("第五交響曲創作於哪個世紀？", "第五交响曲创作于哪个世纪？"),
            ("臺灣的首都是臺北，這個國家的經濟發展很好。", "台湾的首都是台北，这个国家的经济发展很好。"),
            ("公司應當自收到通知書之日起三十日內通知債權人。", "公司应当自收到通知书之日起三十日内通知债权人。"),
            ("她在圖書館裡讀了關於電腦和網路的書。", "她在图书馆里读了关于电脑和网路的书。"),
            ("頭髮與發展、皇后與以後", "头发与发展、皇后与以后"),
        ],
    )
    def test_traditional_and_simplified_meet(self, traditional: str, simplified: str) -> None:
        assert analyze(traditional) == analyze(simplified)

    def test_words_in_both_scripts_of_a_sentence_are_found(self) -> None:
        assert analyze("用Python处理Excel表格") == ["用", "python", "处理", "excel", "表格"]


class TestUnspacedScripts:
    @pytest.mark.parametrize(
        ("text", "terms"),
        [
            ("カレー", ["カレ", "レー"]),
            ("한국어 처리", ["한국", "국어", "처리"]),
            ("ソ", ["ソ"]),
            ("東京タワー", ["东京", "タワ", "ワー"]),
        ],
    )
    def test_kana_and_hangul_are_cut_into_overlapping_pairs(self, text: str, terms: list[str]) -> None:
        assert analyze(text) == terms


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> jieba.Tokenizer:
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(tmp_path_factory.mktemp("jieba"))
    jieba.setLogLevel("ERROR")
    tokenizer.initialize()
    return tokenizer


class TestDictionary:
    def test_every_word_of_jieba_is_known(self, reference: jieba.Tokenizer) -> None:
        words = [word for word, frequency in reference.FREQ.items() if frequency]
        assert [word for word in words[::50] if not _jieba().has_word(word)] == []

    def test_long_words_are_cut_as_jieba_cuts_them(self, reference: jieba.Tokenizer) -> None:
        words = [word for word, frequency in reference.FREQ.items() if frequency and len(word) > 2]
        assert [w for w in words[::100] if _jieba().cut_for_search(w) != list(reference.cut_for_search(w))] == []

    def test_running_text_is_cut_as_jieba_cuts_it(self, reference: jieba.Tokenizer) -> None:
        text = "公司应当自收到通知书之日起三十日内通知债权人，并于六十日内在报纸上公告。他来到了网易杭研大厦。"
        assert _jieba().cut_for_search(text) == list(reference.cut_for_search(text))


@pytest.mark.parametrize(
    "unit", ["a", "1", "中", "カ", "_", "1,", "a.", "a'", "1,234", "aB3/+x_"], ids=lambda unit: f"of-{unit}"
)
def test_a_megabyte_of_junk_takes_linear_time(unit: str) -> None:
    junk = unit * (1_000_000 // len(unit.encode()))
    start = time.perf_counter()
    analyze(junk)
    assert time.perf_counter() - start < 10


def test_numbers_that_end_in_a_word_take_linear_time() -> None:
    start = time.process_time()
    analyze("1," * 100_000 + "1a")
    assert time.process_time() - start < 10
