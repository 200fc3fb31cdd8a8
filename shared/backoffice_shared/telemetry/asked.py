"""One request to another MCP server: a CLIENT span and its measurement, as OpenTelemetry's MCP conventions have them.

The span is current while the request is made, so that the `traceparent` that goes along names it as the parent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

from mcp.shared.exceptions import MCPError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from backoffice_shared.telemetry.errortype import error_type
from backoffice_shared.telemetry.metrics import CLIENT_DURATION

_tracer = trace.get_tracer("backoffice.mcp")


async def asked(upstream: str, method: str, tool: str, request: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """What `request` gives. `tool` is a name from our own catalogue; empty when the method has none."""
    started = time.perf_counter()
    went_wrong: str | None = "cancelled"
    attributes = {"mcp.method.name": method, "backoffice.upstream": upstream}
    if tool:
        attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
    with _tracer.start_as_current_span(
        f"{method} {tool}".rstrip(),
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            result = await request
            went_wrong = "tool_error" if result.get("isError") is True else None
            return result
        except MCPError as error:
            went_wrong = str(error.error.code)
            raise
        except Exception:
            went_wrong = "unreachable"
            raise
        finally:
            kind = error_type(went_wrong)
            if kind:
                span.set_attribute("error.type", kind)
                span.set_status(StatusCode.ERROR)
            CLIENT_DURATION.labels(upstream, method, kind).observe(time.perf_counter() - started)
