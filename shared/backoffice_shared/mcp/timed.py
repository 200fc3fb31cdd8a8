"""A call ends in time, and everything below it knows how much is left.

The caller may ask for less in `_meta` (`dev.backoffice/deadlineMs`, milliseconds that remain), never for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.deadline import within
from backoffice_shared.errors import BackofficeError, DeadlineExceeded, OutcomeUnknown
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.telemetry.metrics import DEADLINES

DEADLINE_META = "dev.backoffice/deadlineMs"


class Timed:
    def __init__(self, server: str, lookup: Lookup, longest: float) -> None:
        self._server = server
        self._lookup = lookup
        self._longest = longest

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        seconds = min(self._longest, _asked(ctx.params))
        try:
            async with asyncio.timeout(seconds):
                with within(seconds):
                    return await call_next(ctx)
        except TimeoutError:
            DEADLINES.labels(self._server).inc()
            return refused(self._told(params, seconds))

    def _told(self, params: CallToolRequestParams, seconds: float) -> BackofficeError:
        late = f"{params.name} did not finish within {seconds:g} s"
        tool = self._lookup(params.name)
        if tool is not None and tool.reads:
            return DeadlineExceeded("", late, hint="Ask for less at once")
        key = (params.arguments or {}).get("idempotency_key")
        return OutcomeUnknown(
            "",
            f"{late}: it may or may not have been carried out",
            idempotency_key=key if isinstance(key, str) else None,
        )


def _asked(params: Mapping[str, object] | None) -> float:
    meta = (params or {}).get("_meta")
    asked = meta.get(DEADLINE_META) if isinstance(meta, Mapping) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(asked, int | float) and not isinstance(asked, bool) and asked > 0:
        return min(asked, 1_000_000_000) / 1000
    return float("inf")
