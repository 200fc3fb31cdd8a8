"""A span and a measurement for every attempt, with names only: no URL, no header, no argument."""

from __future__ import annotations

import time

import httpx
from opentelemetry import trace

from backoffice_shared.backend import Backend
from backoffice_shared.errors import BackofficeError
from backoffice_shared.http.call import call_of
from backoffice_shared.http.outcome import of_error, of_response
from backoffice_shared.telemetry.metrics import UPSTREAM_DURATION

_tracer = trace.get_tracer("backoffice.http")


class Traced(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, backend: Backend) -> None:
        self._inner = inner
        self._backend = backend

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = call_of(request).operation
        started = time.perf_counter()
        outcome = "cancelled"
        with _tracer.start_as_current_span(
            f"{self._backend.name} {operation}",
            kind=trace.SpanKind.CLIENT,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await self._inner.handle_async_request(request)
                outcome = of_response(self._backend, response).value
                span.set_attribute("http.response.status_code", response.status_code)
            except httpx.TransportError as error:
                outcome = of_error(error).value
                raise
            except BackofficeError as error:
                outcome = error.code
                raise
            finally:
                span.set_attribute("backoffice.outcome", outcome)
                UPSTREAM_DURATION.labels(self._backend.name, operation, outcome).observe(time.perf_counter() - started)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
