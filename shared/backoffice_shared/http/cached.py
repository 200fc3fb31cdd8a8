"""Answers are kept for a while: fresh ones spare the vendor, old ones stand in when it fails, and say that they are old.

An answer is fresh for the call's `fresh_for` seconds. For as long again it is given at once while a new one is
fetched behind it. Until five minutes after that it is given only when the vendor fails. A write drops every
answer that shares a tag with it.

Where replicas share a shelf (`state/shelf.py`), what one of them fetched spares the vendor the others' question, and a
write drops answers everywhere. A read that began before a write is not kept after it, here or there: it may show what
was before. When the shelf is away, answers are no older than `fresh_for` allows without it; writes on other replicas
are then seen that much later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import httpx
from cachetools import LRUCache

from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import BackofficeError
from backoffice_shared.http.call import Call, again, call_of, forgettable
from backoffice_shared.http.kept import Kept, cache_key, tag_names
from backoffice_shared.http.outcome import Outcome, of_response
from backoffice_shared.http.shelved import Shelved
from backoffice_shared.sources import observe
from backoffice_shared.state.shelf import Shelf, Slot
from backoffice_shared.telemetry.metrics import CACHE_REQUESTS

NOT_FOUND_FRESH_FOR = 10.0
CAPACITY = 32 * 1024 * 1024  # bytes of answers

_STANDS_IN_FOR = (Outcome.TRANSIENT, Outcome.THROTTLED, Outcome.AMBIGUOUS)


class Cached(httpx.AsyncBaseTransport):
    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        backend: Backend,
        *,
        shelf: Shelf | None = None,
        clock: Clock = SYSTEM_CLOCK,
        capacity: int = CAPACITY,
    ) -> None:
        self._inner = inner
        self._backend = backend
        self._shelved = Shelved(shelf, clock, self._forgotten_elsewhere)
        self._clock = clock
        self._kept: LRUCache[str, Kept] = LRUCache(capacity, getsizeof=lambda kept: len(kept.content) + 512)
        self._generation = 0  # counts what was forgotten: what a read saw before that is not kept
        self._renewing: dict[str, asyncio.Task[None]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        if not call.reads:
            return await self._write(call, request)
        if call.fresh_for <= 0:
            observe()
            return await self._inner.handle_async_request(request)
        key = cache_key(request)
        kept = self._kept.get(key)
        if (answer := self._at_once(kept, key, request, "hit")) is not None:
            return answer
        slot, shelved = await self._look_on_shelf(key)
        kept = shelved or kept
        if (answer := self._at_once(kept, key, request, "shared")) is not None:
            return answer
        return await self._fetch_or_stand_in(kept, key, request, slot)

    def _at_once(self, kept: Kept | None, key: str, request: httpx.Request, how: str) -> httpx.Response | None:
        if kept is None or self._age(kept) > kept.ages_until:
            return None
        if self._age(kept) <= kept.fresh_for:
            return self._answer(kept, key, request, how)
        self._renew_behind(key, request)
        return self._answer(kept, key, request, "stale")

    async def _fetch_or_stand_in(
        self, kept: Kept | None, key: str, request: httpx.Request, slot: Slot | None
    ) -> httpx.Response:
        try:
            response = await self._fetch(key, request, slot)
        except MissingCredential:
            raise
        except (httpx.TransportError, BackofficeError):
            if kept is not None and kept.stands_in(self._age(kept)):
                return self._answer(kept, key, request, "stale_if_error")
            raise
        if of_response(self._backend, response) in _STANDS_IN_FOR and kept and kept.stands_in(self._age(kept)):
            return self._answer(kept, key, request, "stale_if_error")
        CACHE_REQUESTS.labels(self._backend.name, "miss").inc()
        observe()
        return response

    def _answer(self, kept: Kept, key: str, request: httpx.Request, how: str) -> httpx.Response:
        CACHE_REQUESTS.labels(self._backend.name, how).inc()
        observe(kept.as_of, stale=self._age(kept) > kept.fresh_for)
        return forgettable(kept.response(request), partial(self._forget, key))

    async def _fetch(self, key: str, request: httpx.Request, slot: Slot | None) -> httpx.Response:
        generation = self._generation
        response = await self._inner.handle_async_request(request)
        kept = self._worth_keeping(call_of(request), response)
        # A write that went through meanwhile may have changed what this read saw.
        if kept is not None and generation == self._generation:
            self._keep(key, kept)
            await self._shelved.put(slot, kept)
        return forgettable(response, partial(self._forget, key))

    def _worth_keeping(self, call: Call, response: httpx.Response) -> Kept | None:
        if of_response(self._backend, response) is Outcome.OK:
            fresh_for = call.fresh_for
        elif response.status_code == 404:
            fresh_for = NOT_FOUND_FRESH_FOR
        else:
            return None
        return Kept(
            response.status_code,
            [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP_BY_HOP],
            response.content,
            tag_names(self._backend.name, call.tags),
            self._clock.now(),
            datetime.now(UTC).replace(microsecond=0),
            fresh_for,
        )

    def _keep(self, key: str, kept: Kept) -> None:
        if len(kept.content) < self._kept.maxsize:
            self._kept[key] = kept

    async def _look_on_shelf(self, key: str) -> tuple[Slot | None, Kept | None]:
        generation = self._generation
        slot, kept = await self._shelved.look(key)
        if kept is not None and generation == self._generation:
            self._keep(key, kept)
        return slot, kept

    async def _write(self, call: Call, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        finally:
            # Also when it failed: a write without an answer may have been carried out.
            await self.forget(call.tags)

    async def forget(self, tags: Iterable[str]) -> None:
        """Drop every answer with one of these tags, here and on all replicas."""
        names = tag_names(self._backend.name, tags)
        self._drop(names)
        await asyncio.wait((self._shelved.forget(names),))

    def _drop(self, tags: frozenset[str]) -> None:
        self._generation += 1
        for key in [key for key, kept in self._kept.items() if not tags.isdisjoint(kept.tags)]:
            del self._kept[key]

    def _forget(self, key: str) -> None:
        """One answer that turned out to be of no use."""
        self._kept.pop(key, None)
        self._shelved.forget((key,))

    def _forgotten_elsewhere(self, tags: frozenset[str] | None) -> None:
        if tags is None:
            self._generation += 1
            self._kept.clear()
            return
        for key in tags & self._kept.keys():
            del self._kept[key]
        self._drop(tags)

    def _renew_behind(self, key: str, request: httpx.Request) -> None:
        if key in self._renewing:
            return
        task = asyncio.create_task(self._renew(key, again(request, call_of(request))), name="renew")
        self._renewing[key] = task
        task.add_done_callback(lambda done: self._renewed(key, done))

    async def _renew(self, key: str, request: httpx.Request) -> None:
        slot, shelved = await self._look_on_shelf(key)
        if shelved is None or self._age(shelved) > shelved.fresh_for:
            await self._fetch(key, request, slot)

    def _renewed(self, key: str, task: asyncio.Task[None]) -> None:
        self._renewing.pop(key, None)
        if not task.cancelled():
            task.exception()  # a failed renewal leaves the old answer; the next call asks again

    def _age(self, kept: Kept) -> float:
        return self._clock.now() - kept.at

    async def aclose(self) -> None:
        for task in list(self._renewing.values()):
            task.cancel()
        await self._shelved.aclose()
        await self._inner.aclose()


_HOP_BY_HOP = (b"content-encoding", b"content-length", b"transfer-encoding", b"connection")
