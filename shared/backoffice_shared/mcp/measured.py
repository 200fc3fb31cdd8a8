"""Duration and outcome of every call. Names that we do not know share one label, so that nobody can make new ones."""

from __future__ import annotations

import time

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.mcp.outcome import outcome_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.telemetry.metrics import IN_FLIGHT, OPERATION_DURATION


class Measured:
    def __init__(self, server: str, lookup: Lookup) -> None:
        self._server = server
        self._lookup = lookup
        self._in_flight = IN_FLIGHT.labels(server)

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool = "_other" if self._lookup(params.name) is None else params.name
        started = time.perf_counter()
        outcome = "cancelled"
        self._in_flight.inc()
        try:
            result = await call_next(ctx)
            outcome = outcome_of(result).outcome
            return result
        except Exception:
            outcome = "error"
            raise
        finally:
            self._in_flight.dec()
            OPERATION_DURATION.labels(self._server, tool, outcome).observe(time.perf_counter() - started)
