"""What is not theirs is not shown: tools that an agent may not use, resources that are what such a tool answers, and to a
stranger all resources and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ListResourcesResult, ListResourceTemplatesResult, ListToolsResult

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.authorised import headers_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import principal


class Listed:
    """Middleware of the SDK: it passes every message, but for a stranger's about resources and prompts, and looks at lists of tools."""

    def __init__(self, lookup: Lookup, access: Access, addressed: Mapping[str, str] | None = None) -> None:
        """`addressed` are resources and templates of them, by name, with the tools that answer for them."""
        self._lookup = lookup
        self._access = access
        self._addressed = addressed or {}

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        who = self._access.identified(principal())
        if ctx.method.startswith(("resources/", "prompts/")) and not self._access.knows(who):
            raise MCPError(INVALID_PARAMS, "There are no resources and prompts for you.")
        result = await call_next(ctx)

        def shown(name: str) -> bool:
            tool = self._lookup(name)
            return tool is not None and self._access.shows(who, tool, headers_of(ctx))

        if ctx.method == "tools/list":
            return _only(result, "tools", "tools", shown)
        answering = self._addressed
        if ctx.method == "resources/list":
            return _only(result, "resources", "resources", lambda name: name not in answering or shown(answering[name]))
        if ctx.method == "resources/templates/list":
            return _only(
                result,
                "resource_templates",
                "resourceTemplates",
                lambda name: name not in answering or shown(answering[name]),
            )
        return result


def _only(result: HandlerResult, field: str, on_the_wire: str, shown: Callable[[str], bool]) -> HandlerResult:
    """The entries of a list that are shown, by their names; in the SDK's form or as it goes out."""
    if isinstance(result, ListToolsResult | ListResourcesResult | ListResourceTemplatesResult):
        return result.model_copy(update={field: [entry for entry in getattr(result, field) if shown(entry.name)]})
    wire: dict[str, Any] = obj(result)
    kept = [entry for entry in arr(wire.get(on_the_wire)) if shown(str(obj(entry).get("name")))]
    return {**wire, on_the_wire: kept}
