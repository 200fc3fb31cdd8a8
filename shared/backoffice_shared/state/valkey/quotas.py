"""Quotas of a day that hold for all replicas together.

A quota is one counter for each process that used some of it: what it used by its own account. With every question
the process says that account anew. So the sum is right also after answers were lost, after an outage in which
processes gave of their shares, and after the store itself forgot everything, as soon as those who remember have asked.

While the store is away, each process gives its share, of which what it used that day counts as taken; of what is
strict, it gives nothing.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence

from cachetools import LRUCache

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.memory import MOST_KEYS
from backoffice_shared.state.quotas import Granted, Quota
from backoffice_shared.state.valkey.shares import share
from backoffice_shared.state.valkey.store import Script, Store

KEEP = 3600.0  # seconds beyond the end of the day: clocks differ

_COUNT = Script("""
local process = ARGV[1]
local asked = cjson.decode(ARGV[2])

local function account(key, ask, used)
    redis.call('HSET', key, process, string.format('%.0f', used))
    redis.call('PEXPIRE', key, ask.keep)
end

for n, key in ipairs(KEYS) do
    if asked[n].own then account(key, asked[n], asked[n].own) end
end
for n, key in ipairs(KEYS) do
    if asked[n].most then
        local left = asked[n].most
        for _, used in ipairs(redis.call('HVALS', key)) do left = left - used end
        if asked[n].amount > left then return {n, math.max(left, 0)} end
    end
end
local accounts = {0}
for n, key in ipairs(KEYS) do
    local used = math.max((redis.call('HGET', key, process) or 0) + asked[n].amount, 0)
    account(key, asked[n], used)
    table.insert(accounts, used)
end
return accounts
""")


class ValkeyQuotas:
    def __init__(self, store: Store, *, replicas: int) -> None:
        self._store = store
        self._replicas = replicas
        self._process = secrets.token_hex(8)
        self._own: LRUCache[str, int] = LRUCache(MOST_KEYS)  # what is not here, only the store knows
        self._one_at_a_time = asyncio.Lock()  # or an older account could overtake a newer one

    async def reserve(self, asked: Sequence[Quota]) -> Granted:
        try:
            number, *told = await self._count(asked, bounded=True)
        except (BackendUnavailable, TimeoutError):
            return self._reserve_of_share(asked)
        return Granted(number - 1, *told) if number else Granted()

    async def adjust(self, quota: Quota, by: int) -> None:
        """When the store is away, it learns of it with the next question."""
        if (own := self._own.get(quota.key)) is not None:
            self._own[quota.key] = max(own + by, 0)
            by = 0
        try:
            await self._count([Quota(quota.key, by, quota.most, quota.ends_in)], bounded=False)
        except (BackendUnavailable, TimeoutError):
            pass

    async def _count(self, asked: Sequence[Quota], *, bounded: bool) -> list[int]:
        async with asyncio.timeout(self._store.budget), self._one_at_a_time:
            arguments = [self._process, self._written(asked, bounded=bounded)]
            told: list[int] = await self._store.run(_COUNT, [f"quota:{quota.key}" for quota in asked], arguments)
        if told[0] == 0:
            for quota, used in zip(asked, told[1:], strict=True):
                own = self._own.get(quota.key)
                self._own[quota.key] = used if own is None else own + quota.amount
        return told

    def _written(self, asked: Sequence[Quota], *, bounded: bool) -> str:
        return json.dumps(
            [
                {
                    "amount": quota.amount,
                    "keep": round((quota.ends_in + KEEP) * 1000),
                    **({"most": quota.most} if bounded else {}),
                    **({"own": self._own[quota.key]} if quota.key in self._own else {}),
                }
                for quota in asked
            ]
        )

    def _reserve_of_share(self, asked: Sequence[Quota]) -> Granted:
        for index, quota in enumerate(asked):
            if quota.strict:
                return Granted(index, -1)
            left = share(quota.most, self._replicas) - self._own.get(quota.key, 0)
            if quota.amount > left:
                return Granted(index, max(left, 0))
        for quota in asked:
            self._own[quota.key] = self._own.get(quota.key, 0) + quota.amount
        return Granted()
