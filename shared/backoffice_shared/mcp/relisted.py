"""Tells listening clients that their tools may be others now, when agents.yaml was read anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp.server.subscriptions import SubscriptionBus, ToolsListChanged

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import LOOK_AGAIN, Agents


class Relisted:
    def __init__(self, access: Access, bus: SubscriptionBus, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._agents = access.agents
        self._bus = bus
        self._clock = clock

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Look at the file every second until the block ends, also while nobody calls."""
        if self._agents is None:
            yield
            return
        task = asyncio.create_task(self._keep_looking(self._agents), name="look at agents.yaml")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_looking(self, agents: Agents) -> None:
        known = agents.current
        while True:
            await self._clock.sleep(LOOK_AGAIN)
            if agents.current is not known:
                known = agents.current
                await self._bus.publish(ToolsListChanged())
