"""Fixtures: the same tests on the state of one process and on that of all replicas."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.real.postgres import PostgresServer, postgres, the_postgres
from tests.real.valkey import ValkeyServer, the_valkey, valkey
from tests.shared.state.passing import Passing
from tests.shared.state.replicas import PATIENT

from backoffice_shared.state.database import Database
from backoffice_shared.state.limits import Limits
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas, MemoryTurns
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.quotas import Quotas
from backoffice_shared.state.spent import SpentQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.turns import Turns
from backoffice_shared.state.valkey.limits import ValkeyLimits
from backoffice_shared.state.valkey.quotas import ValkeyQuotas
from backoffice_shared.state.valkey.store import Store
from backoffice_shared.state.valkey.turns import ValkeyTurns

__all__ = ["postgres", "the_postgres", "the_valkey", "valkey"]


@pytest.fixture(params=["memory", "valkey"])
def where(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def passing(where: str) -> Passing:
    """Time. Valkey's own cannot be moved."""
    return Passing(real=where == "valkey")


@pytest.fixture
async def limits(where: str, passing: Passing, request: pytest.FixtureRequest) -> AsyncGenerator[Limits]:
    if where == "memory":
        yield MemoryLimits(clock=passing)
        return
    async with running(request) as store:
        yield ValkeyLimits(store, replicas=1)


@pytest.fixture(params=["memory", "sqlite", "postgres", "valkey"])
def counted_in(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def quotas(counted_in: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Quotas]:
    """What is not strict is in memory, unless it is in Valkey."""
    match counted_in:
        case "memory":
            yield MemoryQuotas()
        case "valkey":
            async with running(request) as store:
                yield ValkeyQuotas(store, replicas=1)
        case _:
            async with database(counted_in, request, tmp_path) as kept:
                yield SpentQuotas(kept, MemoryQuotas())


@asynccontextmanager
async def database(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncGenerator[Database]:
    if kind == "sqlite":
        found: Database = SqliteDatabase(folder / "backoffice.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        found = PostgresDatabase(server.new_database())
    yield found
    await found.aclose()


@pytest.fixture
async def turns(where: str, passing: Passing, request: pytest.FixtureRequest) -> AsyncGenerator[Turns]:
    if where == "memory":
        yield MemoryTurns(clock=passing)
        return
    async with running(request) as store:
        yield ValkeyTurns(store, replicas=1)


@asynccontextmanager
async def running(request: pytest.FixtureRequest) -> AsyncGenerator[Store]:
    server: ValkeyServer = request.getfixturevalue("valkey")
    async with Store(server.url, budget=PATIENT).running() as store:
        yield store
