"""Seconds from the command to its first call of the model, over a document whose index is saved.

    python tests/benchmarks/first_call.py DOCUMENT

Stands in for Ollama and notes when it is first asked. Prints a line for each run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MODEL = "any:latest"
QUESTION = "Who kept the lighthouse at Velmar in 1834?"


class Refusing(BaseHTTPRequestHandler):
    """Says that it has the model, notes when it is asked, and refuses, so that the command ends.

    Attributes:
        asked: When, by the clock of `time.perf_counter`.
    """

    asked: list[float] = []  # noqa: RUF012 - shared by all connections

    def do_GET(self) -> None:
        """List the model."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"models": [{"name": MODEL, "model": MODEL}]}).encode())

    def do_POST(self) -> None:
        """Refuse."""
        self.asked.append(time.perf_counter())
        self.send_error(401)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Ask several times, and print how long it takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-m", "langchain_qwen_longctx"]
        kept = [str(arguments.document), "--cache-dir", folder]
        model = ["--model", f"ollama:{MODEL}", "--base-url", f"http://127.0.0.1:{server.server_port}"]
        subprocess.run([*program, "index", *kept], check=True, capture_output=True)  # noqa: S603 - our own command
        for _ in range(arguments.runs):
            Refusing.asked.clear()
            begun = time.perf_counter()
            subprocess.run([*program, "ask", *model, QUESTION, *kept], check=False, capture_output=True)  # noqa: S603
            print(f"{Refusing.asked[0] - begun:.2f} s")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
