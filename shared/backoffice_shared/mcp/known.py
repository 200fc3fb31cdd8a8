"""A tool that is not on the list is a protocol error: the caller works from another list than ours."""

from __future__ import annotations

from collections.abc import Callable

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams

from backoffice_shared.mcp.policy import Ctx


class Known:
    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        if not self._known(params.name):
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:64]}. Call tools/list for those there are.")
        return await call_next(ctx)
