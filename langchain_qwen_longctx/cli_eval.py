"""`qwen-longctx eval` and `generate`: questions with known answers, and what the levels and others make of them."""

from __future__ import annotations

import json
import threading
import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from langchain_qwen_longctx.cli_options import LEVELS, Settings, cache_option, knob_options, model_options, ray_option
from langchain_qwen_longctx.cli_parts import index_folder, make_model, open_named_model
from langchain_qwen_longctx.console import counted
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.riddles import MAKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from langchain_core.language_models import BaseChatModel

    from langchain_qwen_longctx.arms import Arm
    from langchain_qwen_longctx.cases import Case
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.evaluation import Outcome

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

BASELINES: Final = ("closed-book", "oracle", "truncate", "bm25")
"""Those of `arms.Baseline`, which would load LangGraph."""

KINDS: Final = tuple(MAKERS)

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx eval cases.jsonl --limit 5
  qwen-longctx eval cases.jsonl --arm auto --arm oracle --arm bm25 --length 128k --out runs/june.jsonl
  qwen-longctx eval cases.jsonl --kind needle --arm auto --figures pictures/
"""

MORE_EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx generate cases --kind needle --length 8k --length 128k --length 1m --count 20
  qwen-longctx generate cases --kind counting --kind most --lang en --haystack novels/
  qwen-longctx eval cases/cases.jsonl --arm auto --arm oracle
"""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which cases are run, as the options name them."""

    kind: tuple[str, ...]
    length: tuple[str, ...]
    lang: tuple[str, ...]
    limit: int | None

    def of(self, cases: Sequence[Case]) -> list[Case]:
        """Return the cases that are wanted: of each kind, length and language, the first ones.

        Raises:
            InputError: There are none.
        """
        taken: dict[tuple[str, str, str], int] = {}
        chosen = []
        for case in cases:
            group = case.kind, case.length, case.lang
            named = zip(group, (self.kind, self.length, self.lang), strict=True)
            if all(not wanted or value in wanted for value, wanted in named):
                taken[group] = taken.get(group, 0) + 1
                if self.limit is None or taken[group] <= self.limit:
                    chosen.append(case)
        if not chosen:
            there = sorted({f"{case.kind or '-'} {case.length or '-'} {case.lang or '-'}" for case in cases})
            msg = f"no case is of the kind, length and language asked for; there are: {', '.join(there)}"
            raise InputError(msg)
        return chosen


@click.command("eval", epilog=EXAMPLES, short_help="Measure answers to questions with known answers")
@click.argument("cases", type=click.Path(path_type=Path))
@click.option(
    "--arm",
    "arms",
    multiple=True,
    type=click.Choice((*LEVELS, *BASELINES)),
    default=("auto", "oracle"),
    show_default=True,
    help="A level, or what to compare it with: the model without a document, with the right paragraphs alone, with the "
    "front of the document, with what BM25 finds for the bare question. Repeatable.",
)
@click.option("--kind", multiple=True, metavar="KIND", help="Only cases of this kind; repeatable.")
@click.option("--length", multiple=True, metavar="LENGTH", help="Only cases of this length; repeatable.")
@click.option("--lang", multiple=True, metavar="LANG", help="Only cases in this language; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Cases of each kind, length and language.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("eval.jsonl"),
    show_default=True,
    help="Where each result goes as soon as it is there; what it holds already is not run again.",
)
@click.option("--figures", type=click.Path(path_type=Path, file_okay=False), help="Folder for pictures of the results.")
@click.option(
    "--replies",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that keeps the model's replies for further runs. They count in full there, with the seconds they took.",
)
@knob_options
@model_options
@cache_option
@ray_option
def evaluate_command(
    *,
    cases: Path,
    arms: tuple[Arm, ...],
    out: Path,
    figures: Path | None,
    replies: Path | None,
    ray: bool,
    **options: Any,
) -> None:
    """Answer the questions in CASES and compare with the right answers.

    CASES holds one JSON object a line: id, question, answers, document, evidence, and, to sum up by, kind, length and
    lang. Results go to --out, one a line; the same command goes on after an interruption. A table of all that --out
    holds of the chosen cases and arms is printed, and kept beside it as .summary.md and .summary.json.

    Exit codes: 0 done, 2 bad input, 3 no model, 130 interrupted.
    """
    from langchain_qwen_longctx.cases import read_cases
    from langchain_qwen_longctx.evaluation import evaluate, left_by_document, read_outcomes
    from langchain_qwen_longctx.ray_tasks import opened_ray
    from langchain_qwen_longctx.scoring import contains

    choice = Choice(**{name: options.pop(name) for name in ("kind", "length", "lang", "limit")})
    settings = Settings(**options)
    chosen = choice.of(read_cases(cases))
    contains("", [""])  # complains of a missing extra before anything is paid for
    order = {(case.id, arm): number for number, (case, arm) in enumerate(product(chosen, arms))}
    kept = {(outcome["id"], outcome["arm"]): outcome for outcome in read_outcomes(out)}
    done = {key: outcome for key, outcome in kept.items() if key in order}
    if len(done) < len(order):
        clock = keep_replies(replies)
        (name, model), config = open_named_model(settings), settings.config()
        refuse_others(out, kept.values(), model, config)
        folder, place = cases.parent, index_folder(settings.cache_dir)
        if ray:
            more = evaluate_on_ray(name, settings, replies, folder, left_by_document(chosen, arms, done))
        else:
            more = evaluate(
                chosen, arms, model=model, folder=folder, config=config, cache_dir=place, done=done, clock=clock
            )
        with opened_ray() if ray else nullcontext():
            for outcome in kept_in(out, more, len(done), len(order)):
                done[outcome["id"], outcome["arm"]] = outcome
    conclude(sorted(done.values(), key=lambda outcome: order[outcome["id"], outcome["arm"]]), out, figures)


def evaluate_on_ray(
    name: str,
    settings: Settings,
    replies: Path | None,
    folder: Path,
    left: Iterable[tuple[str, Sequence[tuple[Case, Arm]]]],
) -> Iterator[Outcome]:
    """Run cases as `evaluate` does, those of each document in a task of Ray, which makes the model from its name."""
    from langchain_qwen_longctx.ray_tasks import in_tasks

    return in_tasks(evaluate_share, ((name, settings, replies, folder / document, todo) for document, todo in left))


def evaluate_share(
    name: str, settings: Settings, replies: Path | None, path: Path, todo: Sequence[tuple[Case, Arm]]
) -> Iterator[Outcome]:
    """Run the cases of a document in a worker."""
    from langchain_qwen_longctx.evaluation import evaluate_document

    model, clock = open_in_worker(name, settings, replies)
    yield from evaluate_document(path, todo, model, settings.config(), index_folder(settings.cache_dir), clock)


@lru_cache(maxsize=1)
def open_in_worker(name: str, settings: Settings, replies: Path | None) -> tuple[BaseChatModel, Callable[[], float]]:
    """Return a model and its clock, which a worker keeps for its next task."""
    return make_model(name, settings), keep_replies(replies)


def refuse_others(path: Path, outcomes: Iterable[Outcome], model: BaseChatModel, config: LongContextConfig) -> None:
    """Complain of results that were got in another way than the new ones would be.

    Raises:
        InputError: There are some.
    """
    from langchain_qwen_longctx.evaluation import setting_of

    own = setting_of(model, config)
    for outcome in outcomes:
        if (outcome["model"], outcome["knobs"]) != (own["model"], own["knobs"]):
            msg = (
                f"{path} holds results of {outcome['model']} with {outcome['knobs'] or 'the default options'}, not of "
                f"{own['model']} with {own['knobs'] or 'the default options'}; give another file with --out"
            )
            raise InputError(msg)


def conclude(outcomes: Sequence[Outcome], out: Path, figures: Path | None) -> None:
    """Print the table, and keep it beside the results."""
    from langchain_qwen_longctx.summary import summarise, to_markdown

    rows = summarise(outcomes)
    table = to_markdown(rows)
    out.with_name(f"{out.stem}.summary.md").write_text(table, encoding="utf-8")
    out.with_name(f"{out.stem}.summary.json").write_text(
        json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    if figures:
        from langchain_qwen_longctx.figures import draw

        for path in draw(outcomes, figures):
            click.echo(f"Drawn: {path}", err=True)
    click.echo(table, nl=False)


@click.command(epilog=MORE_EXAMPLES, short_help="Make questions with known answers over long documents")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Repeatable. [default: all of them]")
@click.option("--length", "lengths", multiple=True, default=("8k",), show_default=True, help="Tokens; repeatable.")
@click.option(
    "--lang", "langs", multiple=True, type=click.Choice(("en", "zh")), default=("en", "zh"), show_default=True
)
@click.option("--count", type=click.IntRange(min=1), default=10, show_default=True, help="Questions of each sort.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same one gives the same files.")
@click.option(
    "--haystack",
    multiple=True,
    type=click.Path(),
    metavar="PATH",
    help="File or folder whose text fills the documents; repeatable. [default: text that is made up]",
)
def generate_command(*, folder: Path, kinds: tuple[str, ...], haystack: tuple[str, ...], **options: Any) -> None:
    """Write long documents to FOLDER, and cases.jsonl with questions about facts hidden in them.

    Exit codes: 0 done, 2 bad input.
    """
    from langchain_qwen_longctx.document_loaders import load_documents
    from langchain_qwen_longctx.generators import generate

    text = "\n".join(document.page_content for document in load_documents(list(haystack))) if haystack else None
    with counted("Documents") as on_document:
        file = generate(folder, kinds=kinds or KINDS, haystack=text, on_document=on_document, **options)
    click.echo(file)


def kept_in(path: Path, outcomes: Iterator[Outcome], first: int, total: int) -> Iterator[Outcome]:
    """Write outcomes to the end of a file as they come, behind a bar.

    Raises:
        click.Abort: It was interrupted; the message says what is kept.
    """
    from langchain_qwen_longctx.transport import within

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file, counted("Cases") as on_case:
        for number in range(first, total):
            on_case("", number, total)
            try:
                # As in `ask`: LangGraph would hold an interruption back until the calls under way have ended.
                outcome = within(threading.TIMEOUT_MAX, next, outcomes)
            except KeyboardInterrupt as error:
                click.echo(err=True)  # the terminal has put ^C on this line
                msg = f"Interrupted. {number} of {total} results are in {path}; the same command goes on from there."
                raise click.Abort(msg) from error
            file.write(json.dumps(outcome, ensure_ascii=False) + "\n")
            file.flush()
            yield outcome


def keep_replies(path: Path | None) -> Callable[[], float]:
    """Keep the replies of all models in a file, and what they cost with them; None keeps none.

    Returns:
        A clock for which a reply from the file takes as long as it once did.
    """
    if path is None:
        return time.monotonic
    from langchain_core.globals import set_llm_cache

    # langchain-community announces its end, and calls langchain-core in a way that is to change.
    warnings.filterwarnings("ignore", module="langchain_community|langchain_qwen_longctx")
    from langchain_qwen_longctx.timed_cache import TimedCache

    path.parent.mkdir(parents=True, exist_ok=True)
    cache = TimedCache(path)
    set_llm_cache(cache)
    return cache.monotonic
