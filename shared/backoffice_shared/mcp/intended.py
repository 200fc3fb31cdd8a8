"""Before something that cannot be taken back, the audit says durably that it is going to happen, or it does not happen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.account import denied
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup


class Intended:
    """`announce` keeps the intent, and raises BackendUnavailable when it cannot."""

    def __init__(self, lookup: Lookup, announce: Callable[[CallToolRequestParams], Awaitable[None]]) -> None:
        self._lookup = lookup
        self._announce = announce

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool = self._lookup(params.name)
        if tool is not None and tool.destructive and tool.changes(params.arguments or {}):
            try:
                await self._announce(params)
            except BackendUnavailable:
                denied("audit unavailable")
                return refused(
                    BackendUnavailable(
                        "",
                        f"{params.name} was not carried out: its audit record cannot be kept at the moment",
                        hint="Try again later; tools that only read still work",
                    )
                )
        return await call_next(ctx)
