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
from backoffice_shared.mcp.audited import AuditSink
from backoffice_shared.mcp.chain import policies
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.policy import Policies
from backoffice_shared.mcp.strict import StrictTool
from backoffice_shared.settings import Settings

log = logging.getLogger("backoffice")

CACHE_HINTS: Any = {
    "tools/list": CacheHint(ttl_ms=60_000, scope="private"),
    "server/discover": CacheHint(ttl_ms=300_000, scope="public"),
}


def domain_server(domain: Domain, reachable: Reachable, settings: Settings, sink: AuditSink) -> MCPServer[Any]:
    """The server of `domain` with the tools that its backends can serve. Backends are connected while it runs."""
    tools = [StrictTool.of(spec) for spec in reachable.tools(domain)]
    effects = {tool.name: tool.annotations for tool in tools}

    @asynccontextmanager
    async def lifespan(_server: MCPServer[Any]) -> AsyncGenerator[object]:
        async with reachable.connected() as clients:
            yield domain.assemble(clients, settings)

    return MCPServer(
        f"backoffice-{domain.name}",
        title=domain.title,
        version=__version__,
        instructions=domain.instructions,
        tools=[*tools],
        resources=[_health(domain, reachable)],
        extensions=[Policies(policies(domain.name, effects.get, sink, deadline=settings.deadline))],
        lifespan=lifespan,
        cache_hints=CACHE_HINTS,
        log_level=settings.log_level,
    )


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


def _health(domain: Domain, reachable: Reachable) -> FunctionResource:
    """`health://backends`: which backends there are, and what is missing. No secret, no value."""
    state = {
        "server": domain.name,
        "backends": [
            *({"backend": reach.vendor.backend.name, "configured": True} for reach in reachable.reached),
            *(
                {"backend": missing.vendor.backend.name, "configured": False, "needs": missing.needs}
                for missing in reachable.missing
            ),
        ],
        "warnings": list(reachable.warnings),
    }
    return FunctionResource(
        uri="health://backends",
        name="backends",
        description="The backends of this server, and what is missing to use the others.",
        mime_type="application/json",
        fn=lambda: compact(state),
    )
