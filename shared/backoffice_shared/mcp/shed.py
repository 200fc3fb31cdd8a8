"""Too much to do: refuse early and cheaply, the least important first, before everything becomes slow.

How many calls may be under way adapts to how late this process runs (`Pulse`), not to how long calls take: one that
waits for a slow backend costs nothing, and must not take a place from those that would be quick. Beyond the limit a
call waits a tenth of a second at most, the newest of the most important kind first.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams

from backoffice_shared import account
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup, ToolFacts
from backoffice_shared.telemetry.metrics import CONCURRENCY_LIMIT, SHED

OVERLOADED = -32010
"""JSON-RPC error code, of those that the specification leaves to implementations."""

START, LEAST, MOST = 256, 16, 1024  # calls under way
LONGEST_WAIT = 0.1
BEAT = 0.05  # seconds between looks at how late we are
LATE = 0.05  # seconds of lateness that nine of ten beats must stay below
BEATS = 20

_CLASSES = ("critical", "read", "write")


class Load:
    """The limit, and who waits. The limit falls by a tenth while the process runs late, and grows while it is used."""

    def __init__(self, server: str) -> None:
        self.limit = START
        self.under_way = 0
        self._waiting: dict[str, list[asyncio.Future[bool]]] = {name: [] for name in _CLASSES}
        self._lateness: list[float] = []
        self._gauge = CONCURRENCY_LIMIT.labels(server)
        self._gauge.set(self.limit)

    @property
    def calm(self) -> bool:
        return self.limit >= START and self.under_way < self.limit

    def beat(self, late: float) -> None:
        """A look at how late the process runs, in seconds."""
        self._lateness.append(late)
        if len(self._lateness) < BEATS:
            return
        p90 = sorted(self._lateness)[int(0.9 * BEATS) - 1]
        self._lateness.clear()
        if p90 > LATE:
            self.limit = max(LEAST, int(0.9 * min(self.limit, max(self.under_way, LEAST))))
        elif self.under_way > self.limit // 2 or self.limit < START:
            self.limit = min(MOST, self.limit + max(1, self.limit // 20))
        self._gauge.set(self.limit)
        self._admit()

    async def enter(self, kind: str) -> bool:
        """Take a place; False when there is none in time."""
        if self.under_way < self.limit:
            self.under_way += 1
            return True
        if not self._make_room(kind):
            return False
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[kind].append(place)
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                return await place
        except TimeoutError:
            return _given(place)
        except asyncio.CancelledError:
            if _given(place):
                self.leave()
            raise
        finally:
            if place in self._waiting[kind]:
                self._waiting[kind].remove(place)

    def leave(self) -> None:
        self.under_way -= 1
        self._admit()

    def _make_room(self, kind: str) -> bool:
        """When the queue is full, the oldest of the least important goes; False when that would be the newcomer."""
        if sum(map(len, self._waiting.values())) < self.limit // 2:
            return True
        for name in reversed(_CLASSES[_CLASSES.index(kind) :]):
            if self._waiting[name]:
                oldest = self._waiting[name].pop(0)
                if not oldest.done():
                    oldest.set_result(False)
                return True
        return False

    def _admit(self) -> None:
        while self.under_way < self.limit:
            waiting = next((queue for queue in self._waiting.values() if queue), None)
            if waiting is None:
                return
            place = waiting.pop()
            if not place.done():  # it may have waited too long, and not have left the queue yet
                self.under_way += 1
                place.set_result(True)


def _given(place: asyncio.Future[bool]) -> bool:
    """Whether the place was given in the very moment in which its caller stopped to wait."""
    return place.done() and not place.cancelled() and place.result()


@dataclass(frozen=True, slots=True)
class Pulse:
    """Looks how late the event loop runs: a sleep that takes longer than asked for."""

    load: Load
    clock: Clock = SYSTEM_CLOCK

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self._run(), name="pulse")
        try:
            yield
        finally:
            task.cancel()

    async def _run(self) -> None:
        while True:
            before = self.clock.now()
            await self.clock.sleep(BEAT)
            self.load.beat(self.clock.now() - before - BEAT)


class Shedding:
    def __init__(self, server: str, lookup: Lookup, load: Load, *, jitter: Callable[[], float] = random.random) -> None:
        self._server = server
        self._lookup = lookup
        self._load = load
        self._jitter = jitter

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        kind = _class(self._lookup(params.name))
        if not await self._load.enter(kind):
            SHED.labels(self._server, kind).inc()
            account.shed("overloaded")
            wait = int(1000 + 2000 * self._jitter())
            raise MCPError(
                OVERLOADED,
                f"This server has too much to do. Nothing was done; call again in {wait // 1000 + 1} s.",
                {"code": "overloaded", "retryAfterMs": wait},
            )
        try:
            return await call_next(ctx)
        finally:
            self._load.leave()


def _class(tool: ToolFacts | None) -> str:
    if tool is None or tool.reads:
        return "read"
    return "critical" if tool.spends is not None else "write"
