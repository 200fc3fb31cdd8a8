"""What a server in a test stands on: the real policies, state that ends with the test, and an audit to look at."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.canaries import WATCH

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import OPEN, Gate
from backoffice_shared.mcp.shed import Load
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.spent import SpentQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.totals import StoredTotals


class Records:
    """An audit that a test can look at, and break. `calls` is how many a WatchedClient has made that must be in it."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.calls = 0
        self.full = False
        self.broken = False

    def record(self, fields: Mapping[str, Any]) -> None:
        self._write(fields)

    async def intent(self, fields: Mapping[str, Any]) -> None:
        if self.broken:
            raise BackendUnavailable("", "the audit cannot be kept")
        self._write(fields)

    def digest(self, text: str) -> str:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def told(self, *names: str) -> list[tuple[Any, ...]]:
        """These fields of every record."""
        return [tuple(record.get(name) for name in names) for record in self.written]

    def must_have_every_call(self) -> None:
        """Each exactly once, whatever became of it; and once more for each question that came before its answer."""
        asked = [record for record in self.written if record.get("outcome") == "input_required"]
        ended = [record for record in self.written if record["event"] != "tool.intent" and record not in asked]
        assert len(ended) == self.calls, f"{len(ended)} records of {self.calls} calls"

    def _write(self, fields: Mapping[str, Any]) -> None:
        WATCH.saw("the audit", json.dumps(fields))
        self.written.append(dict(fields))


def embedded_state(clock: Clock = SYSTEM_CLOCK) -> State:
    """What a server has that nobody configured anything else for."""
    database = SqliteDatabase(":memory:")
    quotas = SpentQuotas(database, MemoryQuotas(clock=clock))
    return State(
        MemoryLimits(clock=clock), quotas, StoredRecords(database), StoredApprovals(database), StoredTotals(database)
    )


def foundation(
    *,
    agents: Path | None = None,
    gate: Gate = OPEN,
    audit: Records | None = None,
    state: State | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Foundation:
    access = Access(gate, None if agents is None else Agents(agents, clock=clock))
    return Foundation(access, audit or Records(), state or embedded_state(clock), Load("test"))
