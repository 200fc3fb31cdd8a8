"""PostgreSQL: the database that all replicas share.

The schema is brought up to date with the first transaction, by whichever replica comes first. A server that does not
answer is given up after five seconds, and its connection is cut, so that no thread waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any, Generic

from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.redaction import SECRETS
from backoffice_shared.state.database import Result, Row, Transaction
from backoffice_shared.telemetry.metrics import STORE_FAILURES

try:
    import psycopg
    from sqlalchemy import URL, Connection, Engine, TextClause, create_engine, make_url, text
    from sqlalchemy.exc import ArgumentError, DBAPIError

    from backoffice_shared.state.migrations import migrated
except ImportError as missing:
    raise InvalidInput(
        "",
        f"PostgreSQL needs a library that is not installed ({missing.name})",
        hint="Install backoffice-shared[postgres]",
    ) from None

log = logging.getLogger("backoffice.state")

CONNECTIONS = 4
CONNECT = 2  # seconds; libpq takes no less
STATEMENT = 4.0  # seconds that the server gives a statement
PATIENCE = 5.0  # seconds for the whole, also when the server is not there to keep time

_READ_ONLY = "25006"  # a standby, after a fail-over
_ATTEMPTS = 2


class PostgresDatabase:
    """`url` is `postgresql://user:password@host:port/database`, with libpq's parameters.

    Raises:
        InvalidInput: the URL cannot be one.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._engine = _engine(_parsed(url))
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="backoffice-postgres")
        self._migrating = Lock()
        self._migrated = False
        self._closed = False

    async def transact(self, work: Callable[[Transaction], Result]) -> Result:
        if self._closed:
            raise BackendUnavailable("PostgreSQL", "is closed")
        attempt = _Attempt(self._engine, work)
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._transact, attempt)
        running.add_done_callback(_noticed)
        done, _ = await asyncio.wait({running}, timeout=self._patience)
        if not done:
            running.cancel()
            attempt.abandon()
            raise _unavailable("does not answer")
        return running.result()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._threads.shutdown(wait=False)
            await asyncio.to_thread(self._engine.dispose)

    def _transact(self, attempt: _Attempt[Result]) -> Result:
        try:
            self._migrate()
            return attempt.run()
        except DBAPIError as error:
            if not _passes(error):
                raise
            log.warning("PostgreSQL: %s", SECRETS.scrub(str(error.orig).partition("\n")[0]))
            raise _unavailable("cannot be used at the moment") from None

    def _migrate(self) -> None:
        with self._migrating:
            if not self._migrated:
                migrated(self._engine)
                self._migrated = True


class _Attempt(Generic[Result]):
    """One piece of work on one connection, which another thread may cut."""

    def __init__(self, engine: Engine, work: Callable[[Transaction], Result]) -> None:
        self._engine = engine
        self._work = work
        self._lock = Lock()
        self._descriptor: int | None = None
        self._abandoned = False
        self._committing = False

    def run(self) -> Result:
        """Once more when the connection was lost, as all are that a restart of the server leaves in the pool."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._run()
            except DBAPIError as error:
                # Lost during a commit, it is unknown whether it took effect.
                if not left or self._abandoned or self._committing or not error.connection_invalidated:
                    raise
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def abandon(self) -> None:
        """Wake the thread that waits for an answer."""
        with self._lock:
            self._abandoned = True
            if self._descriptor is not None:
                with socket.socket(fileno=os.dup(self._descriptor)) as cut:
                    cut.shutdown(socket.SHUT_RDWR)

    def _run(self) -> Result:
        with self._engine.connect() as connection:
            self._hold(connection)
            try:
                result = self._work(_PostgresTransaction(connection))
                self._committing = True
                connection.commit()
                return result
            finally:
                # From here on the connection may be another's.
                with self._lock:
                    self._descriptor = None

    def _hold(self, connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the driver that the engine was made with
        with self._lock:
            if self._abandoned:
                raise _unavailable("does not answer")
            self._descriptor = driver.fileno()


class _PostgresTransaction:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        result = self._connection.execute(_statement(sql), dict(parameters or {}))
        return [tuple(row) for row in result] if result.returns_rows else []

    def execute_each(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        if rows:
            self._connection.execute(_statement(sql), [dict(row) for row in rows])

    def now(self) -> float:
        return float(self.execute("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")[0][0])


@lru_cache(maxsize=256)
def _statement(sql: str) -> TextClause:
    return text(sql)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInput("", "BACKOFFICE_DATABASE_URL is not a URL") from None
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InvalidInput("", "BACKOFFICE_DATABASE_URL has to be a postgresql:// URL")
    if parsed.password is not None:
        SECRETS.learn(str(parsed.password))
    return parsed.set(drivername="postgresql+psycopg")


def _engine(url: URL) -> Engine:
    given: dict[str, Any] = {
        "connect_timeout": CONNECT,
        "application_name": "backoffice",
        "options": f"-c statement_timeout={round(STATEMENT * 1000)}",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    return create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=CONNECT,
        # What the operator wrote into the URL counts.
        connect_args={name: value for name, value in given.items() if name not in url.query},
        hide_parameters=True,
        use_native_hstore=False,
    )


def _passes(error: DBAPIError) -> bool:
    if isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError):
        return True
    return isinstance(error.orig, psycopg.Error) and error.orig.sqlstate == _READ_ONLY


def _unavailable(reason: str) -> BackendUnavailable:
    STORE_FAILURES.labels("postgres").inc()
    return BackendUnavailable("PostgreSQL", reason)


def _noticed(running: asyncio.Future[Any]) -> None:
    """What became of work that nobody waits for any more is no news to anybody."""
    if not running.cancelled():
        running.exception()
