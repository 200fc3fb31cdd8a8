"""How long an answer takes that comes from several systems, in simulated time, over the real stack and the sandboxes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tests.foundation import embedded_state
from tests.shared.acme import Secrets
from tests.simulation import LoopClock, simulate

from backoffice_shared.http.client import connect
from backoffice_shared.mcp.domain import Domain
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess
from backoffice_shared.settings import Settings

S = TypeVar("S")

Ask = Callable[[S, int], Awaitable[Any]]
"""Asks the server's services for something; with another number, for something else of the same kind."""


@dataclass(frozen=True)
class FanOut(Generic[S]):
    """A server whose vendors take these `seconds` for every request.

    `assemble` makes its services, as in its `server.py`. `pause` is how long the vendors' limits take to recover.
    """

    server: Domain
    assemble: Callable[..., S]
    company: Company
    seconds: Mapping[str, float]
    pause: float = 0.0

    def seconds_for(self, ask: Ask[S], *systems: str) -> float:
        """How long the answer takes when it comes from these systems. What is looked up once and kept is known before."""
        return simulate(self._asked(ask, systems))

    async def _asked(self, ask: Ask[S], systems: tuple[str, ...]) -> float:
        clock = LoopClock()
        vendors = [vendor for vendor in self.server.vendors if vendor.backend.name in systems]
        sandboxes = {vendor.backend.name: vendor.sandbox(self.company) for vendor in vendors}
        clients = {
            vendor.backend.name: connect(
                vendor.backend,
                InProcess(sandbox := sandboxes[vendor.backend.name]),
                Secrets(sandbox.credentials),
                base_url=vendor.backend.base_url.format(**sandbox.options),
                options=sandbox.options,
                clock=clock,
            )
            for vendor in vendors
        }
        services = self.assemble(clients, Settings(), embedded_state())
        await ask(services, 1)
        await clock.sleep(self.pause)
        for name, sandbox in sandboxes.items():
            sandbox.faults = Faults(slow=1.0, seconds=self.seconds[name])
        began = clock.now()
        await ask(services, 0)
        return clock.now() - began
