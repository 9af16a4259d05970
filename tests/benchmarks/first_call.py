"""Seconds from the command to its first call of the model, over a document whose index is saved.

    python tests/benchmarks/first_call.py DOCUMENT

Stands in for Ollama and notes when it is first asked. Prints a line for each run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from ollama_server import FakeOllama, ServedModel

MODEL = "qwen2:7b"
QUESTION = "Who kept the lighthouse at Velmar in {}?"


@dataclass
class ClockedOllama(FakeOllama):
    """Notes when it is asked, and says nothing of use.

    Attributes:
        asked: When, by the clock of `time.perf_counter`.
    """

    asked: list[float] = field(default_factory=list)

    def chat(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Note the time, and answer."""
        self.asked.append(time.perf_counter())
        self.enqueue("Nothing.")
        return super().chat(body)


def main() -> None:
    """Ask several times, and print how long it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ClockedOllama([ServedModel(MODEL)]) as ollama:
        program = [sys.executable, "-m", "langchain_qwen_longctx"]
        kept = [str(arguments.document), "--cache-dir", folder]
        model = ["--model", f"ollama:{MODEL}", "--base-url", ollama.url]
        subprocess.run([*program, "index", *kept], check=True, capture_output=True)  # noqa: S603 - our own command
        for run in range(arguments.runs):
            ollama.asked.clear()
            # Another question each time: replies are kept.
            ask, begun = [*program, "ask", *model, QUESTION.format(1834 + run), *kept], time.perf_counter()
            subprocess.run(ask, check=False, capture_output=True)  # noqa: S603
            print(f"{ollama.asked[0] - begun:.2f} s")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
