"""Limits, quotas and turns of one process. Nothing is shared, nothing survives a restart."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

from backoffice_shared.backend import Rate
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.state.limits import Ask, Verdict
from backoffice_shared.state.quotas import Granted, Quota

MOST_KEYS = 10_000
"""Keys remembered, of those used last. Keys are made of agents, tools and who calls, so that strangers cannot add any."""


FINEST = 1_000
"""Grants of which a window keeps the exact times. Beyond them, it keeps as many slices of its length."""


class MemoryLimits:
    """A moving window: the times of what was granted, as long as they count."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def take(self, asked: Sequence[Ask]) -> Verdict:
        now = self._clock.now()
        for index, ask in enumerate(asked):
            if (wait := self._window(ask.key).wait(ask, now)) > 0:
                return Verdict(index, wait)
        self.count(asked)
        return Verdict()

    def count(self, asked: Sequence[Ask]) -> None:
        """What was granted elsewhere."""
        now = self._clock.now()
        for ask in asked:
            self._window(ask.key).add(ask, now)

    def _window(self, key: str) -> _Window:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window()
            if len(self._windows) > MOST_KEYS:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
        return window


class _Window:
    def __init__(self) -> None:
        self._granted: deque[tuple[float, int]] = deque()  # time, or the end of a slice of it, and cost
        self._sum = 0

    def wait(self, ask: Ask, now: float) -> float:
        """Seconds until it fits; 0 when it does. What costs more than the limit never fits."""
        self._forget(now - ask.limit.seconds)
        over = self._sum + ask.cost - ask.limit.count
        if over <= 0:
            return 0.0
        for at, cost in self._granted:
            over -= cost
            if over <= 0:
                return min(max(at + ask.limit.seconds - now, 0.001), ask.limit.seconds)
        return ask.limit.seconds

    def add(self, ask: Ask, now: float) -> None:
        self._forget(now - ask.limit.seconds)
        self._sum += ask.cost
        if self._granted and now < self._granted[-1][0]:
            until, before = self._granted.pop()
            self._granted.append((until, before + ask.cost))
        elif len(self._granted) < FINEST:
            self._granted.append((now, ask.cost))
        else:
            self._granted.append((now + ask.limit.seconds / FINEST, ask.cost))

    def _forget(self, until: float) -> None:
        while self._granted and self._granted[0][0] <= until:
            self._sum -= self._granted.popleft()[1]


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


class MemoryTurns:
    """A token bucket for each vendor, which may owe tokens: those are turns in the future."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, vendor: str, rate: Rate) -> float:
        bucket = self._filled(vendor, rate)
        bucket.tokens -= 1
        turn = -min(bucket.tokens, 0.0) * rate.seconds / rate.requests
        return max(turn, bucket.blocked_until - self._clock.now())

    async def give_back(self, vendor: str, rate: Rate) -> None:
        self._filled(vendor, rate).tokens += 1

    async def learn(self, vendor: str, rate: Rate, *, left: float | None = None, blocked: float | None = None) -> None:
        bucket = self._filled(vendor, rate)
        if left is not None:
            bucket.tokens = min(bucket.tokens, max(left, 0.0))
        if blocked is not None:
            bucket.blocked_until = max(bucket.blocked_until, self._clock.now() + blocked)

    def _filled(self, vendor: str, rate: Rate) -> _Bucket:
        now = self._clock.now()
        bucket = self._buckets.setdefault(vendor, _Bucket(rate.burst, now))
        bucket.fill(rate, now)
        return bucket


class _Bucket:
    def __init__(self, tokens: float, filled_at: float) -> None:
        self.tokens = tokens
        self.blocked_until = filled_at
        self._filled_at = filled_at

    def fill(self, rate: Rate, now: float) -> None:
        self.tokens = min(rate.burst, self.tokens + (now - self._filled_at) * rate.requests / rate.seconds)
        self._filled_at = now
