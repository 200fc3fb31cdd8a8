"""A domain server over the sandbox company, in this process, and a client that has connected to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.session import ElicitationFnT
from mcp_types import CallToolResult, TextContent
from pydantic import SecretStr
from tests.canaries import canary
from tests.foundation import Records, foundation
from tests.watched import WatchedClient

from backoffice_shared.backend import Rate, no_allowance
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.domain import Domain, Reach, Reachable, sandboxed
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, VendorSandbox
from backoffice_shared.settings import Settings


class Office:
    """`client` has the tools; `sandboxes` has the vendors, to look at and to break."""

    def __init__(
        self, client: Client, company: Company, sandboxes: dict[str, VendorSandbox], audit: Records, state: State
    ) -> None:
        self.client = client
        self.company = company
        self.sandboxes = sandboxes
        self.audit = audit
        self.state = state

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a call that must not be refused."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, said(result)
        return obj(result.structured_content)

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The sentence of a call that must be refused."""
        result = await self.call(tool, **arguments)
        assert result.is_error, result.structured_content
        return said(result)

    def forget(self) -> None:
        """What is noted about each call, so that a test can make very many."""
        self.audit.calls -= len(self.audit.written)
        self.audit.written.clear()
        for sandbox in self.sandboxes.values():
            sandbox.requests.clear()

    def broken(self, vendor: str, **faults: Any) -> None:
        self.sandboxes[vendor].faults = Faults(**faults)


def said(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def unhurried(reachable: Reachable) -> Reachable:
    """The same vendors, but as if their limits were out of reach."""
    rate = Rate(requests=1e6, seconds=1, burst=1e6)

    def changed(reach: Reach) -> Reach:
        backend = replace(reach.vendor.backend, rate=rate, allowance=no_allowance)
        return replace(reach, vendor=replace(reach.vendor, backend=backend))

    return replace(reachable, reached=[changed(reach) for reach in reachable.reached])


@asynccontextmanager
async def office_of(
    domain: Domain,
    *,
    customers: int = 50,
    seed: int = 7,
    audit: Records | None = None,
    agents: Path | None = None,
    hurried: bool = True,
    systems: Collection[str] | None = None,
    sandboxes: dict[str, VendorSandbox] | None = None,
    on: Foundation | None = None,
    elicitation: ElicitationFnT | None = None,
    mode: str = "auto",
    **settings: Any,
) -> AsyncGenerator[Office]:
    """`systems`: only these are configured. `sandboxes` and `on` are given where several servers share them; `elicitation`
    answers for the human who sits before the client."""
    company = Company(seed=seed, customers=customers)
    sandboxes = sandboxes or {vendor.backend.name: vendor.sandbox(company) for vendor in domain.vendors}
    if on is not None:
        assert isinstance(on.audit, Records)
        audit = on.audit
    audit = audit or Records()
    reachable = sandboxed(domain, sandboxes)
    if systems is not None:
        kept = [reach for reach in reachable.reached if reach.vendor.backend.name in systems]
        reachable = replace(reachable, reached=kept)
    on = on or foundation(audit=audit, agents=agents)
    server = domain_server(
        domain,
        reachable if hurried else unhurried(reachable),
        Settings(log_level="ERROR", cursor_key=SecretStr(canary("cursors")), **settings),
        on,
    )
    async with WatchedClient(server, audit=audit, mode=mode, elicitation_callback=elicitation) as client:
        yield Office(client, company, sandboxes, audit, on.state)
    audit.must_have_every_call()
