"""How much somebody may do in a day, in one process and for all replicas together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.real.postgres import PostgresServer
from tests.real.valkey import ValkeyServer
from tests.shared.state.replicas import PATIENT

from backoffice_shared.state.memory import MemoryQuotas
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.quotas import Granted, Quota, Quotas
from backoffice_shared.state.spent import SpentQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.valkey.quotas import KEEP, ValkeyQuotas
from backoffice_shared.state.valkey.store import Store

pytestmark = pytest.mark.anyio

EUR = Quota("agent:20261125:EUR", 40, 100, 3600, strict=True)
CALLS = Quota("agent:20261125:calls", 1, 2, 3600)


async def test_what_is_left_is_given_and_what_goes_beyond_is_not(quotas: Quotas) -> None:
    assert [await quotas.reserve([EUR]) for _ in range(3)] == [Granted(), Granted(), Granted(0, 20)]
    assert await quotas.reserve([replace(EUR, amount=20)]) == Granted()
    assert await quotas.reserve([replace(EUR, amount=1)]) == Granted(0, 0)


async def test_several_quotas_are_reserved_together_or_not_at_all(quotas: Quotas) -> None:
    assert [await quotas.reserve([EUR, CALLS]) for _ in range(2)] == [Granted(), Granted()]
    assert await quotas.reserve([replace(EUR, amount=20), CALLS]) == Granted(1, 0)
    assert await quotas.reserve([replace(EUR, amount=20)]) == Granted()


async def test_what_did_not_happen_is_given_back(quotas: Quotas) -> None:
    await quotas.reserve([EUR])
    await quotas.reserve([EUR])
    await quotas.adjust(EUR, -40)
    assert await quotas.reserve([replace(EUR, amount=61)]) == Granted(0, 60)
    assert await quotas.reserve([replace(EUR, amount=60)]) == Granted()


async def test_what_became_known_afterwards_counts_also_beyond_the_quota(quotas: Quotas) -> None:
    read = Quota("agent:20261125:records_read", 1, 10, 3600)
    await quotas.reserve([read])
    await quotas.adjust(read, 500)
    assert await quotas.reserve([read]) == Granted(0, 0)


async def test_more_is_never_given_back_than_was_taken(quotas: Quotas) -> None:
    await quotas.adjust(EUR, -1000)
    assert await quotas.reserve([replace(EUR, amount=101)]) == Granted(0, 100)


async def test_a_quota_of_nothing_gives_nothing(quotas: Quotas) -> None:
    assert await quotas.reserve([replace(EUR, amount=1, most=0)]) == Granted(0, 0)


async def test_amounts_beyond_32_bits_are_counted_exactly(quotas: Quotas) -> None:
    much = replace(EUR, amount=4_000_000_000_000_001, most=9_000_000_000_000_000)
    assert await quotas.reserve([much]) == Granted()
    assert await quotas.reserve([much]) == Granted()
    assert await quotas.reserve([much]) == Granted(0, 999_999_999_999_998)


async def test_of_many_at_once_exactly_as_many_as_fit_are_given(quotas: Quotas) -> None:
    asked = [quotas.reserve([replace(EUR, amount=3)]) for _ in range(100)]
    assert sum(granted.allowed for granted in await asyncio.gather(*asked)) == 33


async def test_another_day_is_another_quota(quotas: Quotas) -> None:
    await quotas.reserve([replace(EUR, amount=100)])
    assert await quotas.reserve([replace(EUR, key="agent:20261126:EUR")]) == Granted()


# What a restart must not refill


async def test_money_that_was_spent_is_spent_after_a_restart(tmp_path: Path) -> None:
    for left in (Granted(), Granted(), Granted(0, 20)):
        database = SqliteDatabase(tmp_path / "backoffice.db")
        assert await SpentQuotas(database, MemoryQuotas()).reserve([EUR, CALLS]) == left
        await database.aclose()


async def test_replicas_on_one_postgresql_spend_from_one_quota(postgres: PostgresServer) -> None:
    replicas = [PostgresDatabase(url) for url in [postgres.new_database()] * 3]
    asked = [SpentQuotas(database, MemoryQuotas()).reserve([replace(EUR, amount=3)]) for database in replicas * 20]
    assert sum(granted.allowed for granted in await asyncio.gather(*asked)) == 33
    for database in replicas:
        await database.aclose()


async def test_while_the_database_is_away_no_money_is_given_and_nothing_else_is_counted() -> None:
    quotas = SpentQuotas(SqliteDatabase("/dev/null/nowhere.db"), MemoryQuotas())
    for _ in range(3):
        assert await quotas.reserve([CALLS, EUR]) == Granted(1, -1)
    await quotas.adjust(EUR, -40)
    assert [(await quotas.reserve([CALLS])).allowed for _ in range(3)] == [True, True, False]


async def test_days_that_are_over_are_not_kept(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "backoffice.db")
    quotas = SpentQuotas(database, MemoryQuotas())
    await quotas.reserve([replace(EUR, key="yesterday", ends_in=-1)])
    await quotas.reserve([EUR])
    assert await database.transact(lambda t: t.execute("SELECT key FROM quota")) == [(EUR.key,)]
    await database.aclose()


# Any number of replicas


Steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("xy"), st.integers(0, 60), st.booleans(), st.integers(-70, 70)),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(steps=Steps)
def test_three_replicas_count_as_one_would(
    the_valkey: ValkeyServer, steps: Sequence[tuple[int, str, int, bool, int]]
) -> None:
    """Each keeps an account of its own; only what a replica took itself can it give back."""
    the_valkey.ask("FLUSHALL")

    async def compare() -> None:
        used = {(replica, name): 0 for replica in range(3) for name in "xy"}
        async with Store(the_valkey.url, budget=PATIENT).running() as store:
            replicas = [ValkeyQuotas(store, replicas=3) for _ in range(3)]
            for number, name, amount, reserves, by in steps:
                quota = Quota(name, amount, 100, 3600, strict=True)
                total = sum(used[replica, name] for replica in range(3))
                if reserves:
                    granted = await replicas[number].reserve([quota])
                    fits = total + amount <= 100
                    assert granted == (Granted() if fits else Granted(0, max(100 - total, 0)))
                    used[number, name] += amount if fits else 0
                else:
                    await replicas[number].adjust(quota, by)
                    used[number, name] = max(used[number, name] + by, 0)

    asyncio.run(compare())


# What only a shared quota can get wrong


@pytest.fixture
async def store(valkey: ValkeyServer) -> AsyncGenerator[Store]:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        yield store


async def test_a_counter_outlives_its_day_by_an_hour_and_no_more(valkey: ValkeyServer, store: Store) -> None:
    await ValkeyQuotas(store, replicas=1).reserve([EUR])
    left = int(valkey.ask("PTTL", "{backoffice}:quota:" + EUR.key).strip(b":\r\n")) / 1000
    assert 3600 + KEEP - 5 < left <= 3600 + KEEP


async def test_a_replica_that_has_ended_has_still_spent(store: Store) -> None:
    await ValkeyQuotas(store, replicas=2).reserve([replace(EUR, amount=90)])
    assert await ValkeyQuotas(store, replicas=2).reserve([EUR]) == Granted(0, 10)


async def test_a_store_that_forgot_everything_is_told_again_by_those_who_remember(
    valkey: ValkeyServer, store: Store
) -> None:
    replicas = [ValkeyQuotas(store, replicas=2) for _ in range(2)]
    thirty = replace(EUR, amount=30)
    for replica in replicas:
        await replica.reserve([thirty])
    valkey.ask("FLUSHALL")
    assert [await replica.reserve([thirty]) for replica in replicas] == [Granted(), Granted(0, 10)]
    assert await replicas[0].reserve([thirty]) == Granted(0, 10)
