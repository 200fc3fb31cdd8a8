"""Assembles a domain server: its tools, the chain around them, its health, in both protocol eras."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver.resources import FunctionResource

from backoffice_shared import __version__
from backoffice_shared.jsonvalues import compact
from backoffice_shared.mcp.chain import policies
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.guarding import guard_of
from backoffice_shared.mcp.listed import Listed
from backoffice_shared.mcp.policy import Policies
from backoffice_shared.mcp.serving import Wrap
from backoffice_shared.mcp.strict import StrictTool
from backoffice_shared.settings import Settings

log = logging.getLogger("backoffice")

CACHE_HINTS: Any = {
    "tools/list": CacheHint(ttl_ms=60_000, scope="private"),
    "server/discover": CacheHint(ttl_ms=300_000, scope="public"),
}


def domain_server(domain: Domain, reachable: Reachable, settings: Settings, on: Foundation) -> MCPServer[Any]:
    """The server of `domain` with the tools that its backends can serve. Backends are connected while it runs."""
    specs = reachable.tools(domain)
    facts = {spec.name: spec.facts for spec in specs}

    @asynccontextmanager
    async def lifespan(_server: MCPServer[Any]) -> AsyncGenerator[object]:
        async with reachable.connected(on) as clients:
            yield domain.assemble(clients, settings)

    return MCPServer(
        f"backoffice-{domain.name}",
        title=domain.title,
        version=__version__,
        instructions=domain.instructions,
        tools=[StrictTool.of(spec) for spec in specs],
        resources=[_health(domain, reachable, on)],
        extensions=[Policies(policies(domain.name, facts.get, on, deadline=settings.deadline))],
        middleware=[Listed(facts.get, on.access)],
        lifespan=lifespan,
        cache_hints=CACHE_HINTS,
        log_level=settings.log_level,
    )


def domain_guard(domain: Domain, reachable: Reachable, settings: Settings, on: Foundation) -> Wrap | None:
    """Who may reach the server of `domain` over HTTP; None when the settings name nobody."""
    facts = {spec.name: spec.facts for spec in reachable.tools(domain)}

    def scopes() -> set[str]:
        return {tool.scope for tool in facts.values()}

    return guard_of(settings, on.access, facts.get, server=domain.name, title=domain.title, scopes=scopes)


def announce(domain: Domain, reachable: Reachable, say: Callable[[str], None]) -> None:
    """Tell the operator what this server can do, what it lacks, and what would help."""
    served = reachable.tools(domain)
    say(f"{domain.title}: {len(served)} of {len(domain.tools)} tools")
    for missing in reachable.missing:
        say(f"  {missing.vendor.backend.title} is not configured. It needs {missing.needs}.")
    for warning in reachable.warnings:
        say(f"  Warning: {warning}")
    if not served:
        say("  No tool can be served. --sandbox runs all of them against a fictional company.")


def _health(domain: Domain, reachable: Reachable, on: Foundation) -> FunctionResource:
    """`health://backends`: which backends there are, and what is missing. No secret, no value."""
    backends = [
        *({"backend": reach.vendor.backend.name, "configured": True} for reach in reachable.reached),
        *(
            {"backend": missing.vendor.backend.name, "configured": False, "needs": missing.needs}
            for missing in reachable.missing
        ),
    ]

    def state() -> str:
        agents = on.access.agents
        faults = [agents.fault] if agents is not None and agents.fault is not None else []
        return compact({"server": domain.name, "backends": backends, "warnings": [*reachable.warnings, *faults]})

    return FunctionResource(
        uri="health://backends",
        name="backends",
        description="The backends of this server, and what is missing to use the others.",
        mime_type="application/json",
        fn=state,
    )
