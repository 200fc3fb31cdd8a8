"""The customer server over the sandbox company, in this process, and a client that has connected to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from mcp.client import Client
from mcp_types import CallToolResult, TextContent
from tests.foundation import Records, foundation

from backoffice_customer.server import SERVER
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.domain import sandboxed
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, VendorSandbox
from backoffice_shared.settings import Settings


class Office:
    """`client` has the tools; `sandboxes` has the vendors, to look at and to break."""

    def __init__(self, client: Client, company: Company, sandboxes: dict[str, VendorSandbox], audit: Records) -> None:
        self.client = client
        self.company = company
        self.sandboxes = sandboxes
        self.audit = audit

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

    def broken(self, vendor: str, **faults: Any) -> None:
        self.sandboxes[vendor].faults = Faults(**faults)


def said(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def office(
    *, customers: int = 50, seed: int = 7, audit: Records | None = None, **settings: Any
) -> AsyncGenerator[Office]:
    company = Company(seed=seed, customers=customers)
    sandboxes = {vendor.backend.name: vendor.sandbox(company) for vendor in SERVER.vendors}
    audit = audit or Records()
    server = domain_server(
        SERVER, sandboxed(SERVER, sandboxes), Settings(log_level="ERROR", **settings), foundation(audit=audit)
    )
    async with Client(server) as client:
        yield Office(client, company, sandboxes, audit)
