"""BM25 in Python, ours and others', each loaded only where it is measured."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.documents import Document

# ruff: noqa: PLC0415 - what is compared is large, and the names are needed for `--help`

BEST: Final = 10
"""So many chunks a search returns."""

Analyzer: TypeAlias = "Callable[[str], list[str]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How to index chunks and to search them for terms.

    Attributes:
        package: What has to be installed for it, as pip and Python call it.
        terms: Whose terms it is given.
        analyzer: Returns what cuts a text into them, its dictionaries loaded.
        build: From chunks and that to an index.
        search: Returns the best chunks of an index for terms, in whatever form they come.
    """

    package: str
    terms: str
    analyzer: Callable[[], Analyzer]
    build: Callable[[Sequence[Document], Analyzer], Any]
    search: Callable[[Any, Sequence[str]], object]

    @property
    def is_installed(self) -> bool:
        """Whether it can be measured here."""
        return find_spec(self.package) is not None


def own_analyzer() -> Analyzer:
    """Return the analyzer of this package."""
    from langchain_qwen_longctx.analyzers import analyze

    return analyze


def jieba_analyzer() -> Analyzer:
    """Return what is mostly given to LangChain's retriever for Chinese."""
    jieba = quietly("jieba")
    jieba.setLogLevel("ERROR")
    jieba.initialize()
    cut: Analyzer = jieba.lcut
    return cut


def quietly(module: str) -> Any:  # noqa: ANN401 - modules have no types of their own
    """Import a module that warns of something while that is done: of its patterns, or of its end of maintenance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(module)


def terms_of(chunks: Sequence[Document], analyzer: Analyzer) -> list[list[str]]:
    """Return the terms of each chunk."""
    return [analyzer(chunk.page_content) for chunk in chunks]


def build_own(chunks: Sequence[Document], analyzer: Analyzer) -> Any:  # noqa: ANN401 - every engine has its own
    """Return the retriever of this package."""
    from langchain_qwen_longctx.retrievers import BilingualBM25Retriever

    return BilingualBM25Retriever.from_documents(chunks, preprocess_func=analyzer)


def build_community(chunks: Sequence[Document], analyzer: Analyzer) -> Any:  # noqa: ANN401
    """Return the retriever of langchain-community."""
    retriever = quietly("langchain_community.retrievers.bm25").BM25Retriever
    return retriever.from_documents(chunks, preprocess_func=analyzer)


def build_rank_bm25(chunks: Sequence[Document], analyzer: Analyzer) -> Any:  # noqa: ANN401
    """Return the index of rank_bm25."""
    from rank_bm25 import BM25Okapi

    return BM25Okapi(terms_of(chunks, analyzer))


def build_bm25s(chunks: Sequence[Document], analyzer: Analyzer) -> Any:  # noqa: ANN401
    """Return the index of bm25s."""
    index = import_module("bm25s").BM25()
    index.index(terms_of(chunks, analyzer), show_progress=False)
    return index


def search_bm25s(index: Any, terms: Sequence[str]) -> object:  # noqa: ANN401
    """Search an index of bm25s, which does not take more than it has."""
    return index.retrieve([list(terms)], k=min(BEST, index.scores["num_docs"]), show_progress=False)


def build_tantivy(chunks: Sequence[Document], analyzer: Analyzer) -> Any:  # noqa: ANN401
    """Return an index of tantivy's in memory, in a field whose terms are divided by blanks, with its schema."""
    tantivy = import_module("tantivy")
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("terms", stored=False, tokenizer_name="whitespace")
    schema = builder.build()
    index = tantivy.Index(schema)
    writer = index.writer()
    for chunk in chunks:
        writer.add_document(tantivy.Document(terms=" ".join(analyzer(chunk.page_content))))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return schema, index.searcher()


def search_tantivy(index: Any, terms: Sequence[str]) -> object:  # noqa: ANN401
    """Search an index of tantivy's for any of the terms."""
    tantivy = import_module("tantivy")
    schema, searcher = index
    wanted = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "terms", term)) for term in terms]
    return searcher.search(tantivy.Query.boolean_query(wanted), BEST)


OWN: Final = "qwen-longctx"

ENGINES: Final = {
    OWN: Engine(
        package="langchain_qwen_longctx",
        terms="its own",
        analyzer=own_analyzer,
        build=build_own,
        search=lambda index, terms: index.rank(terms, k=BEST),
    ),
    "langchain-community": Engine(
        package="jieba",
        terms="jieba's",
        analyzer=jieba_analyzer,
        build=build_community,
        search=lambda index, terms: index.vectorizer.get_top_n(terms, index.docs, n=BEST),
    ),
    "rank-bm25": Engine(
        package="rank_bm25",
        terms="the same",
        analyzer=own_analyzer,
        build=build_rank_bm25,
        search=lambda index, terms: index.get_top_n(terms, range(index.corpus_size), n=BEST),
    ),
    "bm25s": Engine(
        package="bm25s", terms="the same", analyzer=own_analyzer, build=build_bm25s, search=search_bm25s
    ),
    "tantivy": Engine(
        package="tantivy", terms="the same", analyzer=own_analyzer, build=build_tantivy, search=search_tantivy
    ),
}  # fmt: skip

RIVALS: Final = tuple(name for name in ENGINES if name != OWN)
