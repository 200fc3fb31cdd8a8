"""Replicas over one Valkey, in one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from backoffice_shared.state.valkey.opened import Shared, shared

KEY = "the key that all replicas have"
PATIENT = 2.0
"""Seconds that an answer may take where a test is about something else, on a machine that does much at once."""


@asynccontextmanager
async def replicas(url: str, *, count: int = 2) -> AsyncGenerator[list[Shared]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(shared(url, replicas=count, seal_key=KEY, budget=PATIENT))
            for _ in range(count)
        ]
