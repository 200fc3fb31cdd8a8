"""Answers are kept for a while: fresh ones spare the vendor, old ones stand in when it fails, and say that they are old.

An answer is fresh for the call's `fresh_for` seconds. For as long again it is given at once while a new one is
fetched behind it. Until five minutes after that it is given only when the vendor fails. A write drops every
answer that shares a tag with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import httpx
from cachetools import LRUCache

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import BackofficeError
from backoffice_shared.http.call import Call, attach, call_of, forgettable
from backoffice_shared.http.outcome import Outcome, of_response
from backoffice_shared.sources import observe
from backoffice_shared.telemetry.metrics import CACHE_REQUESTS

STALE_IF_ERROR = 300.0
NOT_FOUND_FRESH_FOR = 10.0
CAPACITY = 32 * 1024 * 1024  # bytes of answers

_STANDS_IN_FOR = (Outcome.TRANSIENT, Outcome.THROTTLED, Outcome.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class _Kept:
    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes
    tags: frozenset[str]
    at: float
    as_of: datetime
    fresh_for: float

    def response(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, headers=self.headers, content=self.content, request=request)


def cache_key(request: httpx.Request) -> str:
    body = hashlib.sha256(request.content).hexdigest() if request.content else ""
    return f"{call_of(request).partition} {request.method} {request.url} {body}"


class Cached(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        clock: Clock = SYSTEM_CLOCK,
        capacity: int = CAPACITY,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._clock = clock
        self._kept: LRUCache[str, _Kept] = LRUCache(capacity, getsizeof=lambda kept: len(kept.content) + 512)
        self._generation = 0
        self._refreshing: dict[str, asyncio.Task[httpx.Response]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        if not call.reads:
            return await self._write(call, request)
        if call.fresh_for <= 0:
            observe()
            return await self._inner.handle_async_request(request)
        key = cache_key(request)
        kept = self._kept.get(key)
        age = self._clock.now() - kept.at if kept is not None else float("inf")
        if kept is not None and age <= 2 * kept.fresh_for:
            if age > kept.fresh_for:
                self._refresh_behind(key, request)
            return self._answer(kept, request, age, "hit" if age <= kept.fresh_for else "stale")
        try:
            response = await self._fetch(request)
        except MissingCredential:
            raise
        except (httpx.TransportError, BackofficeError):
            if kept is not None and _stands_in(kept, age):
                return self._answer(kept, request, age, "stale_if_error")
            raise
        if kept is not None and _stands_in(kept, age) and of_response(self._backend, response) in _STANDS_IN_FOR:
            return self._answer(kept, request, age, "stale_if_error")
        CACHE_REQUESTS.labels(self._backend.name, "miss").inc()
        observe()
        return response

    def _answer(self, kept: _Kept, request: httpx.Request, age: float, how: str) -> httpx.Response:
        CACHE_REQUESTS.labels(self._backend.name, how).inc()
        observe(kept.as_of, stale=age > kept.fresh_for)
        return forgettable(kept.response(request), partial(self._kept.pop, cache_key(request), None))

    async def _fetch(self, request: httpx.Request) -> httpx.Response:
        generation = self._generation
        response = await self._inner.handle_async_request(request)
        # A write that went through meanwhile may have changed what this read saw.
        if generation == self._generation:
            self._keep(cache_key(request), call_of(request), response)
        return forgettable(response, partial(self._kept.pop, cache_key(request), None))

    def _keep(self, key: str, call: Call, response: httpx.Response) -> None:
        outcome = of_response(self._backend, response)
        if outcome is Outcome.OK:
            fresh_for = call.fresh_for
        elif response.status_code == 404:
            fresh_for = NOT_FOUND_FRESH_FOR
        else:
            return
        kept = _Kept(
            response.status_code,
            [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP],
            response.content,
            call.tags,
            self._clock.now(),
            datetime.now(UTC).replace(microsecond=0),
            fresh_for,
        )
        if len(kept.content) < self._kept.maxsize:
            self._kept[key] = kept

    async def _write(self, call: Call, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        finally:
            # Also when it failed: a write without an answer may have been carried out.
            self._generation += 1
            for key in [key for key, kept in self._kept.items() if not call.tags.isdisjoint(kept.tags)]:
                del self._kept[key]

    def _refresh_behind(self, key: str, request: httpx.Request) -> None:
        if key in self._refreshing:
            return
        again = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        again.extensions["timeout"] = request.extensions.get("timeout", {})
        task = asyncio.create_task(self._fetch(attach(again, call_of(request))), name=f"refresh {key[:80]}")
        self._refreshing[key] = task
        task.add_done_callback(lambda done: self._refreshed(key, done))

    def _refreshed(self, key: str, task: asyncio.Task[httpx.Response]) -> None:
        self._refreshing.pop(key, None)
        if not task.cancelled():
            task.exception()  # a failed refresh leaves the old answer; the next call asks again

    async def aclose(self) -> None:
        for task in list(self._refreshing.values()):
            task.cancel()
        await self._inner.aclose()


def _stands_in(kept: _Kept, age: float) -> bool:
    """An old answer, not an old refusal."""
    return kept.status < 400 and age <= 2 * kept.fresh_for + STALE_IF_ERROR


_HOP_BY_HOP = (b"content-encoding", b"content-length", b"transfer-encoding", b"connection")
