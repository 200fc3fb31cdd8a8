"""Time that stands still: whoever sleeps wakes when the test has let that much time pass."""

from __future__ import annotations

import asyncio

from tests.shared.clocks import settle


class StillClock:
    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        sleeper = (self._now + seconds, woken)
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            self._sleepers.remove(sleeper)

    @property
    def asleep(self) -> list[float]:
        """The seconds until each sleeper wakes."""
        return sorted(round(until - self._now, 3) for until, _ in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody act who wakes meanwhile."""
        end = self._now + seconds
        while due := sorted(until for until, woken in self._sleepers if until <= end and not woken.done()):
            self._now = due[0]
            for until, woken in self._sleepers:
                if until <= self._now and not woken.done():
                    woken.set_result(None)
            await settle()
        self._now = end
        await settle()
