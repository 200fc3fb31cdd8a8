"""A tool that is not on the list is a protocol error: the caller works from another list than ours."""

from __future__ import annotations

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams

from backoffice_shared.mcp.policy import Ctx, Effect


class Known:
    def __init__(self, effect: Effect) -> None:
        self._effect = effect

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        if self._effect(params.name) is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:64]}. Call tools/list for those there are.")
        return await call_next(ctx)
