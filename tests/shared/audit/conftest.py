"""Fixtures: the same tests on every kind of store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.real.postgres import PostgresServer, postgres, the_postgres
from tests.shared.audit.stores import FileStore, Store, TableStore

from backoffice_shared.audit.checkpoints import Checkpoints, DatabaseCheckpoints, FileCheckpoints
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.sqlite import SqliteDatabase

__all__ = ["postgres", "the_postgres"]


@pytest.fixture(params=["jsonl", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
    if request.param == "jsonl":
        yield FileStore(tmp_path / "audit")
        return
    if request.param == "sqlite":
        database = SqliteDatabase(tmp_path / "backoffice.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        database = PostgresDatabase(server.new_database())
    yield TableStore(database)
    await database.aclose()


@pytest.fixture
def checkpoints(store: Store, tmp_path: Path) -> Checkpoints:
    """In files beside files, and in a table beside a table."""
    if isinstance(store, TableStore):
        return DatabaseCheckpoints(store.database)
    return FileCheckpoints(tmp_path / "checkpoints")
