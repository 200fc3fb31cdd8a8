"""We keep the vendor's limits before the vendor has to: every request waits its turn.

Turns are this process's own, or shared by all replicas (`state/turns.py`); what a vendor's answers say is left of its
limit, or how long it wants to be left alone, corrects both.
"""

from __future__ import annotations

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import RateLimited
from backoffice_shared.http.call import call_of
from backoffice_shared.http.outcome import Outcome, failure_of, of_response
from backoffice_shared.state.memory import MemoryTurns
from backoffice_shared.state.turns import Turns

LONGEST_WAIT = 2.0  # beyond this the caller is better told than kept waiting
LONGEST_BLOCK = 3600.0  # whatever a vendor says
PAUSE_UNTOLD = 1.0  # after a 429 that does not say how long


class Paced(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        turns: Turns | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._turns = turns or MemoryTurns(clock=clock)
        self._clock = clock
        self._blocked_until = clock.now()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        longest = 0.0 if call_of(request).hedge else LONGEST_WAIT
        turn = self._clock.now() + await self._turns.take(self._backend.name, self._backend.rate)
        try:
            while (wait := max(turn, self._blocked_until) - self._clock.now()) > 0:
                if wait > min(longest, remaining()):
                    raise RateLimited(
                        self._backend.title, "its request limit is used up for the moment", retry_after=wait
                    )
                await self._clock.sleep(wait)
        except BaseException:
            await self._turns.give_back(self._backend.name, self._backend.rate)
            raise
        response = await self._inner.handle_async_request(request)
        await self._learn(response)
        return response

    async def _learn(self, response: httpx.Response) -> None:
        if of_response(self._backend, response) is Outcome.THROTTLED:
            failure = failure_of(self._backend, response)
            asked = failure.retry_after if failure is not None else None
            await self._told(blocked=PAUSE_UNTOLD if asked is None else asked)
        elif (allowance := self._backend.allowance(response)) is not None:
            if allowance.remaining <= 0:
                await self._told(left=0.0, blocked=allowance.seconds)
            elif allowance.remaining < self._backend.rate.burst:  # more could go at once than there is
                await self._told(left=allowance.remaining)

    async def _told(self, *, left: float | None = None, blocked: float | None = None) -> None:
        if blocked is not None:
            blocked = min(blocked, LONGEST_BLOCK)
            self._blocked_until = max(self._blocked_until, self._clock.now() + blocked)
        await self._turns.learn(self._backend.name, self._backend.rate, left=left, blocked=blocked)

    async def aclose(self) -> None:
        await self._inner.aclose()
