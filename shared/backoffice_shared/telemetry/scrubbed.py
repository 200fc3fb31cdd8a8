"""What leaves the process of a span: names and numbers that are on a list. Nothing else, whoever recorded it.

The MCP SDK records exceptions with their text, and a vendor's text may hold a customer's data. So events, links and
descriptions stay here, and attributes that nobody thought of. This happens as a span ends, before it waits to be sent,
so that a stranger's long names do not fill the queue.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanContext, Status
from opentelemetry.util.types import AttributeValue

from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.visible import visible

LONGEST = 128  # characters of a name or a value

KEPT = frozenset(
    {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        "http.request.method",
        "http.response.status_code",
        "jsonrpc.request.id",
        "mcp.method.name",
        "mcp.protocol.version",
        "rpc.response.status_code",
        "server.address",
    }
)
"""And what is ours: `backoffice.…`."""


class Scrubbed(SpanProcessor):
    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self._inner.on_end(scrubbed(span))

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def scrubbed(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=_text(span.name),
        context=_plain(span.context),
        parent=span.parent,
        resource=span.resource,
        attributes={
            name: _value(value)
            for name, value in (span.attributes or {}).items()
            if name in KEPT or name.startswith("backoffice.")
        },
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _plain(context: SpanContext | None) -> SpanContext | None:
    """Without what other vendors noted on the way (`tracestate`): it is the caller's text."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _value(value: AttributeValue) -> AttributeValue:
    return value if isinstance(value, bool | int | float) else _text(str(value))


def _text(text: str) -> str:
    return visible(SECRETS.scrub(text))[:LONGEST]
