"""Asks the server for everything that /openapi.json describes, and for much that it does not, made up by schemathesis.

python tests/faults/http_fuzz.py --minutes 10
python tests/faults/http_fuzz.py --schemathesis ~/fuzz/bin/schemathesis

Schemathesis needs an environment of its own, for it and the LangGraph server want different releases of one package:
`uv tool install schemathesis`, or `python -m venv ~/fuzz && ~/fuzz/bin/pip install schemathesis`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from hostile_server import is_well, town  # noqa: E402 - where a script finds what stands beside it

from langchain_qwen_longctx.server import ServerSettings  # noqa: E402
from langchain_qwen_longctx.uploads import UploadLimits  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "use_after_free",
)

SECONDS: Final = 20
"""In which every request is answered."""

MEGABYTES: Final = 300
"""By which the server may grow, with the collections that are uploaded and kept."""

ROOM: Final = UploadLimits(max_collections=100_000, max_total_bytes=1_000_000_000)
"""So that no upload is refused for want of room: then each status of 5xx is a fault."""


def command(given: str | None) -> list[str]:
    """Return how to call schemathesis."""
    for program, prefix in (
        (given or "schemathesis", []),
        ("uvx", ["schemathesis"]),
        ("pipx", ["run", "schemathesis"]),
    ):
        if found := shutil.which(program):
            return [found, *prefix]
    raise SystemExit(__doc__ and f"schemathesis is not there.\n{__doc__}")


@contextmanager
def serving_process() -> Iterator[tuple[str, int]]:
    """Serve in a process of its own, and yield its address and id."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, stdin=subprocess.PIPE)  # noqa: S603
    try:
        lines = iter(process.stdout or ())
        url = next(line.decode().strip() for line in lines if line.startswith(b"http"))
        yield url, process.pid
        if process.poll() is not None:
            print(f"The server ended with {process.returncode}")
    finally:
        process.kill()
        process.communicate()


def serve() -> None:
    """Serve until standard input ends."""
    with town(ServerSettings(upload=ROOM)) as url:
        print(url, flush=True)
        sys.stdin.read()


def megabytes(process: int) -> float:
    """Return how much memory a process has."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def main() -> int:
    """Run it; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--schemathesis", metavar="PROGRAM", help="by default what is on the path, or uvx's, or pipx's")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return 0
    with serving_process() as (url, process), tempfile.TemporaryDirectory() as folder:
        before = megabytes(process)
        run = [*command(arguments.schemathesis), "run", f"{url}/openapi.json", "--checks", ",".join(CHECKS)]
        run += [
            "--max-time",
            str(round(arguments.minutes * 60)),
            "--workers",
            arguments.workers,
            "--continue-on-failure",
        ]
        run += ["--max-response-time", str(SECONDS), "--request-timeout", str(3 * SECONDS), "--report-dir", folder]
        began = time.monotonic()
        code = subprocess.run(run, check=False).returncode  # noqa: S603
        grown = megabytes(process) - before
        well = is_well(url)
    minutes, state = (time.monotonic() - began) / 60, "answers" if well else "is dead"
    print(f"\n{minutes:.1f} minutes, {grown:+.0f} MB, the server {state}")
    return int(code != 0 or not well or grown > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
