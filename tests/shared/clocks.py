"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio


class ManualClock:
    """Sleeping is noted in `slept` and moves the time on at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


async def settle() -> None:
    """Let every task that can run do so, until all of them wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)
