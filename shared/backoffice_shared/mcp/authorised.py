"""What is not theirs does not exist: the same answer for a tool that is hidden from them and for one that nobody has.

A tool that only a scope keeps them from is told by that scope, so that they can ask for it.
"""

from __future__ import annotations

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams
from starlette.datastructures import Headers
from starlette.requests import Request

from backoffice_shared.account import denied
from backoffice_shared.errors import PermissionDenied
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.clean import clean
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import principal
from backoffice_shared.telemetry.metrics import DENIED


class Authorised:
    def __init__(self, server: str, lookup: Lookup, access: Access) -> None:
        self._server = server
        self._lookup = lookup
        self._access = access

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool = self._lookup(params.name)
        if tool is None:
            self._count("unknown tool", "unknown_tool")
            raise unknown_tool(params.name)
        decision = self._access.decide(principal(), tool, headers_of(ctx))
        if decision.kind == "hidden":
            self._count(decision.because, "hidden_tool")
            raise unknown_tool(params.name)
        if decision.kind == "scope":
            self._count(decision.because, "insufficient_scope")
            needed = " ".join(sorted(decision.missing))
            return refused(
                PermissionDenied("", f"{params.name} needs the scope {needed}", hint="Ask your operator to grant it")
            )
        return await call_next(ctx)

    def _count(self, because: str, reason: str) -> None:
        denied(because)
        DENIED.labels(self._server, reason).inc()


def unknown_tool(name: str) -> MCPError:
    return MCPError(INVALID_PARAMS, f"Unknown tool: {clean(name[:64])}. Call tools/list for those there are.")


def headers_of(ctx: Ctx) -> Headers | None:
    """Of the HTTP request that carries this call; None over stdio."""
    request: object = ctx.request
    return request.headers if isinstance(request, Request) else None
