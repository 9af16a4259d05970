"""Work that is dealt out with Ray, to the processors of this machine or of a cluster."""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import contextmanager, redirect_stdout
from itertools import islice
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from tenacity import Retrying, stop_after_attempt

from langchain_qwen_longctx.console import status
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Ray is loaded where it is used: most commands do without, and it is an extra.
# ruff: noqa: PLC0415

ItemT = TypeVar("ItemT")

MAX_PENDING: Final = 1000
"""Tasks that Ray has at once, which should be more than a cluster has processors; a task that waits costs memory."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds to wait for a cluster to take a connection; Ray itself tries for minutes."""

LOCAL: Final = "local"
"""Stands for an address where Ray is to be started on this machine."""

START_ATTEMPTS: Final = 2
"""How often to start Ray on this machine: now and then one of its processes does not come up."""

CLIENT: Final = "ray://"
"""Begins the address of a Ray Client, which cannot take what tasks yield."""

_Yielded: TypeAlias = "tuple[list[logging.LogRecord], ItemT]"


@contextmanager
def opened_ray() -> Iterator[None]:
    """Join the Ray cluster that `RAY_ADDRESS` names, or else start Ray on this machine.

    Raises:
        InputError: Ray is not installed, the cluster cannot be joined, or Ray cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        msg = f'--ray needs Ray ({error}); run: pip install "langchain-qwen-longctx[ray]"'
        raise InputError(msg) from error
    # Left to itself, Ray waits for minutes for the last cluster of this machine, even if it has long been gone.
    address = os.environ.get("RAY_ADDRESS") or LOCAL
    try:
        with status("Starting Ray"):
            _join(address)
    except Exception as error:
        # A node that does not come up is told by an error of no class of its own.
        msg = f"Ray at {address} (RAY_ADDRESS) cannot be used ({_fault(error)}); look at: ray status"
        raise InputError(msg) from error
    try:
        # Whatever else it is told, Ray prints there when a worker dies.
        with redirect_stdout(sys.stderr):
            yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    """Join the cluster at an address, or start Ray on this machine, if need be again."""
    import ray

    check_address(address)
    attempts = Retrying(stop=stop_after_attempt(START_ATTEMPTS if address == LOCAL else 1), reraise=True)
    attempts(ray.init, address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)


def check_address(address: str) -> None:
    """Complain of an address that Ray would try in vain, and for long; what is no `HOST:PORT` is left to Ray.

    Raises:
        OSError: Nothing listens there.
        ValueError: It is a Ray Client's.
    """
    if address.startswith(CLIENT):
        msg = f"{CLIENT} is for a Ray Client; run this on a machine of the cluster, with HOST:6379"
        raise ValueError(msg)
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT).close()


def in_tasks(work: Callable[..., Iterator[ItemT]], shares: Iterable[tuple[Any, ...]]) -> Iterator[ItemT]:
    """Yield all that some work yields for each of its shares, as it comes.

    Each share is a task with a processor of its own, in the working folder of this process. What it logs from warnings
    on is logged here. If its worker dies, Ray tries it again, and what has been yielded before is not yielded twice:
    so the work must yield as many things, in the same order, each time.

    Args:
        work: A function of a module, which Ray's workers import; it may be called in any of them.
        shares: The arguments of each call.

    Raises:
        InputError: Ray has lost a task for good. Whatever the work raises is raised here as well.
    """
    import ray

    task: Any = ray.remote(num_cpus=1, num_returns="streaming")(_run)
    running: list[Any] = []
    folder, waiting = Path.cwd(), iter(shares)
    while True:
        running += [task.remote(folder, work, share) for share in islice(waiting, MAX_PENDING - len(running))]
        if not running:
            return
        [stream], running = cast("tuple[list[Any], list[Any]]", ray.wait(running))
        try:
            records, item = ray.get(next(stream))
        except StopIteration:
            continue
        except ray.exceptions.RayError as error:
            cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
            if not isinstance(cause, ray.exceptions.RayError):
                raise cause from error
            msg = f"Ray cannot do a task ({_fault(cause)}); what its machines must have is in docs/scale.md"
            raise InputError(msg) from error
        for record in records:
            logging.getLogger(record.name).handle(record)
        yield item
        running.append(stream)


def _run(folder: Path, work: Callable[..., Iterator[ItemT]], share: tuple[Any, ...]) -> Iterator[_Yielded[ItemT]]:
    """Do a share of some work in a worker, and yield what comes of it, each with what was logged meanwhile."""
    try:
        os.chdir(folder)
    except OSError as error:
        msg = f"{socket.gethostname()} cannot work in {folder} ({error}); Ray's machines must share this folder"
        raise InputError(msg) from error
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(records)
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)
    try:
        for item in work(*share):
            yield [records.get() for _ in range(records.qsize())], item
    finally:
        logging.root.removeHandler(handler)


def _fault(error: Exception) -> str:
    """Return what an error says on one line, without the traceback that Ray puts behind it."""
    return " ".join(str(error).partition("\ntraceback:")[0].split())
