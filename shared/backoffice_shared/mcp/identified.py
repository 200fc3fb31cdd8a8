"""Which agent calls. From here down, the principal knows what it may see."""

from __future__ import annotations

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.principal import acting, principal


class Identified:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:  # noqa: ARG002
        with acting(self._access.identified(principal())):
            return await call_next(ctx)
