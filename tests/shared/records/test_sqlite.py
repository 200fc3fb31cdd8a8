"""SQLite: one file, its owner's only, used by any number of processes."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Transaction
from backoffice_shared.state.schema import VERSIONS
from backoffice_shared.state.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio


def nothing(_transaction: Transaction) -> None:
    pass


async def open_and_close(path: Path) -> None:
    database = SqliteDatabase(path)
    await database.transact(nothing)
    await database.aclose()


async def test_nobody_else_can_read_the_file_its_log_or_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "state" / "backoffice.db"
    database = SqliteDatabase(path)
    await database.transact(nothing)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [path.parent, *path.parent.iterdir()]}
    await database.aclose()
    assert modes == {"state": 0o700, "backoffice.db": 0o600, "backoffice.db-wal": 0o600, "backoffice.db-shm": 0o600}


async def test_what_is_committed_has_reached_the_disk(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "backoffice.db")
    asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
    found = await database.transact(lambda transaction: [transaction.execute(sql)[0][0] for sql in asked])
    await database.aclose()
    assert found == ["wal", 2]


async def test_a_file_without_tables_gets_them_and_keeps_its_version(tmp_path: Path) -> None:
    path = tmp_path / "backoffice.db"
    path.touch()
    await open_and_close(path)
    await open_and_close(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(VERSIONS),)


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "backoffice.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    database = SqliteDatabase(path)
    with pytest.raises(BackendUnavailable, match="the database has schema 999, made by a newer version of Backoffice"):
        await database.transact(nothing)


async def test_what_is_no_database_cannot_be_used_and_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "backoffice.db"
    path.write_text("the annual report, " * 100)
    with pytest.raises(BackendUnavailable, match="file is not a database"):
        await SqliteDatabase(path).transact(nothing)
    assert path.read_text() == "the annual report, " * 100


async def test_another_process_that_holds_the_file_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "backoffice.db"
    database = SqliteDatabase(path)
    await database.transact(nothing)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendUnavailable, match="database is locked"):
        await database.transact(nothing)
    other.execute("ROLLBACK")
    await database.transact(nothing)
    other.close()
    await database.aclose()


async def test_a_database_in_memory_ends_with_its_object() -> None:
    first, second = SqliteDatabase(":memory:"), SqliteDatabase(":memory:")
    sql = "INSERT INTO audit_checkpoints VALUES ('a', 1, '', '', '', '')"
    await first.transact(lambda transaction: transaction.execute(sql))
    counted = "SELECT count(*) FROM audit_checkpoints"
    assert await first.transact(lambda transaction: transaction.execute(counted)) == [(1,)]
    assert await second.transact(lambda transaction: transaction.execute(counted)) == [(0,)]
    await first.aclose()
    await second.aclose()
