"""The BM25 retriever: scores equal to rank_bm25's, an index file that is whole or refused, LangChain's interface."""

from __future__ import annotations

import asyncio
import io
import json
import os
import string
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests
from rank_bm25 import BM25Okapi
from safetensors import numpy as safetensors

from langchain_qwen_longctx import retrievers
from langchain_qwen_longctx.analyzers import analyze
from langchain_qwen_longctx.bm25 import Postings, SparseBM25Okapi
from langchain_qwen_longctx.errors import IndexFileError, InputError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = [
    "The harbour was built in 1887 by the town council.",
    "港口由镇议会于1887年建造。",
    "Boats carry salt; the salt comes from the marsh.",
    "A lighthouse keeper lives on the island.",
    "The council meets on Mondays.",
]

CORPORA = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=8), min_size=1, max_size=10).filter(any)
QUERIES = st.lists(st.sampled_from("abcdefghxyz"), max_size=8)
# At k1 = 0 or b = 1 rank_bm25 itself divides zero by zero for a term that an empty chunk does not have.
PARAMETERS = st.fixed_dictionaries(
    {}, optional={"k1": st.floats(0.1, 3), "b": st.floats(0, 0.99), "epsilon": st.floats(0, 1)}
)
ANY_TEXT = st.text(st.characters())
METADATA = st.dictionaries(
    ANY_TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
        lambda values: st.lists(values, max_size=2) | st.dictionaries(ANY_TEXT, values, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)
WORDY_TEXTS = ANY_TEXT | st.lists(st.sampled_from(["harbour", "港口", "1887", "num_ctx"])).map(" ".join)
DOCUMENTS = st.lists(
    st.builds(Document, page_content=WORDY_TEXTS, metadata=METADATA, id=st.none() | ANY_TEXT), max_size=5
)


def sparse(corpus: list[list[str]], **parameters: float) -> SparseBM25Okapi:
    return SparseBM25Okapi(Postings.from_corpus(corpus), **parameters)


def contents(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


@pytest.fixture
def retriever() -> BilingualBM25Retriever:
    sources = [{"source": name} for name in ("a.txt", "b.txt", "a.txt", "c.txt", "c.txt")]
    return BilingualBM25Retriever.from_texts(TEXTS, metadatas=sources, ids=list("vwxyz"))


class TestScores:
    @given(CORPORA, QUERIES, PARAMETERS)
    def test_scores_equal_those_of_rank_bm25_to_the_last_bit(
        self, corpus: list[list[str]], query: list[str], parameters: dict[str, float]
    ) -> None:
        expected = BM25Okapi(corpus, **parameters).get_scores(query)
        assert sparse(corpus, **parameters).get_scores(query).tolist() == expected.tolist()

    def test_scores_of_a_large_corpus_equal_those_of_rank_bm25(self) -> None:
        random = np.random.default_rng(0)
        corpus = [[f"t{n}" for n in random.zipf(1.3, length) if n < 5000] for length in random.integers(0, 300, 200)]
        query = [f"t{n}" for n in random.zipf(1.3, 100)]
        assert sparse(corpus).get_scores(query).tolist() == BM25Okapi(corpus).get_scores(query).tolist()

    @given(CORPORA)
    def test_inverse_frequencies_equal_those_of_rank_bm25(self, corpus: list[list[str]]) -> None:
        expected = BM25Okapi(corpus)
        actual = sparse(corpus)
        assert (actual.idf, actual.average_idf) == (expected.idf, expected.average_idf)

    @given(CORPORA, QUERIES, st.data())
    def test_scores_of_chosen_chunks_equal_those_of_rank_bm25(
        self, corpus: list[list[str]], query: list[str], data: st.DataObject
    ) -> None:
        chosen = data.draw(st.lists(st.integers(0, len(corpus) - 1)))
        expected = BM25Okapi(corpus).get_batch_scores(query, chosen)
        assert sparse(corpus).get_batch_scores(query, chosen) == expected

    @given(CORPORA, QUERIES, st.integers(1, 5))
    def test_the_best_chunks_are_those_of_rank_bm25(self, corpus: list[list[str]], query: list[str], n: int) -> None:
        names = list(range(len(corpus)))
        assert sparse(corpus).get_top_n(query, names, n) == BM25Okapi(corpus).get_top_n(query, names, n)

    @given(CORPORA, QUERIES)
    def test_a_chunk_matches_if_it_has_a_term_of_the_query(self, corpus: list[list[str]], query: list[str]) -> None:
        expected = [not set(query).isdisjoint(chunk) for chunk in corpus]
        assert sparse(corpus).score_matches(query)[1].tolist() == expected

    def test_chunks_without_any_term_score_zero(self) -> None:
        assert sparse([[], []]).get_scores(["a"]).tolist() == [0, 0]


class TestMerging:
    @given(CORPORA, QUERIES, st.data())
    def test_parts_in_any_split_score_as_the_whole(
        self, corpus: list[list[str]], query: list[str], data: st.DataObject
    ) -> None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(corpus)), max_size=3)))
        borders = [0, *cuts, len(corpus)]
        parts = [corpus[start:end] for start, end in pairwise(borders)]
        merged = SparseBM25Okapi(Postings.merge([Postings.from_corpus(part) for part in parts]))
        assert merged.get_scores(query).tolist() == sparse(corpus).get_scores(query).tolist()

    @given(CORPORA, QUERIES, st.data())
    def test_some_chunks_in_any_order_score_as_if_indexed_alone(
        self, corpus: list[list[str]], query: list[str], data: st.DataObject
    ) -> None:
        numbers = data.draw(st.permutations(range(len(corpus))))[: data.draw(st.integers(1, len(corpus)))]
        cut = data.draw(st.integers(0, len(corpus)))
        parts = [Postings.from_corpus(corpus[:cut]), Postings.from_corpus(corpus[cut:])]
        taken, expected = Postings.merge(parts, numbers), [corpus[number] for number in numbers]
        assert taken.vocabulary.keys() == {term for chunk in expected for term in chunk}
        if any(expected):
            # The order of the vocabulary decides how the average idf is rounded.
            scores = BM25Okapi(expected).get_scores(query)
            assert SparseBM25Okapi(taken).get_scores(query) == pytest.approx(scores, rel=1e-12)

    def test_no_chunks_at_all_are_an_empty_index(self) -> None:
        taken = Postings.merge([Postings.from_corpus([["a"], ["b"]])], [])
        assert (taken.vocabulary, SparseBM25Okapi(taken).get_scores(["a"]).tolist()) == ({}, [])

    def test_no_parts_are_an_empty_index(self) -> None:
        assert SparseBM25Okapi(Postings.merge([])).get_scores(["a"]).tolist() == []

    def test_retrievers_are_joined_in_order(self, retriever: BilingualBM25Retriever) -> None:
        parts = [BilingualBM25Retriever.from_documents(docs) for docs in (retriever.docs[:2], retriever.docs[2:])]
        merged = BilingualBM25Retriever.merge(parts, k=2)
        assert merged.invoke("council 1887") == retriever.invoke("council 1887", k=2)

    def test_some_documents_of_retrievers_are_taken_in_the_order_wanted(
        self, retriever: BilingualBM25Retriever
    ) -> None:
        parts = [BilingualBM25Retriever.from_documents(docs) for docs in (retriever.docs[:2], retriever.docs[2:])]
        taken = BilingualBM25Retriever.merge(parts, numbers=[4, 0, 2])
        expected = BilingualBM25Retriever.from_documents([retriever.docs[number] for number in (4, 0, 2)])
        assert taken.docs == expected.docs
        assert taken.invoke("council salt 1887") == expected.invoke("council salt 1887")

    def test_the_joined_retriever_keeps_the_analyzer_of_its_parts(self) -> None:
        parts = [BilingualBM25Retriever.from_texts([text], preprocess_func=str.split) for text in ("The end", "end.")]
        assert contents(BilingualBM25Retriever.merge(parts).invoke("The")) == ["The end"]


class TestRetrieval:
    def test_results_come_best_first_with_score_and_rank(self, retriever: BilingualBM25Retriever) -> None:
        results = retriever.invoke("salt from the marsh council")
        scores = retriever.vectorizer.get_scores(analyze("salt from the marsh council"))
        assert contents(results) == [TEXTS[2], TEXTS[4], TEXTS[0]]
        assert [result.metadata["rank"] for result in results] == [0, 1, 2]
        assert [result.metadata["score"] for result in results] == sorted(scores[scores > 0], reverse=True)

    def test_chinese_and_english_meet_on_names_and_numbers(self, retriever: BilingualBM25Retriever) -> None:
        assert set(contents(retriever.invoke("1887年 harbour"))) == {TEXTS[0], TEXTS[1]}

    def test_documents_that_share_no_term_do_not_come_back(self, retriever: BilingualBM25Retriever) -> None:
        assert retriever.invoke("volcano") == retriever.invoke("the") == retriever.invoke("") == []

    def test_equal_scores_keep_the_order_of_the_documents(self) -> None:
        texts = ["a boat", "a ship", "a boat", "one more boat", "a boat"]
        results = BilingualBM25Retriever.from_texts(texts, ids=list("vwxyz"), k=5).invoke("boat")
        assert [result.id for result in results if result.page_content == "a boat"] == ["v", "x", "z"]

    def test_a_repeated_term_counts_twice(self, retriever: BilingualBM25Retriever) -> None:
        ((_, once),) = retriever.rank(["marsh"])
        ((_, twice),) = retriever.rank(["marsh", "marsh"])
        assert twice == 2 * once

    def test_four_documents_come_back_by_default(self) -> None:
        assert len(BilingualBM25Retriever.from_texts(["boat"] * 9).invoke("boat")) == 4

    def test_k_of_a_call_comes_before_that_of_the_retriever(self) -> None:
        retriever = BilingualBM25Retriever.from_texts(["boat"] * 9, k=2)
        assert (len(retriever.invoke("boat")), len(retriever.invoke("boat", k=7))) == (2, 7)

    def test_a_ranking_without_k_has_every_match(self) -> None:
        assert len(BilingualBM25Retriever.from_texts(["boat"] * 9).rank(["boat"])) == 9

    @pytest.mark.parametrize("k", [0, -1])
    def test_less_than_one_document_is_an_input_error(self, retriever: BilingualBM25Retriever, k: int) -> None:
        with pytest.raises(InputError, match=f"k is {k}; it must be at least 1"):
            retriever.invoke("council", k=k)

    @pytest.mark.parametrize(
        ("sources", "expected"),
        [(["a.txt"], [0]), ({"a.txt", "c.txt"}, [0, 4]), ("c.txt", [4]), (["missing"], []), ([], [])],
    )
    def test_sources_limit_where_to_search(
        self, retriever: BilingualBM25Retriever, sources: list[str], expected: list[int]
    ) -> None:
        results = retriever.invoke("council", sources=sources)
        assert sorted(contents(results)) == sorted(TEXTS[i] for i in expected)

    def test_scores_do_not_depend_on_the_sources_searched(self, retriever: BilingualBM25Retriever) -> None:
        everywhere = {result.id: result.metadata["score"] for result in retriever.invoke("council")}
        (result,) = retriever.invoke("council", sources=["c.txt"])
        assert result.metadata["score"] == everywhere[result.id]

    def test_the_only_document_matches_although_its_score_is_negative(self) -> None:
        (result,) = BilingualBM25Retriever.from_texts(["A lighthouse."]).invoke("lighthouse")
        assert result.metadata["score"] < 0

    @pytest.mark.parametrize("texts", [[], [""], ["...", "\n"]])
    def test_documents_without_terms_match_nothing(self, texts: list[str]) -> None:
        assert BilingualBM25Retriever.from_texts(texts).invoke("anything") == []

    def test_ids_and_metadata_come_back(self, retriever: BilingualBM25Retriever) -> None:
        (result,) = retriever.invoke("lighthouse")
        assert (result.id, result.metadata["source"]) == ("y", "c.txt")

    def test_as_many_ids_and_metadata_as_texts_are_needed(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            BilingualBM25Retriever.from_texts(TEXTS, metadatas=[{}])
        with pytest.raises(ValueError, match="shorter"):
            BilingualBM25Retriever.from_texts(TEXTS, ids=["one"])

    def test_the_documents_given_are_not_changed(self) -> None:
        documents = [Document(page_content=text, metadata={"source": "港口.txt"}) for text in TEXTS]
        copies = [document.model_copy(deep=True) for document in documents]
        (result,) = BilingualBM25Retriever.from_documents(documents).invoke("lighthouse")
        result.metadata["source"] = "changed"
        assert documents == copies

    def test_parameters_reach_the_formula(self) -> None:
        retriever = BilingualBM25Retriever.from_texts(TEXTS, bm25_params={"k1": 0.9, "b": 0.4, "epsilon": 0.1})
        expected = BM25Okapi([analyze(text) for text in TEXTS], k1=0.9, b=0.4, epsilon=0.1).get_scores(["council"])
        assert retriever.vectorizer.get_scores(["council"]).tolist() == expected.tolist()

    def test_asynchronous_calls_take_the_same_arguments(self, retriever: BilingualBM25Retriever) -> None:
        expected = retriever.invoke("council", k=1, sources=["a.txt"])
        assert asyncio.run(retriever.ainvoke("council", k=1, sources=["a.txt"])) == expected


class TestIndexFile:
    @pytest.fixture
    def path(self, retriever: BilingualBM25Retriever, tmp_path: Path) -> Path:
        retriever.save(tmp_path / "index.bm25")
        return tmp_path / "index.bm25"

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(documents=DOCUMENTS, parameters=PARAMETERS)
    def test_what_is_saved_is_what_is_loaded(
        self, documents: list[Document], parameters: dict[str, float], tmp_path: Path
    ) -> None:
        saved = BilingualBM25Retriever.from_documents(documents, bm25_params=parameters)
        saved.save(tmp_path / "index.bm25")
        loaded = BilingualBM25Retriever.load(tmp_path / "index.bm25")
        assert loaded.docs == documents
        for terms in (["harbour", "港口"], *(analyze(document.page_content) for document in documents)):
            assert loaded.rank(terms) == saved.rank(terms)

    def test_two_lone_surrogates_stay_two_characters(self, tmp_path: Path) -> None:
        BilingualBM25Retriever.from_texts(["\ud83d\ude00 name"]).save(tmp_path / "index.bm25")
        assert BilingualBM25Retriever.load(tmp_path / "index.bm25").docs[0].page_content == "\ud83d\ude00 name"

    def test_what_the_index_is_about_is_kept_with_it(self, tmp_path: Path) -> None:
        about = {"made": "2024", "of": ["港口.txt", "\udcff"]}
        BilingualBM25Retriever.from_texts(TEXTS, about=about).save(tmp_path / "index.bm25")
        assert BilingualBM25Retriever.load(tmp_path / "index.bm25").about == about

    def test_an_index_may_say_nothing_of_what_it_is_about(self, path: Path) -> None:
        assert BilingualBM25Retriever.load(path).about is None

    def test_fields_can_be_given_while_loading(self, path: Path) -> None:
        assert len(BilingualBM25Retriever.load(path, k=1).invoke("council")) == 1

    def test_missing_folders_are_made(self, retriever: BilingualBM25Retriever, tmp_path: Path) -> None:
        path = tmp_path / "索引" / "new" / "index.bm25"
        retriever.save(str(path))
        assert BilingualBM25Retriever.load(str(path)).docs == retriever.docs

    def test_the_file_is_plain_arrays_and_json(self, path: Path) -> None:
        tensors = safetensors.load(path.read_bytes())
        assert {name: str(tensor.dtype) for name, tensor in tensors.items()} == {
            "documents": "uint8",
            "vocabulary": "uint8",
            "offsets": "int64",
            "chunks": "int32",
            "frequencies": "int32",
            "lengths": "int64",
        }
        assert [text for text, _, _ in json.loads(tensors["documents"].tobytes())] == TEXTS

    def test_an_analyzer_of_ones_own_cannot_be_saved(self, tmp_path: Path) -> None:
        retriever = BilingualBM25Retriever.from_texts(TEXTS, preprocess_func=str.split)
        with pytest.raises(InputError, match="preprocess_func"):
            retriever.save(tmp_path / "index.bm25")

    def test_metadata_beyond_json_cannot_be_saved(self, tmp_path: Path) -> None:
        retriever = BilingualBM25Retriever.from_texts(["text"], metadatas=[{"path": tmp_path}])
        with pytest.raises(InputError, match="metadata cannot be saved"):
            retriever.save(tmp_path / "index.bm25")
        assert list(tmp_path.iterdir()) == []

    def test_a_failed_save_leaves_the_old_file_and_no_other(
        self, retriever: BilingualBM25Retriever, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = path.read_bytes()

        def fail(_: int) -> None:
            message = "No space left on device"
            raise OSError(message)

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            BilingualBM25Retriever.from_texts(["other"]).save(path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]
        assert BilingualBM25Retriever.load(path).docs == retriever.docs

    def test_a_file_that_cannot_be_written_to_the_end_is_no_file(
        self, retriever: BilingualBM25Retriever, tmp_path: Path
    ) -> None:
        resource = pytest.importorskip("resource")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            with pytest.raises(OSError, match=r"index\.bm25"):
                retriever.save(tmp_path / "index.bm25")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("tenths", range(10))
    def test_a_truncated_file_is_refused(self, path: Path, tenths: int) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * tenths // 10])
        assert_refused(path)

    def test_a_file_with_something_after_its_end_is_refused(self, path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"\0")
        assert_refused(path)

    def test_a_flipped_bit_anywhere_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "small.bm25"
        BilingualBM25Retriever.from_texts(["salt"]).save(path)
        data = path.read_bytes()
        for position in range(len(data)):
            flipped = bytearray(data)
            flipped[position] ^= 1 << position % 8
            path.write_bytes(flipped)
            assert_refused(path)

    @pytest.mark.parametrize("name", ["png", "text", "npz", "safetensors", "model"])
    def test_a_foreign_file_is_refused(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / f"foreign.{name}"
        path.write_bytes(FOREIGN[name]())
        assert_refused(path)

    def test_a_missing_file_or_a_folder_is_refused(self, tmp_path: Path) -> None:
        assert_refused(tmp_path)
        assert_refused(tmp_path / "missing.bm25")

    @pytest.mark.parametrize("constant", ["FORMAT", "FORMAT_VERSION", "ANALYZER_VERSION"])
    def test_an_index_of_another_version_is_refused(
        self, path: Path, constant: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrievers, constant, "another")
        assert_refused(path)

    def test_a_refusal_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(IndexFileError, match="delete it and build the index again"):
            BilingualBM25Retriever.load(tmp_path / "missing.bm25")


def assert_refused(path: Path) -> None:
    with pytest.raises(IndexFileError) as caught:
        BilingualBM25Retriever.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, chunks=np.arange(3))
    return buffer.getvalue()


def bfloat16_model() -> bytes:
    header = b'{"weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    return len(header).to_bytes(8, "little") + header + bytes(4)


FOREIGN: dict[str, Callable[[], bytes]] = {
    "png": lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64),
    "text": lambda: string.printable.encode() * 5,
    "npz": npz,
    "safetensors": lambda: safetensors.save({"chunks": np.arange(3)}, {"format": "pt"}),
    "model": bfloat16_model,
}


@pytest.mark.anyio
class TestStandards(RetrieversIntegrationTests):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @property
    def retriever_constructor(self) -> type[BilingualBM25Retriever]:
        return BilingualBM25Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        retriever = BilingualBM25Retriever.from_texts(TEXTS)
        return {"vectorizer": retriever.vectorizer, "docs": retriever.docs}

    @property
    def retriever_query_example(self) -> str:
        return "council of the harbour, 港口, salt"
