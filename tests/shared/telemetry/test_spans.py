"""What leaves of a span: names and numbers of ours, whatever was recorded."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)
from prometheus_client import REGISTRY

from backoffice_shared.errors import InvalidInput
from backoffice_shared.redaction import MASK, SECRETS
from backoffice_shared.settings import Settings
from backoffice_shared.telemetry.otlp import Delivered
from backoffice_shared.telemetry.scrubbed import LONGEST, Scrubbed
from backoffice_shared.telemetry.traces import tracing

SECRET = "canary-of-the-spans-41d7"
SECRETS.learn(SECRET)


def exported(record: Callable[[Tracer], Span]) -> ReadableSpan:
    """The span that `record` makes, as it leaves."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Scrubbed(SimpleSpanProcessor(exporter)))
    record(provider.get_tracer("test")).end()
    (span,) = exporter.get_finished_spans()
    return span


def test_names_and_numbers_leave() -> None:
    given: dict[str, Any] = {
        "mcp.method.name": "tools/call",
        "gen_ai.tool.name": "find_customers",
        "http.response.status_code": 503,
        "backoffice.outcome": "error",
    }
    span = exported(
        lambda tracer: tracer.start_span("tools/call find_customers", kind=SpanKind.SERVER, attributes=given)
    )
    assert (span.name, span.kind, dict(span.attributes or {})) == ("tools/call find_customers", SpanKind.SERVER, given)


def test_what_nobody_thought_of_stays_here() -> None:
    def record(tracer: Tracer) -> Span:
        stranger = SpanContext(1, 2, is_remote=True, trace_state=TraceState([("vendor", "theirs")]))
        span = tracer.start_span(
            "tools/call find_customers",
            context=set_span_in_context(
                NonRecordingSpan(
                    SpanContext(
                        3, 4, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "theirs")])
                    )
                )
            ),
            links=[Link(stranger, {"note": "theirs"})],
            attributes={"gen_ai.tool.call.arguments": '{"email": "ada@mail.example"}', "url.full": "https://x/?q=ada"},
        )
        span.record_exception(ValueError("ada@mail.example is wrong"))
        span.add_event("told", {"body": "ada@mail.example"})
        span.set_status(Status(StatusCode.ERROR, "ada@mail.example is wrong"))
        return span

    span = exported(record)
    assert span.parent is not None
    assert span.context is not None
    assert span.context.trace_id == 3
    assert (dict(span.attributes or {}), span.events, span.links) == ({}, (), ())
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert not span.context.trace_state


def test_a_secret_in_a_name_is_masked_and_a_long_name_has_an_end() -> None:
    def record(tracer: Tracer) -> Span:
        return tracer.start_span(f"prompts/get {SECRET}\n", attributes={"jsonrpc.request.id": SECRET + "x" * 100_000})

    span = exported(record)
    assert span.name == f"prompts/get {MASK}\\n"
    (identity,) = (span.attributes or {}).values()
    assert identity == (MASK + "x" * 100_000)[:LONGEST]


# Delivery


class Collector(SpanExporter):
    """Answers as the test says."""

    def __init__(self, *answers: SpanExportResult | Exception) -> None:
        self._answers = list(answers)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        assert spans == ()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def shutdown(self) -> None: ...


def test_that_traces_are_lost_is_said_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    delivered = Delivered(Collector(good, bad, RuntimeError(SECRET), bad, good, good, bad))
    before = REGISTRY.get_sample_value("mcp_trace_export_failures_total") or 0
    with caplog.at_level(logging.INFO, "backoffice.traces"):
        assert [delivered.export(()) for _ in range(7)] == [good, bad, bad, bad, good, good, bad]
    assert [record.message for record in caplog.records] == [
        "the collector takes no traces: they are dropped until it does",
        "the collector takes traces again",
        "the collector takes no traces: they are dropped until it does",
    ]
    assert REGISTRY.get_sample_value("mcp_trace_export_failures_total") == before + 4


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector", "http://", "http://x/?token=1"])
def test_an_endpoint_that_cannot_be_one_is_said_at_start(endpoint: str) -> None:
    with (
        pytest.raises(InvalidInput, match="BACKOFFICE_OTLP_ENDPOINT is not an http"),
        tracing(Settings(otlp_endpoint=endpoint), "desk"),
    ):
        pass


WITHOUT_THE_EXTRA = """
import sys
sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.sdk.trace"] = None
from backoffice_shared.errors import InvalidInput
from backoffice_shared.settings import Settings
from backoffice_shared.telemetry.traces import tracing
with tracing(Settings(), "desk"):
    print("without an endpoint it is not needed")
try:
    with tracing(Settings(otlp_endpoint="http://127.0.0.1:1"), "desk"):
        print("it cannot come to this")
except InvalidInput as error:
    print(error)
"""


def test_that_the_library_is_not_installed_is_said_at_start() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT_THE_EXTRA], capture_output=True, text=True, check=False)
    first, last = ended.stdout.splitlines()
    assert first == "without an endpoint it is not needed"
    assert last.startswith("BACKOFFICE_OTLP_ENDPOINT needs a library that is not installed (opentelemetry.sdk")
    assert last.endswith("Install backoffice-shared[otlp].")
