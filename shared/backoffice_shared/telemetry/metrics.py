"""Every Prometheus metric, declared once. Labels come from our own names only, so that their number is bounded."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # a third more series, which nothing asks for

# The buckets of OpenTelemetry's MCP conventions.
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

# Calls. The names are those of OpenTelemetry's MCP conventions, as Prometheus writes them.
OPERATION_DURATION = Histogram(
    "mcp_server_operation_duration_seconds",
    "Requests answered.",
    ("server", "mcp_method_name", "gen_ai_tool_name", "outcome", "error_type"),
    buckets=_SECONDS,
)
CLIENT_DURATION = Histogram(
    "mcp_client_operation_duration_seconds",
    "Requests made to other MCP servers.",
    ("upstream", "mcp_method_name", "error_type"),
    buckets=_SECONDS,
)
IN_FLIGHT = Gauge("mcp_inflight_requests", "Tool calls under way.", ("server",))
CONCURRENCY_LIMIT = Gauge("mcp_concurrency_limit", "Tool calls that may be under way at once.", ("server",))
SHED = Counter("mcp_shed_total", "Calls refused because the server has too much to do.", ("server", "class"))
RATE_LIMITED = Counter("mcp_rate_limited_total", "Calls refused by a rate limit or a quota.", ("server", "scope"))
DENIED = Counter("mcp_denied_total", "Requests refused by authentication or policy.", ("server", "reason"))
DEADLINES = Counter("mcp_deadline_exceeded_total", "Calls that did not end in time.", ("server",))
IDEMPOTENCY = Counter("mcp_idempotency_total", "Calls with an idempotency key.", ("server", "result"))
AUDIT_FAILURES = Counter("mcp_audit_write_failures_total", "Attempts to keep audit records that failed.")
AUDIT_WAITING = Gauge("mcp_audit_waiting_records", "Audit records not kept yet.")

# Backends
UPSTREAM_DURATION = Histogram(
    "mcp_upstream_request_duration_seconds",
    "Attempts at a backend.",
    ("upstream", "operation", "outcome"),
    buckets=_SECONDS,
)
RETRIES = Counter("mcp_upstream_retries_total", "Attempts repeated.", ("upstream", "reason"))
RETRY_BUDGET = Gauge("mcp_retry_budget_tokens", "What is left for repeating attempts.", ("upstream",))
HEDGES = Counter("mcp_upstream_hedges_total", "Reads sent a second time because the first was slow.", ("upstream",))
BREAKER_STATE = Gauge("mcp_circuit_breaker_state", "0 closed, 1 half open, 2 open.", ("upstream", "group"))
BREAKER_OPENED = Counter("mcp_circuit_breaker_opened_total", "Times that a circuit opened.", ("upstream", "group"))
CACHE_REQUESTS = Counter("mcp_cache_requests_total", "Cacheable reads.", ("upstream", "result"))

# Credentials and state
SECRET_AGE = Gauge("mcp_secret_age_seconds", "Since a secret was last confirmed by its source.", ("path",))
SECRET_FAILURES = Counter("mcp_secret_read_failures_total", "Reads of a secret that failed.", ("source",))
VAULT_LOGINS = Counter("mcp_vault_logins_total", "Logins at Vault.")
VAULT_LOGIN_FAILURES = Counter("mcp_vault_login_failures_total", "Logins that Vault refused or did not answer.")
STORE_FAILURES = Counter("mcp_state_store_failures_total", "Operations of the shared store that failed.", ("store",))

# Telemetry itself
TRACE_FAILURES = Counter("mcp_trace_export_failures_total", "Batches of spans that the collector did not take.")
