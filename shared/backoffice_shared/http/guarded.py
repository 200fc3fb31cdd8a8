"""A circuit breaker per upstream and operation group: what keeps failing is left alone for a while.

Thirty seconds are watched. With twenty calls or more, half of them failing, or four fifths slow, opens the
circuit; so do five failed connections in a row. It stays open ten seconds, twice as long each time it opens
again, five minutes at most; then three probes, one at a time, must succeed. Refusals, throttling and
cancellation say nothing about health and are not counted.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import CircuitOpen
from backoffice_shared.http.call import call_of
from backoffice_shared.http.outcome import Outcome, of_error, of_response
from backoffice_shared.telemetry.metrics import BREAKER_STATE

WINDOW = 30.0
BUCKETS = 10
LEAST_CALLS = 20
FAILING = 0.5
SLOW = 0.8  # of the timeout, and of the calls
CONNECT_ERRORS = 5
OPEN_FOR = 10.0
OPEN_AT_MOST = 300.0
PROBES = 3

_CLOSED, _HALF_OPEN, _OPEN = 0, 1, 2


class Breaker:
    def __init__(self, clock: Clock, jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self._buckets: deque[list[float]] = deque()  # [started, calls, failed, slow]
        self._connect_errors = 0
        self._opened = 0
        self._until = 0.0
        self._probing = False
        self._probed = 0
        self.era = 0
        """Counts the times it opened: what an earlier era sent says nothing about this one."""
        self.state = _CLOSED

    def admit(self) -> float | None:
        """None to go ahead, or the seconds until it makes sense to ask again."""
        now = self._clock.now()
        if self.state == _OPEN:
            if now < self._until:
                return self._until - now
            self.state, self._probed, self._probing = _HALF_OPEN, 0, False
        if self.state == _HALF_OPEN:
            if self._probing:
                return 1.0
            self._probing = True
        return None

    def record(self, era: int, *, failed: bool, slow: bool, connected: bool) -> None:
        if era != self.era:
            return
        if self.state == _HALF_OPEN:
            self._record_probe(failed=failed)
            return
        bucket = self._bucket()
        bucket[1] += 1
        bucket[2] += failed
        bucket[3] += slow
        self._connect_errors = 0 if connected else self._connect_errors + 1
        calls, failures, slows = (sum(column) for column in list(zip(*self._buckets, strict=True))[1:])
        if self._connect_errors >= CONNECT_ERRORS or (
            calls >= LEAST_CALLS and (failures >= FAILING * calls or slows >= SLOW * calls)
        ):
            self._open()

    def forget(self, era: int) -> None:
        """The call said nothing about health: free its place as a probe."""
        if era == self.era:
            self._probing = False

    def reset(self) -> None:
        """Something else showed that it is well again."""
        self.state, self._opened, self._connect_errors, self._probing = _CLOSED, 0, 0, False
        self._buckets.clear()

    def _record_probe(self, *, failed: bool) -> None:
        self._probing = False
        if failed:
            self._open()
            return
        self._probed += 1
        if self._probed >= PROBES:
            self.reset()

    def _open(self) -> None:
        pause = min(OPEN_AT_MOST, OPEN_FOR * 2**self._opened)
        self._until = self._clock.now() + pause * (0.8 + 0.4 * self._jitter())
        self._opened += 1
        self._connect_errors = 0
        self.era += 1
        self.state = _OPEN
        self._buckets.clear()

    def _bucket(self) -> list[float]:
        now = self._clock.now()
        while self._buckets and self._buckets[0][0] <= now - WINDOW:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1][0] <= now - WINDOW / BUCKETS:
            self._buckets.append([now, 0, 0, 0])
        return self._buckets[-1]


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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        group = call_of(request).group
        breaker = self._breakers.get(group)
        if breaker is None:
            breaker = self._breakers[group] = Breaker(self._clock, self._jitter)
        if (wait := breaker.admit()) is not None:
            raise CircuitOpen(self._backend.title, "has been failing and is left alone for a while", retry_after=wait)
        started, era = self._clock.now(), breaker.era
        outcome, connected = None, True
        try:
            response = await self._inner.handle_async_request(request)
            outcome = of_response(self._backend, response)
        except httpx.TransportError as error:
            # When the call had less time than the vendor is given, that it was too little says nothing about the vendor.
            if not (isinstance(error, httpx.TimeoutException) and _given(request) < SLOW * self._backend.timeout):
                outcome = of_error(error)
            connected = outcome is not Outcome.TRANSIENT
            raise
        finally:
            if outcome in (Outcome.OK, Outcome.TRANSIENT, Outcome.AMBIGUOUS, Outcome.PERMANENT, Outcome.AUTH):
                breaker.record(
                    era,
                    failed=outcome in (Outcome.TRANSIENT, Outcome.AMBIGUOUS),
                    slow=self._clock.now() - started > SLOW * self._backend.timeout,
                    connected=connected,
                )
            else:  # throttled, cancelled, or refused by a layer of ours
                breaker.forget(era)
            BREAKER_STATE.labels(self._backend.name, group).set(breaker.state)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _given(request: httpx.Request) -> float:
    """Seconds that this attempt may take."""
    return request.extensions.get("timeout", {}).get("read") or float("inf")
