"""A tool that an agent may not use is not listed to it. The platform is told all, and applies the same to its own list."""

from __future__ import annotations

from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp_types import ListToolsResult

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.authorised import headers_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import principal


class Listed:
    """Middleware of the SDK: it passes every message, and looks at the answer of tools/list."""

    def __init__(self, lookup: Lookup, access: Access) -> None:
        self._lookup = lookup
        self._access = access

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method != "tools/list":
            return result
        if principal().is_platform:
            return result
        who = self._access.identified(principal())

        def theirs(name: str) -> bool:
            tool = self._lookup(name)
            return tool is not None and self._access.decide(who, tool, headers_of(ctx)).kind == "allow"

        if isinstance(result, ListToolsResult):
            return result.model_copy(update={"tools": [tool for tool in result.tools if theirs(tool.name)]})
        wire: dict[str, Any] = obj(result)
        return {**wire, "tools": [tool for tool in arr(wire.get("tools")) if theirs(str(obj(tool).get("name")))]}
