"""The domain servers in this process. The platform still reaches them over HTTP, on loopback: streaming, cancellation
and headers are what they are in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from pydantic import HttpUrl

from backoffice_platform.installed import all_sandboxes, installed_domains
from backoffice_platform.upstreams import Upstream
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.main import reach
from backoffice_shared.mcp.server import announce, domain_guard, domain_server
from backoffice_shared.mcp.serving import PATH, HttpServer, bind
from backoffice_shared.mcp.shed import Load, Pulse
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import Settings


@asynccontextmanager
async def embedded(
    settings: Settings,
    environment: Mapping[str, str],
    on: Foundation,
    *,
    sandbox: str | None,
    company: Company | None,
    public_key: str,
    say: Callable[[str], None],
) -> AsyncGenerator[list[Upstream]]:
    """Every installed domain server, each on a free loopback port, until the block ends.

    They let in the platform that has the private half of `public_key`, and whoever has a key of agents.yaml. In the
    sandbox, they share `company` and each vendor's state.
    """
    sandboxes = {} if company is None else all_sandboxes(company)
    upstreams: list[Upstream] = []
    servers: list[tuple[HttpServer, asyncio.Task[None]]] = []
    beating = AsyncExitStack()
    try:
        for domain in installed_domains():
            reachable = await reach(domain, settings, environment, sandbox=sandbox, sandboxes=sandboxes)
            announce(domain, reachable, say)
            listening = bind("127.0.0.1", 0)
            trusting = settings.model_copy(update={"trusted_platform_key": public_key, **_ONLY_THE_PLATFORM})
            # A load of its own: a call that the platform passes on must not wait for the place that it has there.
            its = replace(on, load=Load(domain.name))
            await beating.enter_async_context(Pulse(its.load).running())
            guard = domain_guard(domain, reachable, trusting, its)
            assert guard is not None  # noqa: S101 - a trusted key makes one
            served = domain_server(domain, reachable, settings, its)
            server = HttpServer(served, settings, signals=False, guard=guard)
            servers.append((server, asyncio.create_task(server.serve(sockets=[listening]))))
            url = HttpUrl(f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}")
            upstreams.append(Upstream(name=domain.name, url=url, audience=domain.name))
        yield upstreams
    finally:
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in servers))
        await beating.aclose()


_ONLY_THE_PLATFORM = {"oauth_issuer": None, "public_url": None}
