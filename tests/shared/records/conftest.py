"""Fixtures: the same tests on every database there is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.real.postgres import PostgresServer, postgres, the_postgres
from tests.shared.records.databases import database_at

from backoffice_shared.state.database import Database

__all__ = ["postgres", "the_postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database is: the path of a file, or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "state" / "backoffice.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(place: str) -> AsyncGenerator[Database]:
    database = database_at(place)
    yield database
    await database.aclose()
