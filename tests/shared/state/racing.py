"""A replica: another process, which uses one limit and one quota of money as fast as it may, and races for keys.

Run with the URLs of Valkey and PostgreSQL, how many replicas there are, and for how long. It says when it is ready,
begins when it is told to, and prints what it got as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field

from tests.shared.state.replicas import PATIENT
from tests.shared.state.windows import Span

from backoffice_shared.state.limits import Ask, Limit
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.quotas import Quota
from backoffice_shared.state.records import Claim
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.valkey.limits import ValkeyLimits
from backoffice_shared.state.valkey.quotas import ValkeyQuotas
from backoffice_shared.state.valkey.store import Store

LIMIT = Ask("agent", Limit(100, 1.0))
MONEY = Quota("agent:EUR", 7, 10_000, 3600, strict=True)
KEY_EVERY = 0.05  # seconds; all replicas want the same key at the same moment


@dataclass
class Got:
    granted: list[Span] = field(default_factory=list[Span])
    asked: int = 0
    spent: int = 0
    wanted: list[int] = field(default_factory=list[int])
    claimed: list[int] = field(default_factory=list[int])


async def race(store: Store, records: StoredRecords, replicas: int, seconds: float) -> Got:
    got, until = Got(), time.monotonic() + seconds
    limits, quotas = ValkeyLimits(store, replicas=replicas), ValkeyQuotas(store, replicas=replicas)
    await asyncio.gather(spend(got, limits, quotas, until), claim(got, records, until))
    return got


async def spend(got: Got, limits: ValkeyLimits, quotas: ValkeyQuotas, until: float) -> None:
    while (begun := time.monotonic()) < until:
        got.asked += 1
        if (await limits.take([LIMIT])).allowed:
            got.granted.append((begun, time.monotonic()))
        if (await quotas.reserve([MONEY])).allowed:
            got.spent += MONEY.amount
            if got.asked % 10 == 0:  # what did not happen
                await quotas.adjust(MONEY, -MONEY.amount)
                got.spent -= MONEY.amount
        await asyncio.sleep(0.002)


async def claim(got: Got, records: StoredRecords, until: float) -> None:
    while (now := time.monotonic()) < until:
        key = int(now / KEY_EVERY) + 1
        await asyncio.sleep(key * KEY_EVERY - now)
        got.wanted.append(key)
        if isinstance(await records.claim("agent:refund", f"key {key}", "f", lease=60), Claim):
            got.claimed.append(key)


async def main(valkey: str, postgres: str, replicas: int, seconds: float) -> None:
    database = PostgresDatabase(postgres)
    records = StoredRecords(database)
    await records.claim("agent:refund", "a key of nobody else's", "f", lease=60)  # connected, and the schema is there
    async with Store(valkey, budget=PATIENT).running() as store:
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        got = await race(store, records, replicas, seconds)
    await database.aclose()
    print(json.dumps(asdict(got)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
