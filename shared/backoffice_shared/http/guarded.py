"""A circuit breaker per upstream and operation group (`breaker.py`): what keeps failing is left alone for a while.

Refusals, throttling, cancellation and what our own layers refuse say nothing about health and are not counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import CircuitOpen
from backoffice_shared.http.breaker import CLOSED, SLOW, Breaker, watched
from backoffice_shared.http.call import call_of
from backoffice_shared.http.health import STATES, Health
from backoffice_shared.http.outcome import Outcome, of_error, of_response


class Guarded(httpx.AsyncBaseTransport):
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
        self._breakers: dict[str, Breaker] = {}
        self._succeeded_at: float | None = None
        self._failed_at: float | None = None

    def closed(self, group: str) -> bool:
        """Nothing is known against these operations."""
        breaker = self._breakers.get(group)
        return breaker is None or breaker.state == CLOSED

    def health(self) -> Health:
        now = self._clock.now()
        succeeded, failed = (None if at is None else now - at for at in (self._succeeded_at, self._failed_at))
        return Health({name: STATES[breaker.state] for name, breaker in self._breakers.items()}, succeeded, failed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        breaker = self._breaker(call_of(request).group)
        if (wait := breaker.admit()) is not None:
            raise CircuitOpen(self._backend.title, "has been failing and is left alone for a while", retry_after=wait)
        started, era = self._clock.now(), breaker.era
        outcome: Outcome | None = None
        try:
            response = await self._inner.handle_async_request(request)
            outcome = of_response(self._backend, response)
        except httpx.TransportError as error:
            # When the call had less time than the vendor is given, that it was too little says nothing about the vendor.
            if not (isinstance(error, httpx.TimeoutException) and _given(request) < SLOW * self._backend.timeout):
                outcome = of_error(error)
            raise
        finally:
            self._record(breaker, era, outcome, self._clock.now() - started)
        return response

    def _breaker(self, group: str) -> Breaker:
        breaker = self._breakers.get(group)
        if breaker is None:
            changed = watched(self._backend.name, group)
            breaker = self._breakers[group] = Breaker(self._clock, self._jitter, changed)
        return breaker

    def _record(self, breaker: Breaker, era: int, outcome: Outcome | None, took: float) -> None:
        if outcome is None or outcome is Outcome.THROTTLED:  # throttled, cancelled, or refused by a layer of ours
            breaker.forget(era)
            return
        failed = outcome in (Outcome.TRANSIENT, Outcome.AMBIGUOUS)
        slow = took > SLOW * self._backend.timeout
        breaker.record(era, failed=failed, slow=slow, connected=outcome is not Outcome.TRANSIENT)
        if failed:
            self._failed_at = self._clock.now()
        else:
            self._succeeded_at = self._clock.now()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _given(request: httpx.Request) -> float:
    """Seconds that this attempt may take."""
    return request.extensions.get("timeout", {}).get("read") or float("inf")
