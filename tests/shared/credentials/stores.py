"""A store of secrets that does as a test says, and a clock whose sleepers wake when the test moves it on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.shared.acme import credential

from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.credentials.store import NOTHING, Fetched


class WaitingClock:
    def __init__(self) -> None:
        self.time = 0.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        waking = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.time + seconds, waking))
        await waking

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for at, waking in [sleeper for sleeper in self._sleeping if sleeper[0] <= self.time]:
            self._sleeping.remove((at, waking))
            if not waking.done():
                waking.set_result(None)


@dataclass(frozen=True)
class ScriptedLease:
    store: ScriptedStore
    number: int
    seconds: float
    renewable: bool

    def renewed(self) -> ScriptedLease | None:
        self.store.check()
        self.store.renewals.append(self.number)
        return replace(self, seconds=self.store.lasts) if self.renewable else None

    def revoke(self) -> None:
        self.store.revoked.append(self.number)


@dataclass
class ScriptedStore:
    """`value` is its secret, whose version is `value` too; `failing` is raised in its place. Shut `door` to hold it up.

    With `lasts`, each fetch lends `value` anew, as another version, for so many seconds.
    """

    value: str = "v1"
    failing: Exception | None = None
    lasts: float = 0.0
    renewable: bool = True
    fetches: int = 0
    most_at_once: int = 0
    renewals: list[int] = field(default_factory=list[int])
    revoked: list[int] = field(default_factory=list[int])
    closed: int = 0
    title: str = "Acme Store"

    def __post_init__(self) -> None:
        self.door = threading.Event()
        self.door.set()
        self._at_once = 0

    def place(self, vendor: str) -> str:
        return f"store/{vendor}"

    def check(self) -> None:
        if self.failing is not None:
            raise self.failing

    def fetch(self, vendor: str) -> Fetched:  # noqa: ARG002 - whatever is asked for
        self.fetches += 1
        number, value = self.fetches, self.value
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.door.wait(10)
        self._at_once -= 1
        self.check()
        if not value:
            return NOTHING
        if not self.lasts:
            return Fetched(credential(value, {"access_token": value}))
        lent = credential(f"{value}/{number}", {"access_token": f"{value}/{number}"})
        return Fetched(lent, ScriptedLease(self, number, self.lasts, self.renewable))

    def close(self) -> None:
        self.closed += 1


def kept(store: ScriptedStore, clock: WaitingClock, *, jitter: float = 0.5) -> KeptCredentials:
    return KeptCredentials(store, clock=clock, jitter=lambda: jitter)


async def until(happened: Callable[[], object], *, seconds: float = 5) -> None:
    """Let threads and tasks run until it has."""
    patience = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < patience, "it never happened"
        await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0.001)
