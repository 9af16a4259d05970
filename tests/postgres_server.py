"""A PostgreSQL server of the tests' own, if this machine has the programs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSWORD: Final = "Rhabarber"  # noqa: S105 - of an empty database
OWNER: Final = "postgres"
"""Debian's user; the server does not run as root."""


def find_programs() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`, the newest where Debian has several; None if there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    return next(iter([*folders, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]), None)


class PostgresServer:
    """A server with an empty database, on a free port of this machine; within a `with`, it is running.

    Attributes:
        url: Where it is, with user and password.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(self._folder, OWNER)
            shutil.chown(password, OWNER)
        self._run("initdb", "-U", OWNER, "-A", "scram-sha-256", "--pwfile", str(password), "--no-sync", "-E", "UTF8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"), "-o", options)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        user = OWNER if os.getuid() == 0 else None
        extra: list[int] | None = [] if user else None
        subprocess.run(  # noqa: S603 - our own command
            command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, user=user, group=user, extra_groups=extra
        )
