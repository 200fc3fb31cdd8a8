"""Duration and outcome of every request, by the names of OpenTelemetry's MCP conventions.

Names that we do not know share one label, and one span name, so that nobody outside can make new ones. The span is the
SDK's: it is current while these run.
"""

from __future__ import annotations

import time
from functools import cache

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams
from mcp_types.methods import SPEC_CLIENT_METHODS, SPEC_CLIENT_NOTIFICATION_METHODS
from opentelemetry import trace
from prometheus_client import Histogram

from backoffice_shared.mcp.outcome import CallOutcome, outcome_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.telemetry.errortype import OTHER, error_type
from backoffice_shared.telemetry.metrics import IN_FLIGHT, OPERATION_DURATION

_CALL = "tools/call"
_LISTEN = "subscriptions/listen"
_METHODS = SPEC_CLIENT_METHODS | SPEC_CLIENT_NOTIFICATION_METHODS


class Measured:
    """The policy that measures tool calls."""

    def __init__(self, server: str, lookup: Lookup) -> None:
        self._server = server
        self._lookup = lookup
        self._in_flight = IN_FLIGHT.labels(server)

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool = OTHER if self._lookup(params.name) is None else params.name
        _name_span(self._server, f"{_CALL} {tool}")
        trace.get_current_span().set_attribute("gen_ai.tool.name", tool)
        self._in_flight.inc()
        try:
            return await _measured(self._server, _CALL, tool, ctx, call_next)
        finally:
            self._in_flight.dec()


class Messages:
    """Middleware of the SDK that measures all other requests, but a subscription, which lasts as its client likes."""

    def __init__(self, server: str) -> None:
        self._server = server

    async def __call__(self, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        method = ctx.method if ctx.method in _METHODS else OTHER
        _name_span(self._server, method)
        if ctx.request_id is None or method in (_CALL, _LISTEN):
            return await call_next(ctx)
        return await _measured(self._server, method, "", ctx, call_next)


def _name_span(server: str, name: str) -> None:
    span = trace.get_current_span()
    span.update_name(name)
    span.set_attribute("backoffice.server", server)


@cache
def _durations(*labels: str) -> Histogram:
    """Looked up once. All labels are of our own making, so that there are only so many."""
    return OPERATION_DURATION.labels(*labels)


async def _measured(server: str, method: str, tool: str, ctx: Ctx, call_next: CallNext) -> HandlerResult:
    started = time.perf_counter()
    became = CallOutcome("cancelled", "cancelled")
    try:
        result = await call_next(ctx)
        became = outcome_of(result)
        return result
    except MCPError as error:
        became = CallOutcome("error", str(error.error.code))
        raise
    except Exception:
        became = CallOutcome("error", "internal_error")
        raise
    finally:
        taken = time.perf_counter() - started
        _durations(server, method, tool, became.outcome, error_type(became.error_code)).observe(taken)
        trace.get_current_span().set_attribute("backoffice.outcome", became.outcome)
