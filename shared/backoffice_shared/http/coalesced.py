"""Identical reads at the same time share one request. It is cancelled when the last of those who wait has gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from backoffice_shared.deadline import deadline
from backoffice_shared.errors import DeadlineExceeded
from backoffice_shared.http.call import call_of
from backoffice_shared.http.kept import cache_key


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[httpx.Response]
    until: float
    waiting: int = 0


class Coalesced(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._flights: dict[str, _Flight] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not call_of(request).reads:
            try:
                return await self._inner.handle_async_request(request)
            finally:
                self._flights.clear()  # what took off before the write may not have seen it
        key = cache_key(request)
        flight = self._flights.get(key)
        if flight is None:
            return await self._join(self._take_off(key, request), request)
        try:
            return await self._join(flight, request)
        except (DeadlineExceeded, httpx.TimeoutException):
            if deadline() <= flight.until:
                raise
            # The flight had the time of whoever started it, and this caller has more.
            return await self._join(self._flights.get(key) or self._take_off(key, request), request)

    def _take_off(self, key: str, request: httpx.Request) -> _Flight:
        flight = _Flight(asyncio.create_task(self._fly(request)), deadline())
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _done: self._land(key, flight))
        return flight

    async def _fly(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    def _land(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.task.cancelled():
            flight.task.exception()  # those who wait have it; if they all left, nobody needs it

    async def _join(self, flight: _Flight, request: httpx.Request) -> httpx.Response:
        flight.waiting += 1
        try:
            response = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                flight.task.cancel()
                self._flights = {key: other for key, other in self._flights.items() if other is not flight}
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            content=response.content,
            request=request,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for flight in list(self._flights.values()):
            flight.task.cancel()
        await self._inner.aclose()
