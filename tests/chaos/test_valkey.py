"""Valkey hangs, dies and starts anew under load: nobody waits for it, limits stay bounded, and no money is spent on trust."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import pytest
from tests.real.valkey import ValkeyServer, the_valkey, valkey
from tests.shared.state.windows import Span, worst_window

from backoffice_shared.state.limits import Ask, Limit
from backoffice_shared.state.quotas import Quota
from backoffice_shared.state.valkey.opened import Shared, shared

__all__ = ["the_valkey", "valkey"]

pytestmark = pytest.mark.anyio

REPLICAS = 2
CALLERS = 6
EVERY = 0.01  # seconds between the calls of one of them
LIMIT = Ask("agent", Limit(100, 0.5))
MONEY = Quota("agent:EUR", 7, 1_000_000, 3600, strict=True)
RECORDS = Quota("agent:records", 1, 1_000_000, 3600)
AWAY = ("hung", "dead")
ADDED = 0.06  # seconds that a call may lose
RECOVERED = 3.0  # seconds after the store is back


@dataclass
class Phase:
    name: str
    took: list[float] = field(default_factory=list[float])
    """Seconds, of every operation that was begun in it."""
    paid: list[Span] = field(default_factory=list[Span])
    closed: int = 0

    @property
    def p99(self) -> float:
        return sorted(self.took)[len(self.took) * 99 // 100]

    def told(self) -> str:
        return (
            f"{self.name:>10}: {len(self.took)} operations, p99 {self.p99 * 1e3:.1f} ms, longest "
            f"{max(self.took) * 1e3:.1f} ms; money given {len(self.paid)} times, refused {self.closed} times"
        )


class Load:
    """Callers of all replicas, for as long as it lasts. `phase` is what they are noted in."""

    def __init__(self, replicas: list[Shared]) -> None:
        self._replicas = replicas
        self.phase = Phase("start")
        self.granted: list[Span] = []

    async def call(self, number: int) -> None:
        state = self._replicas[number % len(self._replicas)]
        while True:
            phase, begun = self.phase, time.monotonic()
            if (await state.limits.take([LIMIT])).allowed:
                self.granted.append((begun, time.monotonic()))
            phase.took.append(time.monotonic() - begun)
            begun = time.monotonic()
            granted = await state.quotas.reserve([RECORDS, MONEY] if number % 3 else [MONEY])
            phase.took.append(time.monotonic() - begun)
            if granted.allowed:
                phase.paid.append((begun, time.monotonic()))
            else:
                assert granted.left == -1, "there is enough"
                phase.closed += 1
            await asyncio.sleep(EVERY)


@asynccontextmanager
async def load(url: str) -> AsyncGenerator[Load]:
    async with (
        shared(url, replicas=REPLICAS, seal_key=None) as first,
        shared(url, replicas=REPLICAS, seal_key=None) as second,
    ):
        running = Load([first, second])
        callers = [asyncio.create_task(running.call(number)) for number in range(CALLERS)]
        yield running
        for caller in callers:
            caller.cancel()
        ended = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


@pytest.mark.timeout(240)
async def test_nobody_waits_for_a_store_that_hangs_or_dies_and_it_is_used_again_when_it_is_back(
    valkey: ValkeyServer, soak: bool
) -> None:
    seconds = 15.0 if soak else 1.5
    phases: list[Phase] = []
    recovered: list[float] = []

    async with load(valkey.url) as running:

        async def passes(name: str, what: AbstractContextManager[None]) -> None:
            with what:
                outage_since = time.monotonic()
                running.phase = Phase(name)
                phases.append(running.phase)
                await asyncio.sleep(seconds)
                over = time.monotonic()
            if name in AWAY:
                assert not any(begun > outage_since for begun, _ in running.phase.paid), "given while it was away"
            if name != "healthy":
                running.phase = Phase(f"after {name}")
                while not running.phase.paid:
                    assert time.monotonic() < over + RECOVERED
                    await asyncio.sleep(0.01)
                recovered.append(running.phase.paid[0][1] - over)

        await passes("healthy", nullcontext())
        await passes("hung", valkey.frozen())
        await passes("healthy", nullcontext())
        await passes("dead", valkey.stopped())
        await passes("healthy", nullcontext())
        restarting = asyncio.to_thread(valkey.restart)
        await asyncio.gather(passes("restarted", nullcontext()), restarting)

    worst = worst_window(running.granted, LIMIT.limit.seconds)
    print("\n" + "\n".join(phase.told() for phase in phases))
    print(f"worst window {worst} of {LIMIT.limit.count}; money given again after {recovered} s")
    healthy = phases[0].p99
    for phase in phases:
        assert phase.p99 - healthy <= ADDED, phase.told()
    assert worst <= 2 * LIMIT.limit.count, "the limit, and the shares of all"
    assert all(phase.closed for phase in phases if phase.name in AWAY)
