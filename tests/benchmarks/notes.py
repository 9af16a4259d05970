"""How long the index of a folder of notes takes to make, and to follow the folder.

    python tests/benchmarks/notes.py --notes 10000

Makes up notes of 150 to 300 words, or as many Chinese characters and half as many again, every other one in Chinese,
with front matter, tags and links. Every figure is taken in a process that has just started, from the call that opens
the index to a retriever that can be searched, imports apart; the disk is warm. Prints a Markdown table: wall and
processor time, the median of the runs.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_qwen_longctx.haystacks import make_up
from langchain_qwen_longctx.notes import open_notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_qwen_longctx.haystacks import Lang

SYLLABLES = ("ka", "ro", "mi", "tel", "san", "ver", "dun", "os", "li", "far", "gren", "pu", "hol", "wen", "ist", "ny")
HANZI = "沈陆顾钱施秦许何吕张孔曹严华金魏陶姜谢邹柏窦章苏潘葛范彭鲁韦文达守仁秋水若兰伯庸月娥长庚子衡阿福静之云轩季明"
TAGS = ("town/harbour", "town/market", "diary", "project/轻舟", "项目/灯塔")


def main() -> None:
    """Make the notes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=10_000, metavar="N")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often each change is measured")
    parser.add_argument("--open", nargs=2, type=Path, metavar=("NOTES", "CACHE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        print(json.dumps(opened(*arguments.open)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        notes, cache = Path(folder, "notes"), Path(folder, "cache")
        make_notes(notes, arguments.notes)
        print("\n".join(measure(notes, cache, arguments.runs)))  # noqa: T201


def make_notes(folder: Path, count: int) -> None:
    """Write the notes into some folders below this one."""
    dice = random.Random(1)
    paragraphs = {lang: make_up(lang, dice) for lang in ("en", "zh")}
    for number in range(count):
        lang: Lang = "zh" if number % 2 else "en"
        path = folder / f"area {number % 20}" / f"note {number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [made_up_name(lang, dice) for _ in range(6)]
        body, words = "", dice.randint(150, 300)
        while (len(body) / 1.5 if lang == "zh" else len(body.split())) < words:
            body += f"{next(paragraphs[lang])} {dice.choice(names)}, {dice.randint(1000, 9999)}.\n\n"
        head = f"---\ntitle: {names[0]}\naliases: [{names[1]}]\ntags: [{dice.choice(TAGS)}]\n---\n\n# {names[0]}\n\n"
        link = f"[[note {dice.randrange(count)}|{dice.choice(names)}]]" if number % 4 == 0 else ""
        path.write_text(f"{head}{body}{link} #{dice.choice(TAGS)}\n", "utf-8")


def made_up_name(lang: Lang, dice: random.Random) -> str:
    """Return one of many thousand names."""
    return "".join(dice.choices(HANZI, k=3)) if lang == "zh" else "".join(dice.choices(SYLLABLES, k=3)).capitalize()


def measure(notes: Path, cache: Path, runs: int) -> Iterable[str]:
    """Yield the rows of the table."""
    yield "| what | seconds | of the processor | read | MB |"
    yield "|---|---|---|---|---|"
    paths = sorted(notes.rglob("*.md"))
    yield row("first index", [reopen(notes, cache)])
    # What was written a moment ago is looked at once more.
    time.sleep(3)
    reopen(notes, cache)
    yield row("nothing changed", [reopen(notes, cache) for _ in range(runs)])
    chosen = iter(random.Random(2).sample(paths, 4 * runs))
    changes: dict[str, Callable[[Path], None]] = {
        "one changed": append,
        "one new": copy,
        "one removed": Path.unlink,
        "one renamed": move,
    }
    for what, change in changes.items():
        results = []
        for path in islice(chosen, runs):
            change(path)
            results.append(reopen(notes, cache))
        yield row(what, results)
    for path in paths[: len(paths) // 10]:
        if path.exists():
            append(path)
    yield row("a tenth changed", [reopen(notes, cache)])
    kept = sum(file.stat().st_size for file in cache.rglob("*.safetensors"))
    size = sum(file.stat().st_size for file in notes.rglob("*.md"))
    yield f"\n{len(paths):,} notes of {size / 1e6:.1f} MB, index {kept / 1e6:.1f} MB"


def append(path: Path) -> None:
    """Change a note at its end."""
    path.write_text(f"{path.read_text('utf-8')}\nAnother line. 又一行。\n", "utf-8")


def copy(path: Path) -> None:
    """Add a note beside this one."""
    path.with_stem(f"{path.stem} copy").write_bytes(path.read_bytes())


def move(path: Path) -> None:
    """Rename a note."""
    path.rename(path.with_stem(f"{path.stem} moved"))


def reopen(notes: Path, cache: Path) -> dict[str, float]:
    """Open the index in a process of its own, and return what that took."""
    command = [sys.executable, __file__, "--open", str(notes), str(cache)]
    told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - itself
    return told


def opened(notes: Path, cache: Path) -> dict[str, Any]:
    """Open the index and return what that took."""
    begun, worked = time.perf_counter(), time.process_time()
    index, report = open_notes(notes, cache_dir=cache)
    retriever = index.retriever
    seconds, processor = time.perf_counter() - begun, time.process_time() - worked
    assert retriever.docs
    return {
        "seconds": seconds,
        "processor": processor,
        "read": report.new + report.changed,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def row(what: str, results: list[dict[str, float]]) -> str:
    """Return a row of the table: the medians."""
    seconds, processor, read, memory = (
        statistics.median(result[name] for result in results) for name in ("seconds", "processor", "read", "memory")
    )
    return f"| {what} | {seconds:.2f} | {processor:.2f} | {read:,.0f} | {memory:.0f} |"


if __name__ == "__main__":
    main()
