"""Three attempts, full jitter, never past the deadline, and only here: nothing above or below repeats a request.

A failure is repeated when nothing can have happened (no connection, 429), or when repeating is harmless
(reads, and writes that carry an idempotency key). A budget per upstream keeps an outage from being
multiplied. The numbers are those AWS made its default in November 2026.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import DeadlineExceeded
from backoffice_shared.http.call import Call, call_of
from backoffice_shared.http.outcome import Outcome, failure_of, of_error, of_response
from backoffice_shared.metrics import RETRIES

ATTEMPTS = 3
BASE = {Outcome.TRANSIENT: 0.05, Outcome.AMBIGUOUS: 0.05, Outcome.THROTTLED: 1.0}
CAP = 5.0
LEAST_USEFUL = 0.05  # with less time left than this, an attempt cannot succeed


class RetryBudget:
    """Tokens per upstream: a retry costs, its success gives back, a clean success earns one. Empty means: fail at once."""

    CAPACITY = 500
    COST: ClassVar = {Outcome.TRANSIENT: 14, Outcome.AMBIGUOUS: 14, Outcome.THROTTLED: 5}

    def __init__(self) -> None:
        self.tokens = self.CAPACITY

    def spend(self, outcome: Outcome) -> int:
        """The price paid, or 0 when there is not enough left."""
        cost = self.COST[outcome]
        if self.tokens < cost:
            return 0
        self.tokens -= cost
        return cost

    def earn(self, tokens: int) -> None:
        self.tokens = min(self.CAPACITY, self.tokens + tokens)


class Retrying(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._clock = clock
        self._jitter = jitter
        self.budget = RetryBudget()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        paid = 0
        for attempt in range(1, ATTEMPTS):
            response, error, outcome = await self._attempt(request)
            if outcome is Outcome.OK:
                self.budget.earn(paid or 1)
                return _result(response, error)
            delay = self._delay(attempt, outcome, response)
            if not _may_repeat(call, outcome) or delay > remaining() - LEAST_USEFUL:
                return _result(response, error)
            if not (paid := self.budget.spend(outcome)):
                return _result(response, error)
            RETRIES.labels(self._backend.name, outcome.value).inc()
            await self._clock.sleep(delay)
        response, error, outcome = await self._attempt(request)
        if outcome is Outcome.OK:
            self.budget.earn(paid)
        return _result(response, error)

    async def _attempt(
        self, request: httpx.Request
    ) -> tuple[httpx.Response | None, httpx.TransportError | None, Outcome]:
        left = remaining()
        if left < LEAST_USEFUL:
            raise DeadlineExceeded(self._backend.title, "was not asked: the call has no time left")
        request.extensions["timeout"] = _timeouts(min(self._backend.timeout, left - max(LEAST_USEFUL, 0.05 * left)))
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            return None, error, of_error(error)
        return response, None, of_response(self._backend, response)

    def _delay(self, attempt: int, outcome: Outcome, response: httpx.Response | None) -> float:
        failure = failure_of(self._backend, response) if response is not None else None
        jittered = self._jitter() * min(CAP, BASE.get(outcome, 0.0) * 2 ** (attempt - 1))
        asked = failure.retry_after if failure is not None else None
        return jittered if asked is None else asked + min(jittered, CAP)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _result(response: httpx.Response | None, error: httpx.TransportError | None) -> httpx.Response:
    if response is None:
        assert error is not None  # noqa: S101 - an attempt gives one or the other
        raise error
    return response


def _may_repeat(call: Call, outcome: Outcome) -> bool:
    if outcome in (Outcome.TRANSIENT, Outcome.THROTTLED):
        return True
    return outcome is Outcome.AMBIGUOUS and call.repeatable


def _timeouts(seconds: float) -> dict[str, float]:
    seconds = max(seconds, 0.001)
    return {"connect": min(seconds, 5.0), "read": seconds, "write": seconds, "pool": seconds}
