"""Three attempts, full jitter, never past the deadline, and only here: nothing above or below repeats a request.

A failure is repeated when nothing can have happened (no connection, 429), or when repeating is harmless
(reads, and writes that carry an idempotency key). A budget per upstream keeps an outage from being
multiplied. The numbers are those AWS made its default in November 2026.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import BackofficeError, DeadlineExceeded
from backoffice_shared.http.call import Call, call_of
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.outcome import Outcome, failure_of, of_error, of_response
from backoffice_shared.telemetry.metrics import RETRIES, RETRY_BUDGET

ATTEMPTS = 3
BASE = {Outcome.TRANSIENT: 0.05, Outcome.AMBIGUOUS: 0.05, Outcome.THROTTLED: 1.0}
CAP = 5.0
LEAST_USEFUL = 0.05  # with less time left than this, an attempt cannot succeed


class RetryBudget:
    """Tokens of one upstream: a retry costs, its success gives back, a clean success earns one. Empty: fail at once."""

    CAPACITY = 500
    COST: ClassVar = {Outcome.TRANSIENT: 14, Outcome.AMBIGUOUS: 14, Outcome.THROTTLED: 5}

    def __init__(self, upstream: str) -> None:
        self._gauge = RETRY_BUDGET.labels(upstream)
        self._set(self.CAPACITY)

    def spend(self, outcome: Outcome) -> int:
        """The price paid, or 0 when there is not enough left."""
        cost = self.COST[outcome]
        if self.tokens < cost:
            return 0
        self._set(self.tokens - cost)
        return cost

    def earn(self, tokens: int) -> None:
        self._set(min(self.CAPACITY, self.tokens + tokens))

    def _set(self, tokens: int) -> None:
        self.tokens = tokens
        self._gauge.set(tokens)


class Retrying(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        budget: RetryBudget | None = None,
        latencies: Latencies | None = None,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._clock = clock
        self._jitter = jitter
        self._latencies = latencies or Latencies(clock)
        self.budget = budget or RetryBudget(backend.name)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        paid = 0
        lost: httpx.TransportError | None = None  # an earlier attempt that may have been carried out
        for attempt in range(1, ATTEMPTS + 1):
            try:
                tried = await self._attempt(request)
            except BackofficeError as refused:
                raise lost or refused from None
            if tried.outcome is Outcome.OK:
                self.budget.earn(paid or 1)
                return tried.result()
            if tried.outcome is Outcome.AMBIGUOUS and not call.reads:
                lost = tried.error or httpx.ReadError("the vendor failed on the way", request=request)
            delay = self._delay(attempt, tried)
            hopeless = attempt == ATTEMPTS or delay > remaining() - self._least_useful(call)
            if hopeless or not _may_repeat(call, tried.outcome) or not (paid := self.budget.spend(tried.outcome)):
                return _told(tried, lost)
            RETRIES.labels(self._backend.name, tried.outcome.value).inc()
            await self._clock.sleep(delay)
        raise AssertionError("the last attempt returns")  # pragma: no cover

    async def _attempt(self, request: httpx.Request) -> _Tried:
        left = remaining()
        if left < self._least_useful(call_of(request)):
            raise DeadlineExceeded(self._backend.title, "was not asked: the call has too little time left")
        request.extensions["timeout"] = _timeouts(min(self._backend.timeout, left - max(LEAST_USEFUL, 0.05 * left)))
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            return _Tried(of_error(error), error=error)
        return _Tried(of_response(self._backend, response), response=response)

    def _least_useful(self, call: Call) -> float:
        """Seconds without which an attempt is pointless: every other answer would come too late."""
        if remaining() >= self._backend.timeout:
            return LEAST_USEFUL
        return max(LEAST_USEFUL, self._latencies.within(call.operation, 0.5) or 0.0)

    def _delay(self, attempt: int, tried: _Tried) -> float:
        failure = failure_of(self._backend, tried.response) if tried.response is not None else None
        jittered = self._jitter() * min(CAP, BASE.get(tried.outcome, 0.0) * 2 ** (attempt - 1))
        asked = failure.retry_after if failure is not None else None
        return jittered if asked is None else asked + jittered

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(frozen=True, slots=True)
class _Tried:
    """One attempt: an answer, or the error in its place."""

    outcome: Outcome
    response: httpx.Response | None = None
    error: httpx.TransportError | None = None

    def result(self) -> httpx.Response:
        if self.response is None:
            assert self.error is not None  # noqa: S101 - an attempt gives one or the other
            raise self.error
        return self.response


def _told(last: _Tried, lost: httpx.TransportError | None) -> httpx.Response:
    """What the caller learns. That a later attempt never left does not make an earlier one undone."""
    if lost is not None and last.outcome in (Outcome.TRANSIENT, Outcome.THROTTLED):
        raise lost
    return last.result()


def _may_repeat(call: Call, outcome: Outcome) -> bool:
    if outcome in (Outcome.TRANSIENT, Outcome.THROTTLED):
        return True
    return outcome is Outcome.AMBIGUOUS and call.repeatable


def _timeouts(seconds: float) -> dict[str, float]:
    seconds = max(seconds, 0.001)
    return {"connect": min(seconds, 5.0), "read": seconds, "write": seconds, "pool": seconds}
