"""A span and a measurement for every attempt, with names only: no URL, no header, no argument.

The vendor is not told of the trace: a `traceparent` would tell a third party which of its requests belong together.
"""

from __future__ import annotations

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from backoffice_shared import account
from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackofficeError, TooLarge
from backoffice_shared.http.call import call_of
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.outcome import Outcome, of_error, of_response
from backoffice_shared.telemetry.metrics import UPSTREAM_DURATION

_tracer = trace.get_tracer("backoffice.http")


class Traced(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        latencies: Latencies | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._latencies = latencies or Latencies(clock)
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = call_of(request).operation
        started = self._clock.now()
        outcome, status, refused = "cancelled", 0, False
        with _tracer.start_as_current_span(
            f"{self._backend.name} {operation}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": request.method, "server.address": request.url.host},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                response = await self._inner.handle_async_request(request)
                outcome = of_response(self._backend, response).value
                status = response.status_code
                span.set_attribute("http.response.status_code", status)
            except httpx.TransportError as error:
                outcome = of_error(error).value
                raise
            except BackofficeError as error:
                outcome = error.code
                refused = not isinstance(error, TooLarge)  # by a layer of ours, before anything left
                raise
            finally:
                if outcome != "ok":
                    span.set_attribute("error.type", outcome)
                    span.set_status(StatusCode.ERROR)
                self._took(operation, outcome, self._clock.now() - started)
                if not refused:
                    account.attempted(self._backend.name, status)
        return response

    def _took(self, operation: str, outcome: str, seconds: float) -> None:
        UPSTREAM_DURATION.labels(self._backend.name, operation, outcome).observe(seconds)
        if outcome == Outcome.OK.value:
            self._latencies.note(operation, seconds)

    async def aclose(self) -> None:
        await self._inner.aclose()
