"""SQLite: the database of one machine, and of whoever configured nothing else.

One thread owns the connection. What is committed has reached the disk (write-ahead log, `synchronous=FULL`). Several
processes may use the same file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Result, Row, Transaction
from backoffice_shared.state.schema import VERSIONS
from backoffice_shared.telemetry.metrics import STORE_FAILURES

MEMORY = ":memory:"
BUSY = 1.5  # seconds to wait for another process's transaction

# What says something about the disk or about other processes. Anything else is a mistake in our SQL.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOTADB,
    }
)


class SqliteDatabase:
    """`path` is made, readable by its owner only, with the first transaction. ":memory:" is as durable as the object."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="backoffice-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def transact(self, work: Callable[[Transaction], Result]) -> Result:
        if self._closed:
            raise BackendUnavailable("SQLite", "is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
            self._thread.shutdown(wait=False)

    def _transact(self, work: Callable[[Transaction], Result]) -> Result:
        try:
            if self._connection is None:
                self._connection = _connected(self._path)
            with _transaction(self._connection):
                return work(_SqliteTransaction(self._connection))
        except sqlite3.Error as error:
            if not _passes(error):
                raise
            if self._path != MEMORY:
                self._disconnect()  # what is wrong may be this connection
            raise self._unavailable(str(error)) from None
        except OSError as error:
            raise self._unavailable(error.strerror or type(error).__name__) from None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unavailable(self, reason: str) -> BackendUnavailable:
        STORE_FAILURES.labels("sqlite").inc()
        return BackendUnavailable("SQLite", f"{self._path} cannot be used: {reason}")


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        return self._connection.execute(sql, dict(parameters or {})).fetchall()

    def execute_each(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        self._connection.executemany(sql, [dict(row) for row in rows])

    def now(self) -> float:
        """Whoever uses the file uses this machine's clock."""
        return time.time()


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    # Immediate: to become a writer half-way fails where waiting to be one would not.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connected(path: Path | str) -> sqlite3.Connection:
    if path != MEMORY:
        _create_private(Path(path))
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        with _transaction(connection):
            _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switching the journal does not wait for other processes that do the same at that moment."""
    until = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _upgrade(connection: sqlite3.Connection) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(VERSIONS):
        raise BackendUnavailable("SQLite", f"the database has schema {version}, made by a newer version of Backoffice")
    for statements in VERSIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(VERSIONS)}")


def _passes(error: sqlite3.Error) -> bool:
    # The low byte is the kind, the others say more about it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
