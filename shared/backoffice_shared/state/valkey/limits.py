"""Limits that hold for all replicas together, on the store's clock.

A window is kept as a hundred slices of time, and the slice in which it begins counts as a whole: never more than the
limit is granted in any window, and at the limit about one part in a hundred less.

While the store is away, each process gives its share of the limit, of which what it was granted lately counts as
taken. When the store is back, it is told what was given meanwhile. So where calls are spread evenly, the limit
holds throughout. In the worst case, all calls before an outage having come to one process, a window that an outage
begins or ends in has the limit and once more the shares of all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.limits import Ask, Limit, Verdict
from backoffice_shared.state.memory import MemoryLimits
from backoffice_shared.state.valkey.debts import Debts, Grants
from backoffice_shared.state.valkey.shares import share
from backoffice_shared.state.valkey.store import Script, Store

_TAKE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asked = cjson.decode(ARGV[1])

local function width(ask) return ask.window / 100 end

local function grant(key, ask, at, cost)
    redis.call('HINCRBY', key, string.format('%.0f', math.floor(at / width(ask))), cost)
    redis.call('PEXPIRE', key, math.ceil((ask.window + width(ask)) / 1000))
end

local function slices(key, ask)
    local oldest, found = math.floor((now - ask.window) / width(ask)), {}
    local fields = redis.call('HGETALL', key)
    for n = 1, #fields, 2 do
        local slice = tonumber(fields[n])
        if slice < oldest then
            redis.call('HDEL', key, fields[n])
        else
            table.insert(found, {ends = (slice + 1) * width(ask), granted = tonumber(fields[n + 1])})
        end
    end
    return found
end

local function wait(key, ask)
    local found, over = slices(key, ask), ask.cost - ask.count
    for _, slice in ipairs(found) do over = over + slice.granted end
    if over <= 0 then return 0 end
    table.sort(found, function(a, b) return a.ends < b.ends end)
    for _, slice in ipairs(found) do
        over = over - slice.granted
        if over <= 0 then return math.max(math.ceil(slice.ends + ask.window - now), 1000) end
    end
    return ask.window
end

for n, key in ipairs(KEYS) do
    for _, owed in ipairs(asked[n].owed) do grant(key, asked[n], now - owed[1], owed[2]) end
end
for n, key in ipairs(KEYS) do
    local microseconds = wait(key, asked[n])
    if microseconds > 0 then return {n, microseconds} end
end
for n, key in ipairs(KEYS) do grant(key, asked[n], now, asked[n].cost) end
return {0, 0}
""")


class ValkeyLimits:
    def __init__(self, store: Store, *, replicas: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._replicas = replicas
        self._clock = clock
        self._own = MemoryLimits(clock=clock)
        self._debts = Debts()

    async def take(self, asked: Sequence[Ask]) -> Verdict:
        try:
            with self._debts.telling([ask.key for ask in asked]) as owed:
                number, microseconds = await self._store.run(
                    _TAKE, [f"limit:{ask.key}" for ask in asked], [self._written(asked, owed)]
                )
        except BackendUnavailable:
            return await self._take_of_share(asked)
        if number:
            return Verdict(number - 1, microseconds / 1e6)
        self._own.count(asked)
        return Verdict()

    def _written(self, asked: Sequence[Ask], owed: Sequence[Grants]) -> str:
        """For the script: times in microseconds, what is owed as pairs of how long ago and how much."""
        now = self._clock.now()
        return json.dumps(
            [
                {
                    "count": ask.limit.count,
                    "window": ask.limit.seconds * 1e6,
                    "cost": ask.cost,
                    "owed": [[(now - at) * 1e6, cost] for at, cost in grants],
                }
                for ask, grants in zip(asked, owed, strict=True)
            ]
        )

    async def _take_of_share(self, asked: Sequence[Ask]) -> Verdict:
        shares = [share(ask.limit.count, self._replicas) for ask in asked]
        verdict = await self._own.take(
            [Ask(ask.key, Limit(part, ask.limit.seconds), ask.cost) for ask, part in zip(asked, shares, strict=True)]
        )
        if verdict.allowed:
            for ask, part in zip(asked, shares, strict=True):
                self._debts.add(ask.key, self._clock.now(), ask.cost, most=part)
        return verdict
