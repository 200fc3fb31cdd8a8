"""PostgreSQL: its schema, and what it says when something is wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.real.postgres import PostgresServer

from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.redaction import SECRETS
from backoffice_shared.settings import Settings
from backoffice_shared.state.database import Transaction
from backoffice_shared.state.migrations import migrated, reverted
from backoffice_shared.state.opened import open_database
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio


def nothing(_transaction: Transaction) -> None:
    pass


async def test_the_schema_can_be_made_taken_back_and_made_again(postgres: PostgresServer) -> None:
    engine = create_engine(postgres.new_database().replace("postgresql:", "postgresql+psycopg:"))
    tables: list[set[str]] = []
    for step in (migrated, reverted, migrated, migrated):
        step(engine)
        tables.append(set(inspect(engine).get_table_names()) - {"alembic_version"})
    engine.dispose()
    whole = {"idempotency", "quota", "audit", "audit_checkpoints", "approvals", "approval_votes"}
    assert tables == [whole, set(), whole, whole]


async def test_both_databases_have_the_same_tables_and_columns(postgres: PostgresServer, tmp_path: Path) -> None:
    url, file = postgres.new_database(), tmp_path / "backoffice.db"
    for database in (PostgresDatabase(url), SqliteDatabase(file)):
        await database.transact(nothing)
        await database.aclose()
    found: list[dict[str, list[str]]] = []
    for engine in (
        create_engine(url.replace("postgresql:", "postgresql+psycopg:")),
        create_engine(f"sqlite:///{file}"),
    ):
        seen = inspect(engine)
        tables = sorted(set(seen.get_table_names()) - {"alembic_version"})
        found.append({table: [column["name"] for column in seen.get_columns(table)] for table in tables})
        engine.dispose()
    assert found[0] == found[1]


async def test_a_schema_that_is_newer_is_used_as_it_is(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    migrated(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    engine.dispose()
    database = PostgresDatabase(url)
    assert await database.transact(lambda t: t.execute("SELECT count(*) FROM audit")) == [(0,)]
    await database.aclose()


async def test_a_statement_that_takes_too_long_is_given_up(postgres: PostgresServer) -> None:
    database = PostgresDatabase(postgres.new_database() + "&options=-c%20statement_timeout%3D200")
    await database.transact(nothing)
    started = time.monotonic()
    with pytest.raises(BackendUnavailable):
        await database.transact(lambda transaction: transaction.execute("SELECT pg_sleep(10)"))
    assert time.monotonic() - started < 5
    await database.aclose()


async def test_a_server_that_is_not_there_is_told_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    database = PostgresDatabase("postgresql://backoffice:hunter2hunter2@127.0.0.1:1/backoffice")
    with pytest.raises(BackendUnavailable) as raised:
        await database.transact(nothing)
    await database.aclose()
    assert str(raised.value) == "PostgreSQL: cannot be used at the moment."
    assert "refused" in caplog.text
    assert "hunter2hunter2" not in caplog.text
    assert SECRETS.scrub("hunter2hunter2") == "[secret]"


@pytest.mark.parametrize("url", ["mysql://host/database", "host/database", "postgresql://host:port:port/", ""])
def test_what_is_no_url_of_postgresql_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match="BACKOFFICE_DATABASE_URL") as raised:
        PostgresDatabase(url)
    assert not url or url not in str(raised.value)


async def test_the_settings_say_which_database_it_is(tmp_path: Path, postgres: PostgresServer) -> None:
    kept, shared = {"state_dir": tmp_path}, {"database_url": postgres.new_database()}
    databases = [
        open_database(Settings.model_validate(given), "customer", ephemeral=ephemeral)
        for given, ephemeral in ((kept, False), (kept, True), ({}, True), (kept | shared, False), (shared, True))
    ]
    for database in databases:
        await database.transact(nothing)
        await database.aclose()
    assert [type(database) for database in databases] == [SqliteDatabase] * 3 + [PostgresDatabase] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["customer.db"]


def test_without_its_libraries_the_operator_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from backoffice_shared.errors import InvalidInput\n"
        "from backoffice_shared.settings import Settings\n"
        "from backoffice_shared.state.opened import open_database\n"
        "try:\n    open_database(Settings(database_url='postgresql://localhost/x'), 'customer')\n"
        "except InvalidInput as error:\n    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == (
        "PostgreSQL needs a library that is not installed (psycopg). Install backoffice-shared[postgres].\n"
    )


def test_whoever_does_not_use_postgresql_does_not_load_its_libraries() -> None:
    program = (
        "import sys, backoffice_shared.mcp.opening, backoffice_shared.audit.opened; print('sqlalchemy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"
