"""Tries faults and attacks, and writes what came of them into RESULTS.md beside this file.

python tests/faults                     everything, in full
python tests/faults transport --short   one suite, in the form that the tests run
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from suites import TITLES, suite  # noqa: E402 - where a script finds what stands beside it

if TYPE_CHECKING:
    from trials import Trial

RESULTS = Path(__file__).with_name("RESULTS.md")


def table(trials: list[Trial]) -> str:
    """Return trials as a table in Markdown."""
    rows = ["| fault or attack | tries | as it should be | what came of it |", "|---|---|---|---|"]
    rows += [f"| {trial.case} | {trial.tries:,} | {trial.held:,} | {trial.outcome} |" for trial in trials]
    return "\n".join(rows)


def write(name: str, text: str) -> None:
    """Put a table in place of the one that stands between the marks of its suite."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    results = RESULTS.read_text("utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(results):
        msg = f"{RESULTS.name} has no place for {name}: add the lines {begin} and {end}"
        raise SystemExit(msg)
    RESULTS.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", results), "utf-8")


def main() -> int:
    """Run suites; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", choices=[*TITLES, []], metavar="SUITE", help=", ".join(TITLES))
    parser.add_argument("--short", action="store_true", help="less of each, and RESULTS.md is left as it is")
    arguments = parser.parse_args()
    failed = 0
    for name in arguments.suites or TITLES:
        began, trials = time.monotonic(), []
        print(f"\n{TITLES[name]}", flush=True)
        for trial in suite(name)(is_short=arguments.short):
            trials.append(trial)
            print(f"  {trial.held:,} of {trial.tries:,}  {trial.case}: {trial.outcome}", flush=True)
        failed += sum(trial.held < trial.tries for trial in trials)
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        if not arguments.short:
            write(name, table(trials))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
