"""Assembles a domain server: its tools, the chain around them, its health, in both protocol eras."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import RequestStateSecurity
from mcp.server.mcpserver.prompts import Prompt

from backoffice_shared import __version__
from backoffice_shared.http.client import BackendClient
from backoffice_shared.mcp.addressed import serve_addressed, serve_page, serve_schemas
from backoffice_shared.mcp.chain import policies
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.guarding import Door, guard_of
from backoffice_shared.mcp.health import backends_resource
from backoffice_shared.mcp.listed import Listed
from backoffice_shared.mcp.measured import Messages
from backoffice_shared.mcp.policy import Policies
from backoffice_shared.mcp.strict import StrictTool
from backoffice_shared.mcp.tool import pinned
from backoffice_shared.mcp.webhooks import path_of, serve_webhook
from backoffice_shared.principal import principal
from backoffice_shared.settings import Settings

log = logging.getLogger("backoffice")

CACHE_HINTS: Any = {
    "tools/list": CacheHint(ttl_ms=60_000, scope="private"),
    "server/discover": CacheHint(ttl_ms=300_000, scope="public"),
}


def domain_server(domain: Domain, reachable: Reachable, settings: Settings, on: Foundation) -> MCPServer[Any]:
    """The server of `domain` with the tools that its backends can serve. Backends are connected while it runs."""
    specs = reachable.tools(domain)
    tools = {spec.name: StrictTool.of(spec, personal_scope=domain.personal_scope) for spec in specs}
    facts = {
        spec.name: replace(
            spec.facts, pin=pinned(tools[spec.name].listed), structured=tools[spec.name].structured_parameters
        )
        for spec in specs
    }
    clients: dict[str, BackendClient] = {}
    assembled: list[object] = []

    @asynccontextmanager
    async def lifespan(_server: MCPServer[Any]) -> AsyncGenerator[object]:
        async with reachable.connected(on) as connected:
            clients.update(connected)
            assembled.append(domain.assemble(connected, settings, on.state))
            yield assembled[-1]
        clients.clear()

    chain = policies(domain.name, facts.get, on, deadline=settings.deadline)
    server = MCPServer[Any](
        f"backoffice-{domain.name}",
        title=domain.title,
        version=__version__,
        instructions=domain.instructions,
        tools=list(tools.values()),
        resources=[backends_resource(domain, reachable, on, clients)],
        extensions=[Policies(chain)],
        middleware=[
            Messages(domain.name),
            Listed(
                facts.get,
                on.access,
                {resource.scheme: resource.tool for resource in domain.resources}
                | {page.name: page.tool for page in domain.pages},
            ),
        ],
        lifespan=lifespan,
        subscriptions=on.state.bus,
        cache_hints=CACHE_HINTS,
        request_state_security=_sealed(settings),
        log_level=settings.log_level,
    )
    for resource in domain.resources:
        if resource.tool in tools:
            serve_addressed(server, resource, tools[resource.tool], chain)
    for page in domain.pages:
        if page.tool in tools:
            serve_page(server, page, facts.get, on.access, lambda: assembled[-1])
    for hooked in reachable.hooked:
        serve_webhook(server, hooked, clients)
    serve_schemas(server, {spec.name: spec for spec in specs}, facts.get, on.access)
    for prompt in domain.prompts:
        server.add_prompt(Prompt.from_function(prompt))
    return server


def _sealed(settings: Settings) -> RequestStateSecurity:
    """What a client carries from a question to its answer: any replica with the same key can open it, and for nobody else."""
    key = hmac.digest(settings.cursor_key.get_secret_value().encode(), b"request state", "sha256")
    return RequestStateSecurity(keys=[key], bind_principal=lambda _ctx: principal().key)


def domain_guard(domain: Domain, reachable: Reachable, settings: Settings, on: Foundation) -> Door | None:
    """Who may reach the server of `domain` over HTTP; None when the settings name nobody."""
    facts = {spec.name: spec.facts for spec in reachable.tools(domain)}

    def scopes() -> set[str]:
        return {tool.scope for tool in facts.values()} | {domain.personal_scope} - {""}

    hooks = [path_of(hooked.vendor) for hooked in reachable.hooked]
    return guard_of(settings, on, facts.get, server=domain.name, title=domain.title, scopes=scopes, hooks=hooks)


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
