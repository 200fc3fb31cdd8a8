"""The servers under measurement, and their floors: `python -m bench.servers NAME PORT [TARGET]` serves one of them.

Each is a process of its own, on the same event loop and HTTP parser, with its heap frozen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import aiohttp
import uvicorn
from mcp.server.mcpserver import Context, Resolve
from pydantic import BaseModel, Field, HttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_platform.registry import Registry
from backoffice_platform.server import platform_server
from backoffice_platform.upstreams import Upstream
from backoffice_shared.audit.sinks.stream import StreamSink
from backoffice_shared.audit.trail import Trail
from backoffice_shared.backend import Backend, Rate
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient
from backoffice_shared.http.network import wire
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.domain import Domain, Reach, Reachable, Vendor
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import OPEN
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.serving import AnyServer, HttpServer, bind, freeze_heap, run
from backoffice_shared.mcp.shed import Load
from backoffice_shared.mcp.tool import READ, tool
from backoffice_shared.settings import Settings
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.totals import StoredTotals

RECORD: dict[str, Any] = {
    "id": "in_1042",
    "number": "INV-1042",
    "customer": "cus_77",
    "status": "open",
    "currency": "EUR",
    "total": 129_900,
    "due": 129_900,
    "lines": [{"description": f"Line {n}", "amount": 12_990, "quantity": 1} for n in range(6)],
    "url": "https://billing.example/invoices/in_1042",
}


class Invoice(BaseModel):
    id: str
    number: str
    customer: str
    status: str
    currency: str
    total: int
    due: int
    lines: list[dict[str, str | int]]
    url: str


@dataclass(frozen=True)
class _Ledger:
    http: BackendClient

    async def invoice(self, invoice_id: str) -> Invoice:
        return await self.http.read("invoices.read", f"/invoices/{invoice_id}", into=Invoice.model_validate)


async def _ledger(ctx: Context[_Ledger]) -> _Ledger:
    return ctx.request_context.lifespan_context


InvoiceId = Annotated[str, Field(max_length=64)]


@tool(READ, scope="bench:read")
async def local_invoice(invoice_id: InvoiceId) -> Invoice:
    """An invoice that is at hand."""
    return Invoice.model_validate({**RECORD, "id": invoice_id})


@tool(READ, scope="bench:read")
async def remote_invoice(invoice_id: InvoiceId, ledger: Annotated[_Ledger, Resolve(_ledger)]) -> Invoice:
    """An invoice that the backend has, read through the whole outbound stack and never from the cache."""
    return await ledger.invoice(invoice_id)


LEDGER = Backend(
    name="ledger",
    title="Ledger",
    base_url="",
    credentials=(frozenset({"access_token"}),),
    rate=Rate(requests=1_000_000, seconds=1, burst=1_000_000),
)


def _domain(target: str) -> AnyServer:
    def no_sandbox(_company: object) -> Any:
        raise NotImplementedError

    def assemble(clients: Mapping[str, BackendClient], _settings: Settings, _state: State) -> object:
        return _Ledger(clients["ledger"])

    vendor = Vendor(LEDGER, no_sandbox, frozenset())
    credentials = EnvironmentCredentials({"ledger_access_token": "x"})
    reachable = Reachable(reached=[Reach(vendor, target, credentials, wire)])
    domain = Domain("bench", "Bench", "", (local_invoice, remote_invoice), (vendor,), assemble)
    return domain_server(domain, reachable, _SETTINGS, _on())


def _registry(target: str) -> Registry:
    return Registry([Upstream(name="bench", url=HttpUrl(target))], identify=lambda _who, _audience: "")


def _on() -> Foundation:
    """Everything on: audit to a file that goes nowhere, limits and quotas in memory, records in SQLite."""
    nowhere = StreamSink(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    database = SqliteDatabase(":memory:")
    approvals, totals = StoredApprovals(database), StoredTotals(database)
    state = State(MemoryLimits(), MemoryQuotas(), StoredRecords(database), approvals, totals)
    return Foundation(Access(OPEN), Trail(nowhere, None, b"key", "bench"), state, Load("bench"))


def _platform(target: str) -> AnyServer:
    return platform_server(_registry(target), _SETTINGS, _on())


def _floor(_target: str) -> Starlette:
    """A bare Starlette JSON endpoint: reads a JSON body, answers the record."""

    async def answer(request: Request) -> Response:
        if request.method == "POST":
            await request.json()
        return JSONResponse(RECORD)

    return Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST"])])


def _proxy(target: str) -> Starlette:
    """A bare Starlette endpoint that passes body and headers on with aiohttp, and the answer back."""
    session: list[aiohttp.ClientSession] = []

    async def answer(request: Request) -> Response:
        if not session:
            session.append(aiohttp.ClientSession())
        body = await request.body()
        kept = ("content-type", "accept", "mcp-protocol-version", "mcp-method", "mcp-name")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        method = "POST" if "mcp-method" in headers else "GET"
        async with session[0].request(method, target, data=body, headers=headers) as response:
            return Response(await response.read(), response.status, media_type=response.content_type)

    return Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST"])])


_SETTINGS = Settings(drain=0, log_level="ERROR")
_MCP: dict[str, Callable[[str], AnyServer]] = {"domain": _domain, "platform": _platform}
_BARE: dict[str, Callable[[str], Starlette]] = {"floor": _floor, "proxy": _proxy}


class _Frozen(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        freeze_heap()


async def _serve(name: str, port: int, target: str) -> None:
    listening = bind("127.0.0.1", port)
    print(listening.getsockname()[1], flush=True)
    if name in _MCP:
        await HttpServer(_MCP[name](target), _SETTINGS).serve(sockets=[listening])
        return
    config = uvicorn.Config(_BARE[name](target), access_log=False, log_level="error", timeout_keep_alive=75)
    await _Frozen(config).serve(sockets=[listening])


if __name__ == "__main__":
    given = [*sys.argv[1:], "", ""]
    run(lambda: _serve(given[0], int(given[1]), given[2]))
