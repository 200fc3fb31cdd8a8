"""Secrets from a store that is far away: read before they are needed, and kept through the store's bad hours.

Whoever reads gets what is held, at once. A task for each vendor reads it anew before it is old; while the store is down,
sealed or hung, what was confirmed last serves on, for an hour. What has a lease never serves beyond its end. A secret
that the vendor refuses is read at once.

    read     the value held; only the first reader of a vendor waits
    refresh  read anew, once for all who ask, because the vendor refused this version
    replace  put another in its place, if nobody else did (only for stores that can)
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, replace

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.blocking import Threads
from backoffice_shared.credentials.source import Credential
from backoffice_shared.credentials.store import NOTHING, Fetched, Lease, Replacing, SecretStore
from backoffice_shared.errors import BackofficeError, InvalidInput, PermissionDenied
from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.metrics import SECRET_AGE, SECRET_FAILURES

log = logging.getLogger("backoffice.credentials")

# Seconds
FRESH_FOR = 300.0
AHEAD = 0.8  # of that: when it is read anew
SPREAD = 0.2  # by as much, up or down, so that replicas do not come at once
STALE_FOR = 3600.0
LEASE_AHEAD = 0.7  # of a lease: when it is renewed, or another is taken
EMPTY_FOR = 30.0
AGAIN = 5.0  # after a failure
SOONEST = 0.5  # however short a lease is
IN_VAIN = 0.5  # after asking in vain, whoever asks gets the same answer
CLOSING = 3.0


@dataclass(frozen=True, slots=True)
class _Held:
    """`due` is when to read it anew, `until` when it must not serve any more."""

    fetched: Fetched
    due: float
    until: float

    @property
    def credential(self) -> Credential:
        return self.fetched.credential


class KeptCredentials:
    def __init__(
        self,
        store: SecretStore,
        *,
        replacing: Replacing | None = None,
        fresh_for: float = FRESH_FOR,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._fresh_for = fresh_for
        self._replacing = replacing
        self._clock = clock
        self._jitter = jitter
        self._threads = Threads(store.title)
        self._held: dict[str, _Held] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._flights: dict[str, asyncio.Task[_Held]] = {}
        self._failed: dict[str, tuple[float, BackofficeError]] = {}
        self._in_vain: dict[str, float] = {}

    async def read(self, vendor: str) -> Credential:
        held = self._usable(vendor) or await self._ask(vendor)
        return held.credential

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        while (held := self._usable(vendor)) is None or self._may_be_newer(vendor, held, rejected):
            earlier = vendor in self._flights
            try:
                asked = await self._ask(vendor)
            except BackofficeError:
                if held is None:
                    raise
                return held.credential
            if asked.credential.version != rejected:
                return asked.credential
            if not earlier:  # else it took off before the secret was refused, and may not have seen the next one
                self._in_vain[vendor] = self._clock.now()
                return asked.credential
        return held.credential

    async def replace(self, vendor: str, read: Credential, fields: Mapping[str, str]) -> Credential:
        if self._replacing is None:
            raise InvalidInput(self._store.title, f"{self._store.place(vendor)} cannot be changed from here")
        replaced = await self._threads.run(self._replacing, vendor, read.version, fields)
        self._hold(vendor, Fetched(replaced), self._clock.now())
        return replaced

    def where(self, vendor: str, field: str) -> str:
        return f"{field} in {self._store.place(vendor)} ({self._store.title})"

    async def aclose(self) -> None:
        for task in (*self._keepers.values(), *self._flights.values()):
            task.cancel()
        for vendor in self._keepers:
            SECRET_AGE.remove(self._store.place(vendor))
        leases = [held.fetched.lease for held in self._held.values() if held.fetched.lease is not None]
        self._keepers.clear()
        self._held.clear()
        try:
            await asyncio.wait_for(self._threads.run(self._give_back, leases), CLOSING)
        except (BackofficeError, TimeoutError) as error:
            log.warning("%s: what it lent may last until it ends by itself (%s)", self._store.title, error)
        self._threads.end()
        self._threads = Threads(self._store.title)

    def _give_back(self, leases: list[Lease]) -> None:
        for lease in leases:
            lease.revoke()
        self._store.close()

    def _usable(self, vendor: str) -> _Held | None:
        held = self._held.get(vendor)
        return held if held is not None and self._clock.now() < held.until else None

    def _may_be_newer(self, vendor: str, held: _Held, rejected: str) -> bool:
        """Whether the store may have another one by now than the one refused."""
        lately = self._clock.now() - self._in_vain.get(vendor, float("-inf")) < IN_VAIN
        return held.credential.version == rejected and not lately

    async def _ask(self, vendor: str, *, extending: Fetched | None = None) -> _Held:
        """Ask the store, once for all who wait. `extending` may be renewed instead of read anew."""
        failed_at, error = self._failed.get(vendor, (float("-inf"), None))
        if error is not None and self._clock.now() - failed_at < IN_VAIN:
            raise error.with_traceback(None)
        flight = self._flights.get(vendor)
        if flight is None:
            flight = asyncio.create_task(self._fetch(vendor, extending), context=Context())
            self._flights[vendor] = flight
            flight.add_done_callback(lambda done: self._landed(vendor, done))
        return await asyncio.shield(flight)

    def _landed(self, vendor: str, flight: asyncio.Task[_Held]) -> None:
        if self._flights.get(vendor) is flight:
            del self._flights[vendor]
        if not flight.cancelled():
            flight.exception()  # those who wait have it; if they all left, nobody needs it

    async def _fetch(self, vendor: str, extending: Fetched | None) -> _Held:
        asked_at = self._clock.now()
        try:
            fetched = await self._threads.run(self._obtained, vendor, extending)
        except BackofficeError as error:
            SECRET_FAILURES.labels(self._store.title).inc()
            denied = isinstance(error, PermissionDenied)
            level = logging.ERROR if denied else logging.WARNING
            log.log(level, "%s cannot be read: %s", self._store.place(vendor), SECRETS.scrub(str(error)))
            before = self._held.get(vendor)
            if denied and (before is None or not before.credential):
                return self._hold(vendor, NOTHING, asked_at)
            self._failed[vendor] = self._clock.now(), error
            raise
        self._failed.pop(vendor, None)
        return self._hold(vendor, fetched, asked_at)

    def _obtained(self, vendor: str, extending: Fetched | None) -> Fetched:
        if extending is not None and extending.lease is not None and (longer := extending.lease.renewed()) is not None:
            return replace(extending, lease=longer)
        return self._store.fetch(vendor)

    def _hold(self, vendor: str, fetched: Fetched, confirmed: float) -> _Held:
        due = confirmed + self._fresh_for * AHEAD * (1 + SPREAD * (2 * self._jitter() - 1))
        until = confirmed + STALE_FOR
        if fetched.lease is not None:
            until = confirmed + fetched.lease.seconds
            due = min(due, confirmed + max(SOONEST, fetched.lease.seconds * LEASE_AHEAD))
        if not fetched.credential:
            until = confirmed + EMPTY_FOR
        before = self._held.get(vendor)
        if before is not None and before.credential.version == fetched.credential.version:
            fetched = replace(fetched, credential=before.credential)
        self._held[vendor] = held = _Held(fetched, due, until)
        if fetched.credential and vendor not in self._keepers:
            self._keepers[vendor] = asyncio.create_task(self._keep_fresh(vendor), context=Context())
        if vendor in self._keepers:
            SECRET_AGE.labels(self._store.place(vendor)).set_function(lambda: self._clock.now() - confirmed)
        return held

    async def _keep_fresh(self, vendor: str) -> None:
        while True:
            held = self._held[vendor]
            await self._clock.sleep(max(0.0, held.due - self._clock.now()))
            if self._held[vendor] is not held:
                continue  # somebody insisted meanwhile
            try:
                await self._ask(vendor, extending=held.fetched)
            except BackofficeError:
                soon = min(AGAIN, self._fresh_for, max(SOONEST, (held.until - self._clock.now()) / 4))
                await self._clock.sleep(soon * (1 + SPREAD * self._jitter()))
