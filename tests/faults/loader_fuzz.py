"""Changes documents by chance, and has them read: there must come out text, or an error of the package.

python tests/faults/loader_fuzz.py --minutes 10 --seed 1
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from bench import Bench, Outcome  # noqa: E402 - where a script finds what stands beside it
from document_tasks import chunked, chunked_apart, chunked_each  # noqa: E402
from fuzz_changes import make  # noqa: E402
from fuzz_seeds import real_files, small_files  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH: Final = 20
"""Inputs that are read by one process."""

SECONDS: Final = 20
MEGABYTES: Final = 3_000


@dataclass
class Findings:
    """What the fuzzer has come to.

    Attributes:
        counts: How many inputs came to what.
        contained: How many of them would have ended the process that reads, and ended another one instead.
        slowest: The most seconds that one took.
        heaviest: The most megabytes that one took.
        defects: What must not be: the name of the input that is kept, and what happened.
    """

    counts: Counter[str] = field(default_factory=Counter)
    contained: int = 0
    slowest: float = 0.0
    heaviest: int = 0
    defects: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        contained = f" ({self.contained} by the end of the process that read them)" * (self.contained > 0)
        return (
            f"{self.counts['done']:,} read, {self.counts['refused']:,} refused{contained}; "
            f"{self.slowest:.1f} s, {self.heaviest:,} MB at most"
        )

    def note(self, path: Path, name: str, outcome: Outcome, keep: Path) -> None:
        """Count an input, and keep it if it shows a defect."""
        self.counts[outcome.verdict] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.heaviest = max(self.heaviest, outcome.megabytes)
        if not _is_fine(outcome.verdict):
            kept = keep / f"{path.name}-{name}"
            kept.write_bytes(path.read_bytes())
            self.defects.append(f"{kept.name}: {outcome.verdict}: {outcome.value}")


def fuzz(bench: Bench, *, seconds: float, seed: int, keep: Path, with_real: bool = True) -> Findings:
    """Read changed documents for a while.

    Args:
        bench: What reads them.
        seconds: For how long.
        seed: The same seed gives the same inputs.
        keep: Where inputs that come to something else than text or an error of the package are put.
        with_real: Whether to begin with real documents, too.
    """
    seeds, findings, end = small_files() | (real_files() if with_real else {}), Findings(), time.monotonic() + seconds
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            inputs = []
            for number in range(findings.counts.total(), findings.counts.total() + BATCH):
                name, data = make(number, seed, seeds)
                path = Path(folder) / f"{seed}-{number}"
                path.write_bytes(data)
                inputs.append((str(path), name))
            for read, name, outcome in _outcomes(bench, inputs, findings):
                findings.note(Path(read), name, outcome, keep)
    return findings


def _outcomes(bench: Bench, inputs: list[tuple[str, str]], findings: Findings) -> Iterator[tuple[str, str, Outcome]]:
    """Yield what comes of each input. Those that are read together are read one by one if that is not fine."""
    together = bench.run(chunked_each, inputs)
    if together.verdict == "done" and all(_is_fine(verdict) for verdict, _ in together.value):
        share = together.seconds / len(inputs)
        for (path, name), (verdict, value) in zip(inputs, together.value, strict=True):
            yield path, name, Outcome(verdict, value, share, together.megabytes)
        return
    for path, name in inputs:
        outcome = bench.run(chunked, path, name)
        if not _is_fine(outcome.verdict):
            # Most formats are read in a process of their own: what happens to it is to be an error, and no more.
            outcome = bench.run(chunked_apart, path, name)
            findings.contained += _is_fine(outcome.verdict)
        yield path, name, outcome


def _is_fine(verdict: str) -> bool:
    return verdict in ("done", "refused")


def main() -> int:
    """Fuzz for some minutes; 1 if there is a defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for inputs that show a defect; default a new one")
    arguments = parser.parse_args()
    keep = arguments.keep or Path(tempfile.mkdtemp(prefix="loader-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    with Bench(seconds=SECONDS, megabytes=MEGABYTES) as bench:
        findings = fuzz(bench, seconds=arguments.minutes * 60, seed=arguments.seed, keep=keep)
    lines = [f"{findings.counts.total():,} inputs: {findings}", f"{len(findings.defects)} defects, kept in {keep}"]
    sys.stdout.write("\n".join([*findings.defects, *lines, ""]))
    return bool(findings.defects)


if __name__ == "__main__":
    sys.exit(main())
