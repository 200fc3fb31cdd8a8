"""The till behind the real guard, over real HTTP, as anybody who can reach the port sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp
from tests.e2e.running import serving_app
from tests.foundation import Records
from tests.shared.mcp.till import TOOLS, Drawer

from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.mcp.server import domain_guard, domain_server
from backoffice_shared.mcp.serving import http_app
from backoffice_shared.settings import Settings

_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Door:
    """`url` is the endpoint. Requests go out with exactly the headers that a test gives."""

    url: str
    http: httpx.AsyncClient
    drawer: Drawer
    audit: Records

    async def send(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: list[tuple[str, str]] | None = None,
        query: str = "",
    ) -> httpx.Response:
        """One request of the 2026 era."""
        name = (params or {}).get("name") or (params or {}).get("uri")
        named = {} if name is None else {"mcp-name": str(name)}
        said = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            **named,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": _META}}
        return await self.http.post(self.url + query, json=body, headers=[*said.items(), *(headers or [])])

    async def call(
        self, tool: str, *, token: str, also: dict[str, str] | None = None, **arguments: Any
    ) -> httpx.Response:
        headers = [("authorization", f"Bearer {token}"), *(also or {}).items()]
        return await self.send("tools/call", {"name": tool, "arguments": arguments}, headers=headers)

    async def names(self, *, token: str, also: dict[str, str] | None = None) -> list[str]:
        headers = [("authorization", f"Bearer {token}"), *(also or {}).items()]
        listed = await self.send("tools/list", {}, headers=headers)
        return [tool["name"] for tool in message(listed)["result"]["tools"]]


def message(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message in an answer, be it JSON or one event."""
    if response.headers["content-type"].startswith("application/json"):
        return obj(response.json())
    [data] = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    return obj(httpx.Response(200, content=data).json())


def told(response: httpx.Response) -> Any:
    """What a call was answered: its structured content, or the code and sentence of its error."""
    reply = message(response)
    if "error" in reply:
        return reply["error"]["code"], reply["error"]["message"]
    return reply["result"]["structuredContent"]


def guarded(domain: Domain, reachable: Reachable, on: Foundation, **settings: Any) -> ASGIApp:
    """The domain's server behind its guard. `settings` must name somebody who may come in."""
    given = Settings(log_level="ERROR", **settings)
    guard = domain_guard(domain, reachable, given, on)
    assert guard is not None
    return guard(http_app(domain_server(domain, reachable, given, on), given, Readiness()))


@asynccontextmanager
async def opened(app: ASGIApp, on: Foundation, drawer: Drawer | None = None) -> AsyncGenerator[Door]:
    assert isinstance(on.audit, Records)
    async with serving_app(app) as origin, httpx.AsyncClient(timeout=30) as http:
        yield Door(f"{origin}/mcp", http, drawer or Drawer(), on.audit)


@asynccontextmanager
async def door(
    on: Foundation, *, drawer: Drawer | None = None, name: str = "till", **settings: Any
) -> AsyncGenerator[Door]:
    """The till's."""
    drawer = drawer or Drawer()
    domain = Domain(name, "Till", "", TOOLS, (), lambda _clients, _settings, _state: drawer)
    async with opened(guarded(domain, Reachable(), on, **settings), on, drawer) as at:
        yield at
