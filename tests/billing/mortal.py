"""Replicas of the billing server that die at a chosen moment, over sandboxes and a database that outlive them.

A moment is a request to a vendor, before it is sent or after it was carried out, or a transaction, before or after. A replica
that has died sends nothing and writes nothing any more, whatever its code still does. What it held lapses by the database's
clock, which the world moves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar

import httpx
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from pydantic import SecretStr
from tests.canaries import canary
from tests.foundation import Records
from tests.office import said, unhurried

from backoffice_billing.server import SERVER
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.domain import Reach, Reachable, sandboxed
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import OPEN
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.shed import Load
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox
from backoffice_shared.settings import Settings
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.database import Database, Row, Transaction
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.shelf import Slot
from backoffice_shared.state.spent import SpentQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.totals import StoredTotals

Result = TypeVar("Result")
Loss = Literal["never sent", "lost on the way", "answer lost"]
AFTER_ANY_LEASE = 40.0  # seconds


class Died(Exception):  # noqa: N818 - it is what happened
    """The process has ended here."""


@dataclass
class Fate:
    """What will happen to one replica. `dies_in` counts moments, `loses` says which of the coming requests lose their
    connection and how; from the request `down_from` on, no vendor can be reached."""

    dies_in: int | None = None
    loses: dict[int, Loss] = field(default_factory=dict[int, Loss])
    down_from: int | None = None
    dead: bool = False
    requests: int = 0

    def moment(self) -> None:
        if self.dead:
            raise Died
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.dead = True
                raise Died

    def loss(self) -> Loss | None:
        self.requests += 1
        if self.down_from is not None and self.requests >= self.down_from:
            return "never sent"
        return self.loses.pop(self.requests, None)

    def spared(self) -> None:
        """Nothing more happens to it; it was started anew if it was dead."""
        self.dies_in, self.down_from, self.dead, self.requests = None, None, False, 0
        self.loses.clear()


class MortalWire(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._fate.moment()
        loss = self._fate.loss()
        if loss == "never sent":
            raise httpx.ConnectError("refused", request=request)
        if loss == "lost on the way":
            raise httpx.ReadError("reset", request=request)
        response = await self._inner.handle_async_request(request)
        self._fate.moment()
        if loss == "answer lost":
            raise httpx.ReadError("reset", request=request)
        return response


class MortalDatabase:
    """`clock` gives by how much its time is off."""

    def __init__(self, inner: Database, fate: Fate, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._fate = fate
        self._clock = clock

    async def transact(self, work: Callable[[Transaction], Result]) -> Result:
        self._moment()
        result = await self._inner.transact(lambda transaction: work(_Shifted(transaction, self._clock())))
        self._moment()
        return result

    def _moment(self) -> None:
        try:
            self._fate.moment()
        except Died:
            raise BackendUnavailable("", "this process has ended") from None

    async def aclose(self) -> None:
        pass


class _Shifted:
    def __init__(self, inner: Transaction, by: float) -> None:
        self._inner = inner
        self._by = by

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        return self._inner.execute(sql, parameters)

    def execute_each(self, sql: str, rows: Any) -> None:
        self._inner.execute_each(sql, rows)

    def now(self) -> float:
        return self._inner.now() + self._by


class Rumours:
    """A shelf with nothing on it: all that replicas share of their caches is what is to be forgotten."""

    def __init__(self) -> None:
        self._told: list[Callable[[frozenset[str] | None], None]] = []

    async def get(self, key: str) -> Slot:
        return Slot(key)

    async def put(self, slot: Slot, content: bytes, *, seconds: float, tags: Iterable[str]) -> None:
        pass

    async def forget(self, tags: Iterable[str]) -> None:
        pass

    def everything(self) -> None:
        for told in self._told:
            told(None)

    def on_forgotten(self, listener: Callable[[frozenset[str] | None], None]) -> Callable[[], None]:
        self._told.append(listener)
        return lambda: self._told.remove(listener)


@dataclass
class Replica:
    client: Client
    fate: Fate

    async def call(self, tool: str, **arguments: Any) -> CallToolResult | None:
        """None when it died, or could not say what became of it."""
        try:
            result = await self.client.call_tool(tool, arguments)
        except MCPError:
            return None
        return None if self.fate.dead else result

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, (tool, arguments, said(result))
        return obj(result.structured_content)


class World:
    """A company with sandboxes and a database. The database's clock is behind, so that what was left uncertain was so long
    ago; and never ahead of the vendors', as what was made later would then not be found."""

    def __init__(self, *, policy: Path, customers: int = 80) -> None:
        self._policy = policy
        self.company = Company(customers=customers)
        self.sandboxes: dict[str, VendorSandbox] = {
            vendor.backend.name: vendor.sandbox(self.company) for vendor in SERVER.vendors
        }
        self._database = SqliteDatabase(":memory:")
        self._rumours = Rumours()
        self.off = 0.0

    def began(self, ago: float) -> None:
        """What is done next was begun so many seconds ago."""
        self.off = -ago

    def time_passes(self) -> None:
        """Leases lapse, and cached answers are too old."""
        self.off += AFTER_ANY_LEASE
        self._rumours.everything()

    @asynccontextmanager
    async def replicas(self, count: int) -> AsyncGenerator[list[Replica]]:
        async with AsyncExitStack() as running:
            yield [await running.enter_async_context(self._replica()) for _ in range(count)]

    @asynccontextmanager
    async def _replica(self) -> AsyncGenerator[Replica]:
        fate = Fate()
        database = MortalDatabase(self._database, fate, lambda: self.off)
        quotas = SpentQuotas(database, MemoryQuotas())
        state = State(
            MemoryLimits(),
            quotas,
            StoredRecords(database),
            StoredApprovals(database),
            StoredTotals(database),
            shelf=self._rumours,
        )
        on = Foundation(Access(OPEN, None), Records(), state, Load("test"))
        settings = Settings(log_level="ERROR", cursor_key=SecretStr(canary("cursors")), refund_policy=self._policy)
        server = domain_server(SERVER, self._mortal(fate), settings, on)
        async with Client(server) as client:
            yield Replica(client, fate)

    def _mortal(self, fate: Fate) -> Reachable:
        def over(reach: Reach) -> Reach:
            inner = reach.over
            return replace(reach, over=lambda: MortalWire(inner(), fate))

        reachable = unhurried(sandboxed(SERVER, self.sandboxes))
        return replace(reachable, reached=[over(reach) for reach in reachable.reached])


def fated(chance: Random, fate: Fate) -> None:
    """A death, lost connections, an outage that lasts, or several of these, somewhere in the next call."""
    fate.spared()
    kind = chance.random()
    if kind < 0.6:
        fate.dies_in = chance.randrange(50)
    if 0.4 < kind < 0.6 or kind > 0.85:
        fate.down_from = chance.randrange(1, 25)
    if kind > 0.5:
        losses: tuple[Loss, ...] = ("never sent", "lost on the way", "answer lost")
        for _ in range(chance.choice((1, 1, 2, 3))):
            fate.loses[chance.randrange(1, 12)] = chance.choice(losses)
