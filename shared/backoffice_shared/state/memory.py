"""Limits and quotas of one process. Nothing is shared, nothing survives a restart."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.state.limits import Ask, Verdict
from backoffice_shared.state.quotas import Granted, Quota

MOST_KEYS = 10_000
"""Keys remembered. Keys are made of agents and tools, which an operator names, so that strangers cannot add any."""


class MemoryLimits:
    """An exact moving window: the times of what was granted, as long as they count."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._granted: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()  # time, cost

    async def take(self, asked: Sequence[Ask]) -> Verdict:
        now = self._clock.now()
        for index, ask in enumerate(asked):
            if (wait := self._wait(ask, now)) > 0:
                return Verdict(index, wait)
        for ask in asked:
            self._log(ask.key).append((now, ask.cost))
        return Verdict()

    def _wait(self, ask: Ask, now: float) -> float:
        """Seconds until it fits; 0 when it does. What costs more than the limit never fits."""
        log = self._log(ask.key)
        while log and log[0][0] <= now - ask.limit.seconds:
            log.popleft()
        over = sum(cost for _, cost in log) + ask.cost - ask.limit.count
        if over <= 0:
            return 0.0
        for at, cost in log:
            over -= cost
            if over <= 0:
                return max(at + ask.limit.seconds - now, 0.001)
        return ask.limit.seconds

    def _log(self, key: str) -> deque[tuple[float, int]]:
        log = self._granted.get(key)
        if log is None:
            log = self._granted[key] = deque()
            if len(self._granted) > MOST_KEYS:
                self._granted.popitem(last=False)
        else:
            self._granted.move_to_end(key)
        return log


class MemoryQuotas:
    """Counters that end at a known time."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._used: OrderedDict[str, tuple[int, float]] = OrderedDict()  # used, ends at

    async def reserve(self, asked: Sequence[Quota]) -> Granted:
        for index, quota in enumerate(asked):
            left = quota.most - self._so_far(quota)
            if quota.amount > left:
                return Granted(index, max(left, 0))
        for quota in asked:
            self._count(quota, quota.amount)
        return Granted()

    async def adjust(self, quota: Quota, by: int) -> None:
        self._count(quota, by)

    def _so_far(self, quota: Quota) -> int:
        used, ends_at = self._used.get(quota.key, (0, 0.0))
        return used if self._clock.now() < ends_at else 0

    def _count(self, quota: Quota, amount: int) -> None:
        self._used[quota.key] = (max(self._so_far(quota) + amount, 0), self._clock.now() + quota.ends_in)
        self._used.move_to_end(quota.key)
        while len(self._used) > MOST_KEYS:
            self._used.popitem(last=False)
