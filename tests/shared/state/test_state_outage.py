"""What a process gives while the shared store is away, and what the store is told when it is back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from tests.e2e.running import eventually
from tests.real.valkey import ValkeyServer
from tests.shared.state.replicas import PATIENT

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.limits import Ask, Limit
from backoffice_shared.state.quotas import Granted, Quota
from backoffice_shared.state.valkey.limits import ValkeyLimits
from backoffice_shared.state.valkey.quotas import ValkeyQuotas
from backoffice_shared.state.valkey.store import Script, Store

pytestmark = pytest.mark.anyio

TEN = Ask("agent", Limit(10, 600))
RECORDS = Quota("agent:records", 1, 10, 3600)
MONEY = Quota("agent:EUR", 1, 10, 3600, strict=True)


@pytest.fixture
async def store(valkey: ValkeyServer) -> AsyncGenerator[Store]:
    async with Store(valkey.url, budget=PATIENT).running() as store:
        yield store


async def is_back(store: Store) -> bool:
    try:
        await store.run(Script("return 1"), [])
    except BackendUnavailable:
        return False
    return True


async def takes(limits: ValkeyLimits, times: int, ask: Ask = TEN) -> int:
    """How many of them were granted."""
    return sum([(await limits.take([ask])).allowed for _ in range(times)])


async def uses(quotas: ValkeyQuotas, times: int, quota: Quota = RECORDS) -> int:
    return sum([(await quotas.reserve([quota])).allowed for _ in range(times)])


@pytest.mark.parametrize(("replicas", "part"), [(1, 10), (2, 5), (3, 3), (100, 1)])
async def test_without_the_store_each_gives_its_share_of_a_limit_and_of_a_quota(
    valkey: ValkeyServer, store: Store, replicas: int, part: int
) -> None:
    limits, quotas = ValkeyLimits(store, replicas=replicas), ValkeyQuotas(store, replicas=replicas)
    valkey.stop()
    assert await takes(limits, 12) == part
    assert await uses(quotas, 12) == part
    assert await uses(quotas, 1, replace(RECORDS, most=0)) == 0


async def test_what_a_process_took_before_an_outage_counts_in_it(valkey: ValkeyServer, store: Store) -> None:
    limits, quotas = ValkeyLimits(store, replicas=2), ValkeyQuotas(store, replicas=2)
    await takes(limits, 4)
    await uses(quotas, 4)
    valkey.stop()
    assert await takes(limits, 5) == 1
    assert await uses(quotas, 5) == 1


async def test_what_was_given_in_an_outage_counts_for_all_after_it(valkey: ValkeyServer, store: Store) -> None:
    limits = [ValkeyLimits(store, replicas=2) for _ in range(2)]
    quotas = [ValkeyQuotas(store, replicas=2) for _ in range(2)]
    with valkey.stopped():
        assert [await takes(one, 9) for one in limits] == [5, 5]
        assert [await uses(one, 9) for one in quotas] == [5, 5]
    await eventually(lambda: is_back(store))
    assert await takes(limits[0], 9) == 5, "it cannot know yet what the other gave"
    assert [await takes(one, 1) for one in (limits[1], limits[0])] == [0, 0]
    assert await uses(quotas[0], 9) == 5
    assert [await uses(one, 1) for one in (quotas[1], quotas[0])] == [0, 0]


async def test_money_is_not_given_on_trust_and_nothing_else_with_it(valkey: ValkeyServer, store: Store) -> None:
    quotas = ValkeyQuotas(store, replicas=1)
    with valkey.stopped():
        assert await quotas.reserve([RECORDS, MONEY]) == Granted(1, -1)
    await eventually(lambda: is_back(store))
    assert await quotas.reserve([replace(RECORDS, amount=10), replace(MONEY, amount=10)]) == Granted()


async def test_what_did_not_happen_is_given_back_also_after_an_outage(valkey: ValkeyServer, store: Store) -> None:
    quotas = [ValkeyQuotas(store, replicas=2) for _ in range(2)]
    await quotas[0].reserve([replace(MONEY, amount=9)])
    with valkey.stopped():
        await quotas[0].adjust(MONEY, -9)
    await eventually(lambda: is_back(store))
    assert await quotas[1].reserve([replace(MONEY, amount=2)]) == Granted(0, 1), "only the other one knows"
    assert await quotas[0].reserve([MONEY]) == Granted()
    assert await quotas[1].reserve([replace(MONEY, amount=9)]) == Granted()


async def test_an_answer_that_was_lost_is_not_counted_for_good(valkey: ValkeyServer, store: Store) -> None:
    """The store did as it was asked, and nobody heard of it."""
    quotas = ValkeyQuotas(store, replicas=1)
    await quotas.reserve([MONEY])
    account = "{backoffice}:quota:" + MONEY.key
    process = valkey.ask("HKEYS", account).split(b"\r\n")[2].decode()
    valkey.ask("HINCRBY", account, process, "9")
    assert await quotas.reserve([replace(MONEY, amount=9)]) == Granted()
