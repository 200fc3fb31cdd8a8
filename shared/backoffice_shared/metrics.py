"""Every Prometheus metric, declared once. Labels come from our own names only, so that their number is bounded."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# The buckets of OpenTelemetry's MCP conventions.
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)

OPERATION_DURATION = Histogram(
    "mcp_server_operation_duration_seconds", "Tool calls.", ("server", "tool", "outcome"), buckets=_SECONDS
)
IN_FLIGHT = Gauge("mcp_inflight_requests", "Tool calls under way.", ("server",))
AUDIT_FAILURES = Counter("mcp_audit_write_failures_total", "Audit records that could not be kept.", ("server",))
UPSTREAM_DURATION = Histogram(
    "mcp_upstream_request_duration_seconds",
    "Attempts at a backend.",
    ("upstream", "operation", "outcome"),
    buckets=_SECONDS,
)
RETRIES = Counter("mcp_upstream_retries_total", "Attempts repeated.", ("upstream", "reason"))
BREAKER_STATE = Gauge("mcp_circuit_breaker_state", "0 closed, 1 half open, 2 open.", ("upstream", "group"))
CACHE_REQUESTS = Counter("mcp_cache_requests_total", "Cacheable reads.", ("upstream", "result"))
