"""We keep the vendor's limits before the vendor has to: a token bucket, corrected by what its answers say is left."""

from __future__ import annotations

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import RateLimited
from backoffice_shared.http.outcome import Outcome, failure_of, of_response

LONGEST_WAIT = 2.0  # beyond this the caller is better told than kept waiting
LONGEST_BLOCK = 3600.0  # whatever a vendor says
PAUSE_UNTOLD = 1.0  # after a 429 that does not say how long


class Paced(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, backend: Backend, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._inner = inner
        self._backend = backend
        self._clock = clock
        self._per_second = backend.rate.requests / backend.rate.seconds
        self._tokens = backend.rate.burst
        self._filled_at = clock.now()
        self._blocked_until = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        turn = self._take_turn()
        try:
            while (wait := max(turn, self._blocked_until) - self._clock.now()) > 0:
                if wait > min(LONGEST_WAIT, remaining()):
                    raise RateLimited(
                        self._backend.title, "its request limit is used up for the moment", retry_after=wait
                    )
                await self._clock.sleep(wait)
        except BaseException:
            self._tokens += 1  # not taken after all
            raise
        response = await self._inner.handle_async_request(request)
        self._learn(response)
        return response

    def _take_turn(self) -> float:
        """Take a token, from the future if need be; return when it is there."""
        now = self._clock.now()
        self._tokens = min(self._backend.rate.burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        self._tokens -= 1
        return now - min(self._tokens, 0.0) / self._per_second

    def _learn(self, response: httpx.Response) -> None:
        now = self._clock.now()
        if of_response(self._backend, response) is Outcome.THROTTLED:
            failure = failure_of(self._backend, response)
            asked = failure.retry_after if failure is not None else None
            self._block(now + (PAUSE_UNTOLD if asked is None else asked))
        elif (allowance := self._backend.allowance(response)) is not None:
            self._tokens = min(self._tokens, max(allowance.remaining, 0.0))
            if allowance.remaining <= 0:
                self._block(now + allowance.seconds)

    def _block(self, until: float) -> None:
        self._blocked_until = max(self._blocked_until, min(until, self._clock.now() + LONGEST_BLOCK))

    async def aclose(self) -> None:
        await self._inner.aclose()
