"""The package from outside: what it offers, and which module may know which."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import langchain_qwen_longctx as package

ROOT = Path(package.__file__).parent
MAX_LINES = 430

# From the bottom up: a module imports from its own layer and from those before it.
LAYERS = (
    {"clock", "errors", "config"},
    {"tokens", "schemas", "prompts", "events", "languages", "text_blocks", "sentences", "text_encodings", "sections"}
    | {"table_formats", "transport", "persistence", "postgres", "private_files", "neutralizing"}
    | {"sqlite_files", "threads", "numerals"},
    {
        "archives",
        "reading_apart",
        "pdf_pages",
        "office_formats",
        "html_pages",
        "epub_books",
        "document_loaders",
        "text_splitters",
        "analyzers",
        "bm25",
        "retrievers",
        "milvus",
        "model_files",
        "llama_cpp",
    }
    | {
        "chat_models",
        "milvus",
        "citations",
        "indexing",
        "folder_scan",
        "note_properties",
        "note_reading",
        "note_store",
        "note_search",
        "notes",
        "passages",
        "page_gaps",
        "prompt_injection",
        "recent_texts",
        "answerability",
        "bridges",
        "bilingual_dictionary",
        "transliteration",
        "aggregation",
        "scoring",
        "cases",
        "haystacks",
        "riddles",
    },
    {"graphs"},
    {
        "arms",
        "evaluation",
        "summary",
        "figures",
        "generators",
        "cli_eval",
        "timed_cache",
        "doctor",
        "self_test",
        "sample_texts",
        "kept_files",
        "cli_doctor",
        "cli_purge",
        "console",
        "progress",
        "chat",
        "cli",
        "server",
        "ui",
        "__main__",
    }
    | {"cli_options", "cli_parts", "cli_notes", "cli_mcp", "langgraph_server", "mcp_server"}
    | {"cli_serve", "listening", "document_collections", "fair_sharing", "gate", "metrics", "openai_api", "streaming"}
    | {"connections", "langserve_routes", "problems", "questions", "uploads"}
    | {"benchmark_report", "benchmark_texts", "benchmarking", "bm25_engines", "cli_bench"}
    | {"ray_tasks"},
)


def modules() -> dict[str, Path]:
    """Return every module's dotted name below the package; the package's own is empty."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
        for path in sorted(ROOT.rglob("*.py"))
    }


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a module imports, those for type checking included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
            found |= {base, *names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    known = modules().keys() - {""}
    return {name for full in found if (name := full.removeprefix(f"{package.__name__}.")) != full and name in known}


def layer(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module.partition(".")[0] in names)


INNER = [name for name in modules() if name]


def test_all_is_sorted_and_complete() -> None:
    assert package.__all__ == sorted(package._MODULES)


@pytest.mark.parametrize("name", package.__all__)
def test_a_public_name_can_be_imported_and_comes_from_where_the_table_says(name: str) -> None:
    module = importlib.import_module(f"{package.__name__}.{package._MODULES[name]}")

    assert getattr(package, name) is getattr(module, name)


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse(Path(package.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert imported == set(package.__all__)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = package.no_such_name


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert package.__version__ == importlib.metadata.version("langchain-qwen-longctx")


def test_every_module_has_a_layer() -> None:
    placed = set().union(*LAYERS)

    assert [name for name in INNER if name.partition(".")[0] not in placed] == []


@pytest.mark.parametrize("module", INNER)
def test_a_module_imports_nothing_from_a_layer_above(module: str) -> None:
    above = {name for name in imports(modules()[module]) if layer(name) > layer(module)}

    assert above == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imports(path) for name, path in modules().items() if name}

    order = list(TopologicalSorter(graph).static_order())

    assert set(order) >= set(INNER)


def test_no_module_is_named_utils() -> None:
    assert [name for name in INNER if "util" in name or "helper" in name] == []


def test_no_module_is_too_long_to_be_read_at_a_sitting() -> None:
    lines = {name: path.read_text("utf-8").count("\n") for name, path in modules().items()}

    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}
