"""A vendor's limit, kept by all replicas together: a token bucket that is told by when it will be full again (GCRA).

While the store is away, each process keeps an equal part of the rate by itself.
"""

from __future__ import annotations

from backoffice_shared.backend import Rate
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.memory import MemoryTurns
from backoffice_shared.state.valkey.store import Script, Store

_TURN = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left, blocked = tonumber(ARGV[4]), tonumber(ARGV[5])

local kept = redis.call('HMGET', KEYS[1], 'full', 'free')
local full = math.max(math.max(tonumber(kept[1]) or 0, now) + taken * interval, now)
local free = tonumber(kept[2]) or now
if left then full = math.max(full, now + (burst - left) * interval) end
if blocked then free = math.max(free, now + blocked) end

redis.call('HSET', KEYS[1], 'full', string.format('%.0f', full), 'free', string.format('%.0f', free))
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(full, free) - now) / 1000) + 1000)
return math.ceil(math.max(full - burst * interval, free, now) - now)
""")


class ValkeyTurns:
    def __init__(self, store: Store, *, replicas: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._replicas = replicas
        self._own = MemoryTurns(clock=clock)

    async def take(self, vendor: str, rate: Rate) -> float:
        try:
            return await self._told(vendor, rate, taken=1)
        except BackendUnavailable:
            return await self._own.take(vendor, self._part(rate))

    async def give_back(self, vendor: str, rate: Rate) -> None:
        try:
            await self._told(vendor, rate, taken=-1)
        except BackendUnavailable:
            await self._own.give_back(vendor, self._part(rate))

    async def learn(self, vendor: str, rate: Rate, *, left: float | None = None, blocked: float | None = None) -> None:
        """Known here as well: the store may be away when it matters."""
        part = None if left is None else left / self._replicas
        await self._own.learn(vendor, self._part(rate), left=part, blocked=blocked)
        try:
            await self._told(vendor, rate, left=left, blocked=blocked)
        except BackendUnavailable:
            pass

    async def _told(
        self, vendor: str, rate: Rate, *, taken: int = 0, left: float | None = None, blocked: float | None = None
    ) -> float:
        """Seconds until the turn has come."""
        given = (
            f"{rate.seconds / rate.requests * 1e6:f}",
            f"{rate.burst:f}",
            str(taken),
            "" if left is None else f"{max(left, 0.0):f}",
            "" if blocked is None else f"{blocked * 1e6:f}",
        )
        microseconds: int = await self._store.run(_TURN, [f"turn:{vendor}"], given)
        return microseconds / 1e6

    def _part(self, rate: Rate) -> Rate:
        return Rate(rate.requests / self._replicas, rate.seconds, max(1.0, rate.burst / self._replicas))
