"""`qwen-longctx doctor`: what is installed and what is missing, and whether a model can do its part."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from langchain_qwen_longctx.cli_options import (
    Settings,
    cache_option,
    concurrency_option,
    context_window_option,
    model_options,
)
from langchain_qwen_longctx.cli_parts import base_folder, open_named_model
from langchain_qwen_longctx.console import EXIT_NO_MODEL, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_qwen_longctx.doctor import Check

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

EXIT_UNFIT: Final = 1

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx doctor
  qwen-longctx doctor --self-test
  qwen-longctx doctor --model ollama:qwen2:7b --context-window 16384
  qwen-longctx doctor --model openai:NAME --base-url http://127.0.0.1:8000/v1 --json
"""


@click.command("doctor", epilog=EXAMPLES, short_help="Say what is installed and what is missing; test a model")
@click.option(
    "--self-test",
    is_flag=True,
    help="Try what the model can do, in some fifteen calls: within a minute on two CPU cores. --model does so too.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="QWEN_LONGCTX_DOCTOR_JSON",
    help="Print one JSON object instead of text.",
)
@model_options
@context_window_option
@concurrency_option
@cache_option
def doctor_command(*, self_test: bool, as_json: bool, **options: Any) -> None:
    """Say what is installed, which servers and models there are, and how to close each gap.

    The test of a model asks it about short texts, in English and Chinese: whether it keeps to the form of a reading,
    finds a fact, says no where a text does not answer, and reads a long prompt whole; how fast it is, and whether calls
    made at once gain. What it is weak at is a note; it fails if it cannot do its part in any language, or if its server
    cuts a prompt.

    Exit codes: 0 if at least one model can answer, 1 if the one that was tested fails, 2 bad input, 3 no model.
    """
    from langchain_qwen_longctx.chat_models import WAYS_TO_GET_A_MODEL
    from langchain_qwen_longctx.doctor import is_usable

    settings, checks = Settings(**options), []
    settings.config()
    is_tested = self_test or settings.model is not None
    for check in findings(settings, is_tested=is_tested):
        checks.append(check)
        if not as_json:
            tell(check)
    has_model = is_usable(checks) or settings.model is not None
    if as_json:
        click.echo(json.dumps({"usable": has_model, "checks": list(map(asdict, checks))}, ensure_ascii=False))
    elif not has_model:
        click.echo(f"\nNo model can answer yet. Get one:\n{WAYS_TO_GET_A_MODEL}")
    elif not is_tested:
        click.echo("\nWhether a model can do its part, and how fast: qwen-longctx doctor --self-test")
    if not has_model:
        sys.exit(EXIT_NO_MODEL)
    if any(check.status == "fails" for check in checks):
        sys.exit(EXIT_UNFIT)


def findings(settings: Settings, *, is_tested: bool) -> Iterator[Check]:
    """Yield what there is, and then what a model can do."""
    from langchain_qwen_longctx.doctor import examine, is_usable

    is_other = (settings.model or "").startswith("openai:")
    checks = examine(None if is_other else settings.base_url, base_folder(settings.cache_dir))
    yield from checks
    if is_tested and (settings.model or is_usable(checks)):
        yield from trials(settings)


def trials(settings: Settings) -> Iterator[Check]:
    """Yield what a test of the model finds; the next part begins when it is asked for."""
    from langchain_qwen_longctx.self_test import self_test

    name, model = open_named_model(settings)
    steps = self_test(model, settings.config(), is_embedded=name.startswith("embedded"))
    while True:
        with status("Testing the model"):
            check = next(steps, None)
        if check is None:
            return
        yield check


def tell(check: Check) -> None:
    """Print a finding, and below it what to do about it."""
    click.echo(f"{check.status:8}{check.subject:16}{check.finding}")
    if check.remedy:
        click.echo(f"{'':24}-> {check.remedy}")
