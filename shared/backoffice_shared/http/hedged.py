"""A read that is late is sent a second time, and the first answer counts: the slowest one in twenty gets quicker.

Late is what nineteen of twenty answers to this operation lately were not, and fifty milliseconds at least. One read in
twenty may be hedged, so that a backend that is slow for everyone is not asked twice by everyone; and none while its
circuit is not closed, or this server has too much to do itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import BackofficeError
from backoffice_shared.http.call import Call, again, call_of
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.outcome import Outcome, of_response
from backoffice_shared.telemetry.metrics import HEDGES

LATE = 0.95  # of the answers come before this
SOONEST = 0.05  # seconds
PRICE = 20  # reads for each that may be hedged
SAVED_AT_MOST = 5 * PRICE

_USELESS = (Outcome.TRANSIENT, Outcome.AMBIGUOUS, Outcome.THROTTLED)


class Hedged(httpx.AsyncBaseTransport):
    """`steady` says whether a second attempt may be made for this call now."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        latencies: Latencies,
        *,
        steady: Callable[[Call], bool],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._latencies = latencies
        self._steady = steady
        self._clock = clock
        self._saved = 0  # reads not hedged yet

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        usual = self._latencies.within(call.operation, LATE) if call.reads else None
        if usual is None:
            return await self._inner.handle_async_request(request)
        self._saved = min(SAVED_AT_MOST, self._saved + 1)
        late = max(SOONEST, usual)
        second = again(request, replace(call, hedge=True))
        second.extensions["timeout"] = {k: max(v - late, 0.001) for k, v in second.extensions["timeout"].items()}
        return await self._race(call, request, second, late)

    async def _race(self, call: Call, request: httpx.Request, second: httpx.Request, late: float) -> httpx.Response:
        started = self._clock.now()
        first = asyncio.create_task(self._sent(request))
        timer = asyncio.create_task(self._clock.sleep(late))
        hedge: asyncio.Task[httpx.Response] | None = None
        try:
            await asyncio.wait((first, timer), return_when=asyncio.FIRST_COMPLETED)
            if first.done() or not self._may_hedge(call, late):
                return await first
            hedge = asyncio.create_task(self._sent(second))
            await asyncio.wait((first, hedge), return_when=asyncio.FIRST_COMPLETED)
            if not (self._useful(first) or self._useful(hedge)):
                await asyncio.wait((first, hedge))
            if not self._useful(hedge):
                return await first
            if not first.done():
                # It would have taken longer still: left out, what is usual would shrink to what hedges take.
                self._latencies.note(call.operation, self._clock.now() - started)
            return await hedge
        finally:
            for task in (first, timer, hedge):
                if task is not None:
                    _dismiss(task)

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    def _may_hedge(self, call: Call, late: float) -> bool:
        if self._saved < PRICE or remaining() < late or not self._steady(call):
            return False
        self._saved -= PRICE
        HEDGES.labels(self._backend.name).inc()
        return True

    def _useful(self, task: asyncio.Task[httpx.Response]) -> bool:
        """It has ended with something that the other one could not better."""
        if not task.done() or task.cancelled():
            return False
        if (error := task.exception()) is not None:
            return not isinstance(error, httpx.TransportError | BackofficeError)
        return of_response(self._backend, task.result()) not in _USELESS

    async def aclose(self) -> None:
        await self._inner.aclose()


def _dismiss(task: asyncio.Task[httpx.Response] | asyncio.Task[None]) -> None:
    """Nobody waits for it any more: end it, or take note of how it ended."""
    if not task.cancel() and not task.cancelled():
        task.exception()
