"""`health://backends`: how each backend does, what is missing to use the others, and what else an operator should mend.

Names, states and ages; no secret and no value. Of backends whose data an agent may not see, it is told nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mcp.server.mcpserver.resources import FunctionResource

from backoffice_shared.http.client import BackendClient
from backoffice_shared.jsonvalues import compact
from backoffice_shared.mcp.clean import cleaned
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.principal import principal


def backends_resource(
    domain: Domain, reachable: Reachable, on: Foundation, clients: Mapping[str, BackendClient]
) -> FunctionResource:
    """`clients` are those connected at the moment: none before the server runs."""

    async def state() -> str:
        who = on.access.identified(principal())
        missing = {lacking.vendor.backend.name: lacking.needs for lacking in reachable.missing}
        backends = [
            *await asyncio.gather(*(_connected(name, client) for name, client in clients.items())),
            *({"backend": name, "configured": False, "needs": needs} for name, needs in missing.items()),
        ]
        told = {
            "server": domain.name,
            "backends": [entry for entry in backends if who.sees(str(entry["backend"]))],
            "audit": "full" if on.audit.full else "kept",
            "warnings": _warnings(reachable, on),
        }
        return compact(cleaned(told))

    return FunctionResource(
        uri="health://backends",
        name="backends",
        description="The backends of this server, how they do, and what is missing to use the others.",
        mime_type="application/json",
        fn=state,
    )


async def _connected(name: str, client: BackendClient) -> dict[str, Any]:
    """Ages are in seconds; null means never."""
    return {"backend": name, "configured": True, **asdict(await client.health())}


def _warnings(reachable: Reachable, on: Foundation) -> list[str]:
    agents = on.access.agents
    faults = [agents.fault] if agents is not None and agents.fault is not None else []
    return [*reachable.warnings, *faults]
