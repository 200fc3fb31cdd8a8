"""Traces on their way to an OpenTelemetry collector: batched in a thread of its own, which no call waits for."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from backoffice_shared import __version__
from backoffice_shared.errors import InvalidInput
from backoffice_shared.telemetry.metrics import TRACE_FAILURES

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from backoffice_shared.telemetry.scrubbed import LONGEST, Scrubbed
except ImportError as missing:
    raise InvalidInput(
        "",
        f"BACKOFFICE_OTLP_ENDPOINT needs a library that is not installed ({missing.name})",
        hint="Install backoffice-shared[otlp]",
    ) from None

log = logging.getLogger("backoffice.traces")

TIMEOUT = 3.0  # seconds for one batch

# What they would say with every batch that fails, `Delivered` says once.
_CHATTY = ("opentelemetry.exporter", "opentelemetry.sdk")


def otlp_provider(endpoint: str, service: str) -> TracerProvider:
    """Spans of `service` go to the collector at `endpoint`: as many as the caller's sampling decision says, all when
    there is none.

    `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES` are the SDK's own settings.
    """
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": __version__}),
        span_limits=SpanLimits(max_span_attribute_length=LONGEST),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT)
    provider.add_span_processor(Scrubbed(BatchSpanProcessor(Delivered(exporter))))
    return provider


class Delivered(SpanExporter):
    """Says once that the collector takes no traces, and once that it does again."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exported(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            TRACE_FAILURES.inc()
        if failing and not self._failing:
            log.warning("the collector takes no traces: they are dropped until it does")
        if self._failing and not failing:
            log.info("the collector takes traces again")
        self._failing = failing
        return result

    def _exported(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._inner.export(spans)
        except Exception:
            return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._inner.shutdown()
