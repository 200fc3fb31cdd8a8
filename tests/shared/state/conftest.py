"""Fixtures: the same tests on the state of one process and on that of all replicas."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.real.postgres import postgres, the_postgres
from tests.real.valkey import ValkeyServer, the_valkey, valkey
from tests.shared.state.passing import Passing
from tests.shared.state.replicas import PATIENT

from backoffice_shared.state.limits import Limits
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas, MemoryTurns
from backoffice_shared.state.quotas import Quotas
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


@pytest.fixture
async def quotas(where: str, passing: Passing, request: pytest.FixtureRequest) -> AsyncGenerator[Quotas]:
    if where == "memory":
        yield MemoryQuotas(clock=passing)
        return
    async with running(request) as store:
        yield ValkeyQuotas(store, replicas=1)


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
