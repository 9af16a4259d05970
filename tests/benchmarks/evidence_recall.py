"""How often the gold chunk is among the evidence of level 1, against BM25 on the question alone.

    python tests/benchmarks/evidence_recall.py CASES.jsonl --model ollama:qwen2.5-coder:1.5b --lengths 128k 1m

Runs the graph's own nodes up to the packed evidence, with the real model for the search plan and the translations. The
model's replies are kept in `--cache`, an SQLite file, so an interrupted run goes on where it was. Prints a Markdown
table; a case counts as found if a packed passage overlaps the answer's place in the gold paragraph.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.globals import set_llm_cache

from langchain_qwen_longctx import LongContextConfig, create_chat_model
from langchain_qwen_longctx.graphs.analysis import analyze, route_translation, translate
from langchain_qwen_longctx.graphs.ranking import retrieve
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.graphs.retrieval import select
from langchain_qwen_longctx.indexing import open_index
from langchain_qwen_longctx.passages import to_document

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.cache import SQLiteCache

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from langchain_qwen_longctx.graphs.state import Plan, QAResources, QAState

Case = dict[str, Any]
Job = tuple[str, tuple[str, ...]]
"""A question, and the languages of the documents it is put to."""
TOPS = (1, 3, 5, 10)


def main() -> None:
    """Run the cases and print the table."""
    arguments = parse_arguments()
    set_llm_cache(SQLiteCache(str(arguments.cache)))
    model = create_chat_model(arguments.model)
    cases = read_cases(arguments)
    outcomes: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    config = LongContextConfig(
        evidence_tokens=arguments.evidence_tokens, min_relative_score=arguments.min_relative_score
    )
    opened: dict[str, QAResources] = {}
    for name in {case["document"] for case in cases}:
        retriever, _ = open_index([arguments.cases.parent / name], cache_dir=None)
        opened[name] = gather_resources(model, None, retriever, config)
    jobs = {(case["question"], tuple(opened[case["document"]].languages)): case["document"] for case in cases}
    plans = make_plans({job: opened[document] for job, document in jobs.items()}, arguments.concurrency)
    for case in cases:
        resources = opened[case["document"]]
        plan = plans[case["question"], tuple(resources.languages)]
        outcomes[case["set"], case["kind"], case["length"]].append(run(case, plan, resources))
    print_table(outcomes)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--lengths", nargs="+", default=["128k"])
    parser.add_argument("--kinds", nargs="+", default=["single", "needle", "crosslingual"])
    parser.add_argument("--limit", type=int, help="cases of each set, kind and length")
    parser.add_argument("--concurrency", type=int, default=2, help="what the server answers side by side")
    parser.add_argument("--evidence-tokens", type=int, default=LongContextConfig().evidence_tokens)
    parser.add_argument("--min-relative-score", type=float, default=LongContextConfig().min_relative_score)
    parser.add_argument("--cache", type=Path, default=Path("evidence_recall.sqlite"))
    return parser.parse_args()


def read_cases(arguments: argparse.Namespace) -> list[Case]:
    taken: dict[tuple[str, str, str], int] = defaultdict(int)
    cases = []
    for line in arguments.cases.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        group = case["set"], case["kind"], case["length"]
        if case["length"] in arguments.lengths and case["kind"] in arguments.kinds:
            taken[group] += 1
            if arguments.limit is None or taken[group] <= arguments.limit:
                cases.append(case)
    return cases


def make_plans(jobs: dict[Job, QAResources], concurrency: int) -> dict[Job, Plan]:
    """Plan every question once for each set of languages; documents of several lengths share them."""
    plans = {}
    with ThreadPoolExecutor(concurrency) as pool:
        futures = {pool.submit(make_plan, job[0], resources): job for job, resources in jobs.items()}
        for done, future in enumerate(as_completed(futures), 1):
            plans[futures[future]] = future.result()
            print(f"\r{done}/{len(jobs)} questions", end="", file=sys.stderr, flush=True)  # noqa: T201
    return plans


def make_plan(question: str, resources: QAResources) -> Plan:
    state: QAState = {"question": question}
    state |= analyze(resources, state)
    if route_translation(resources, state) == "translate":
        state |= translate(resources, state)
    return state["plan"]


def run(case: Case, plan: Plan, resources: QAResources) -> dict[str, Any]:
    place, started = answer_place(case), time.monotonic()
    gold = {name for name, chunk in resources.chunks.items() if overlaps(chunk, place)}
    state: QAState = {"question": case["question"], "plan": plan}
    state |= retrieve(resources, state)
    state |= select(resources, state)
    return {
        "question": position(ids(resources.retriever.invoke(case["question"])), gold),
        "plan": position(list(state["ranked"]), gold),
        "packed": any(overlaps(to_document(passage, resources.chunks), place) for passage in state["evidence"]),
        "passages": len(state["evidence"]),
        "tokens": state["evidence_tokens"],
        "seconds": time.monotonic() - started,
    }


def answer_place(case: Case) -> tuple[int, int]:
    """Return where the gold paragraph has the answer, or else the whole paragraph."""
    gold = case["evidence"][-1]
    for answer in case["answers"]:
        place = gold["text"].find(answer)
        if place >= 0:
            return gold["start"] + place, gold["start"] + place + len(answer)
    return gold["start"], gold["end"]


def overlaps(document: Document, place: tuple[int, int]) -> bool:
    return bool(document.metadata["start"] < place[1] and document.metadata["end"] > place[0])


def ids(documents: list[Document]) -> list[str]:
    return [document.metadata["chunk_id"] for document in documents]


def position(ranking: list[str], gold: set[str]) -> int:
    return next((rank for rank, identifier in enumerate(ranking) if identifier in gold), sys.maxsize)


def print_table(outcomes: dict[tuple[str, str, str], list[dict[str, Any]]]) -> None:
    tops = [f"{name} @{top}" for name in ("question", "plan") for top in TOPS]
    lines = [["set", "kind", "length", "n", *tops, "packed", "passages", "tokens"]]
    lines.append(["---"] * len(lines[0]))
    for group, results in outcomes.items():
        shares = [share([r[name] < top for r in results]) for name in ("question", "plan") for top in TOPS]
        means = [f"{sum(r[name] for r in results) / len(results):.0f}" for name in ("passages", "tokens")]
        lines.append([*group, str(len(results)), *shares, share([r["packed"] for r in results]), *means])
    print("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))  # noqa: T201


def share(hits: list[bool]) -> str:
    return f"{100 * sum(hits) / len(hits):.1f}%"


if __name__ == "__main__":
    main()
