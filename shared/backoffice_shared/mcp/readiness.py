"""Whether load balancers should send requests here: a server is ready that can let callers in and has its secrets.

It does not depend on backends. They fail on their own, and one that does must not take every replica away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from backoffice_shared.errors import BackofficeError
from backoffice_shared.mcp.domain import Reachable

WITHIN = 1.0  # seconds that a condition may take to be looked at; a probe waits for about as long

Condition = Callable[[], Awaitable[bool]]


class Readiness:
    def __init__(self, **conditions: Condition | None) -> None:
        """`conditions` by the names that probes are told: names only, as anybody may ask. None is none."""
        self.draining = False
        self._conditions = {name: condition for name, condition in conditions.items() if condition is not None}

    async def unmet(self) -> list[str]:
        """Which conditions do not hold, by name; empty when all of them do."""
        met = await asyncio.gather(*(_holds(condition) for condition in self._conditions.values()))
        return [name for name, holds in zip(self._conditions, met, strict=True) if not holds]


def has_credentials(reachable: Reachable) -> Condition:
    """Whether some backend has a credential. That one of several lacks its own is told by `health://backends`."""

    async def some() -> bool:
        for reach in reachable.reached:
            try:
                if await reach.credentials.read(reach.vendor.backend.name):
                    return True
            except BackofficeError:
                continue
        return not reachable.reached and not reachable.missing

    return some


async def _holds(condition: Condition) -> bool:
    try:
        async with asyncio.timeout(WITHIN):
            return await condition()
    except (TimeoutError, BackofficeError):
        return False
