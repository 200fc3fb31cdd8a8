"""What is not theirs is not shown: tools that an agent may not use, and to a stranger the resources and prompts."""

from __future__ import annotations

from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ListToolsResult

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.authorised import headers_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import Principal, principal


class Listed:
    """Middleware of the SDK: it passes every message, but for a stranger's about resources and prompts, and looks at lists of tools."""

    def __init__(self, lookup: Lookup, access: Access) -> None:
        self._lookup = lookup
        self._access = access

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        who = self._access.identified(principal())
        if ctx.method.startswith(("resources/", "prompts/")) and not self._access.knows(who):
            raise MCPError(INVALID_PARAMS, "There are no resources and prompts for you.")
        result = await call_next(ctx)
        return self._theirs(who, ctx, result) if ctx.method == "tools/list" else result

    def _theirs(self, who: Principal, ctx: Ctx, result: HandlerResult) -> HandlerResult:
        def shown(name: str) -> bool:
            tool = self._lookup(name)
            return tool is not None and self._access.shows(who, tool, headers_of(ctx))

        if isinstance(result, ListToolsResult):
            return result.model_copy(update={"tools": [tool for tool in result.tools if shown(tool.name)]})
        wire: dict[str, Any] = obj(result)
        return {**wire, "tools": [tool for tool in arr(wire.get("tools")) if shown(str(obj(tool).get("name")))]}
