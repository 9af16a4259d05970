"""Replies and threads in PostgreSQL, for workers on several machines that share their work."""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, LiteralString

from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.persistence import NAMESPACE, ItemT, ReplyCache

with suppress(ImportError):  # `_parse` says which extra it is of
    import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import Connection

logger = logging.getLogger(__name__)

# The number in the table's name is the version of its columns; `version` is that of what is stored.
CREATE: Final = """
CREATE TABLE qwen_longctx_replies_1 (
    version text NOT NULL,
    key text NOT NULL,
    reply text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version, key)
)"""
EXISTS: Final = "SELECT to_regclass('qwen_longctx_replies_1') IS NOT NULL"
FIND: Final = "SELECT reply FROM qwen_longctx_replies_1 WHERE version = %s AND key = %s"
KEEP: Final = "INSERT INTO qwen_longctx_replies_1 (version, key, reply) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"

CLAIM: Final = "SELECT pg_try_advisory_lock(%s)"
RELEASE: Final = "SELECT pg_advisory_unlock(%s)"
SETUP: Final = int.from_bytes(b"qwenlong", "big")
"""What is claimed while tables are made."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at whether another worker has made a reply; they double."""

RECONNECT_PAUSE: Final = 5.0
"""Least seconds between two attempts at a new connection."""

SETTINGS: Final[dict[str, Any]] = {
    "application_name": "qwen-longctx",
    "connect_timeout": 5,
    # A server whose machine is gone is given up after 25 seconds.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
SHOWN: Final = ("user", "host", "hostaddr", "port", "dbname")
# And so is a worker whose machine is gone: with its connection, what it has claimed becomes free.
NOTICE_THE_GONE: Final = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"


class SharedReplies(ReplyCache):
    """Replies of models in a table that workers share; each of them is made by one worker only.

    A worker claims a reply by an advisory lock of its connection. PostgreSQL takes that back as soon as the connection
    ends, so that nothing has to expire if the worker dies. While the server is away, replies are neither found nor
    kept, at the cost of a warning; the connection is made anew as soon as it can be.

    Args:
        url: Where the server is.
        connection: A connection to it.
    """

    def __init__(self, url: str, connection: Connection) -> None:
        self._url = url
        self._connection = connection
        self._lock = RLock()
        self._claims: set[int] = set()
        self._is_failing = False
        self._next_attempt = 0.0

    def find(self, key: str) -> str | None:
        """Return the reply kept under a key, or None."""
        text: str | None = self._value(FIND, NAMESPACE[1], key)
        return text

    def keep(self, key: str, text: str) -> bool:
        """Keep a reply for good, and tell whether it could be."""
        with self._lock:
            self._value(KEEP, NAMESPACE[1], key, text)
            return not self._is_failing

    @contextmanager
    def claimed(self, key: str, seconds: float) -> Iterator[str | None]:
        """Yield the reply kept under a key; or None if it is the caller's to make, and no one else's meanwhile.

        Args:
            key: The key.
            seconds: How long to wait for another worker to make it. After that, or if the server is away, it is the
                caller's as well.
        """
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)
        end, pause = time.monotonic() + seconds, FIRST_PAUSE
        text, is_mine = self.find(key), None
        while text is None and (is_mine := self._claim(number)) is False and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            text = self.find(key)
        try:
            # It may have been kept between the last look and the claim.
            yield self.find(key) if is_mine else text
        finally:
            if is_mine:
                self._release(number)

    def in_own_order(self, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """Return things shuffled, so that workers that go through the same ones seldom want the same one at once."""
        return random.sample(items, len(items))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __del__(self) -> None:
        self.close()

    def _claim(self, number: int) -> bool | None:
        """Tell whether a claim is made; None if the server is away. A connection could claim the same one twice."""
        with self._lock:
            if number in self._claims:
                return False
            is_mine: bool | None = self._value(CLAIM, number)
            if is_mine:
                self._claims.add(number)
            return is_mine

    def _release(self, number: int) -> None:
        with self._lock:
            self._claims.discard(number)
            self._value(RELEASE, number)

    def _value(self, statement: LiteralString, *parameters: object) -> Any:  # noqa: ANN401 - of any column
        """Return the first value that a statement yields; None if there is none, or no server."""
        with self._lock:
            try:
                value = self._execute(statement, parameters)
            # PostgreSQL takes neither a null character nor half of a surrogate pair.
            except (psycopg.Error, UnicodeError) as error:
                if not self._is_failing:
                    logger.warning("PostgreSQL neither gives nor takes replies (%s)", _fault(error))
                self._is_failing = True
                return None
            self._is_failing = False
            return value

    def _execute(self, statement: LiteralString, parameters: Sequence[object]) -> Any:  # noqa: ANN401
        try:
            return _first(self._connection, statement, parameters)
        except psycopg.OperationalError as error:
            if not self._connection.closed or time.monotonic() < self._next_attempt:
                raise
            self._next_attempt = time.monotonic() + RECONNECT_PAUSE
            self._connection = connect(self._url)
            logger.warning("the connection to PostgreSQL was lost (%s) and is made anew", _fault(error))
            for number in self._claims:
                _first(self._connection, CLAIM, [number])
            return _first(self._connection, statement, parameters)


def open_postgres_cache(url: str) -> SharedReplies:
    """Return the replies kept in a PostgreSQL database, which workers on any number of machines share.

    Its table, `qwen_longctx_replies_1`, is made on first use, and holds plain texts.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or any other address that libpq takes. Between worker and
            server there must be no pooler that divides a session, such as PgBouncer in its mode `transaction`.

    Raises:
        InputError: The server is not there or does not let the user in, or the extra `postgres` is not installed.
    """
    with _setting_up(url) as connection:
        if not _first(connection, EXISTS):
            connection.execute(CREATE)
        return SharedReplies(url, connect(url))


def open_postgres_checkpointer(url: str) -> PostgresSaver:
    """Return the checkpointer of a PostgreSQL database, so that a worker can go on with the thread of another one.

    Its tables are made on first use. Whoever may have written to them, what is read makes no objects but messages and
    plain values. A lost connection is made anew. If that cannot be within 30 seconds, or if the question has a null
    character or half of a surrogate pair, which PostgreSQL does not take, the question ends with psycopg's error.

    Args:
        url: As in `open_postgres_cache`.

    Raises:
        InputError: As there.
    """
    with _setting_up(url):
        from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 - only if the extra is installed
        from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer  # noqa: PLC0415
        from psycopg.rows import dict_row  # noqa: PLC0415
        from psycopg_pool import ConnectionPool  # noqa: PLC0415

        options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        # The saver uses one connection at a time; the pool is there to replace it.
        pool: ConnectionPool[Any] = ConnectionPool(
            kwargs=_parse(url) | options,
            min_size=1,
            num_workers=1,
            check=ConnectionPool.check_connection,
            open=True,
        )
        saver = PostgresSaver(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        saver.setup()
        return saver


def connect(url: str) -> Connection:
    """Return a connection on which every statement is a transaction of its own.

    Raises:
        InputError: The address cannot be read, or the extra `postgres` is not installed.
        psycopg.Error: There is no connection to be had.
    """
    connection = psycopg.connect(**_parse(url), autocommit=True)
    connection.execute(NOTICE_THE_GONE)
    return connection


@contextmanager
def _setting_up(url: str) -> Iterator[Connection]:
    """Yield a connection to make tables on, while no other worker does, and say what to do if there is none.

    The others ask again and again: a statement that waited would hold up the indexes that the checkpointer makes.
    """
    place = " ".join(f"{name}={value}" for name, value in _parse(url).items() if name in SHOWN)
    try:
        with connect(url) as connection:
            while not _first(connection, CLAIM, [SETUP]):
                time.sleep(FIRST_PAUSE)
            yield connection
    except psycopg.Error as error:
        msg = f"PostgreSQL at {place} cannot be used ({_fault(error)}); start it, or check address, user and password"
        raise InputError(msg) from error


def _parse(url: str) -> dict[str, Any]:
    """Return the parts of an address, with what we want of a connection where it says nothing of that."""
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ImportError as error:
        msg = f'PostgreSQL needs psycopg ({error}); run: pip install "langchain-qwen-longctx[postgres]"'
        raise InputError(msg) from error
    try:
        return SETTINGS | conninfo_to_dict(url)
    except ProgrammingError:
        # The cause may show a part of the password.
        msg = "the address of PostgreSQL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise InputError(msg) from None


def _first(connection: Connection, statement: LiteralString, parameters: Sequence[object] = ()) -> Any:  # noqa: ANN401
    """Return the first value of the first row that a statement yields, or None."""
    cursor = connection.execute(statement, parameters)
    row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def _fault(error: Exception) -> str:
    return " ".join(str(error).split())
