"""Lays the foundation of a process from its settings, and takes it up again when the process ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from backoffice_shared.audit.opened import open_trail
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import operators_gate
from backoffice_shared.mcp.relisted import Relisted
from backoffice_shared.mcp.shed import Load, Pulse
from backoffice_shared.settings import Settings
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.database import Database
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.opened import open_database
from backoffice_shared.state.spent import SpentQuotas
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.totals import StoredTotals


@asynccontextmanager
async def founded(settings: Settings, server: str, *, sandboxed: bool) -> AsyncGenerator[Foundation]:
    """`sandboxed`: what is kept of a fictional company ends with it, unless a state directory is configured.

    Raises:
        InvalidInput: something is configured that cannot be used.
    """
    access = Access(operators_gate(settings), None if settings.agents_file is None else Agents(settings.agents_file))
    async with AsyncExitStack() as stack:
        database = open_database(settings, server, ephemeral=sandboxed)
        stack.push_async_callback(database.aclose)
        audit = await open_trail(settings, server, database)
        stack.push_async_callback(audit.aclose)
        state = await stack.enter_async_context(_state(settings, database))
        await stack.enter_async_context(Relisted(access, state.bus).running())
        load = Load(server)
        await stack.enter_async_context(Pulse(load).running())
        yield Foundation(access, audit, state, load)


@asynccontextmanager
async def _state(settings: Settings, database: Database) -> AsyncGenerator[State]:
    records, approvals, totals = StoredRecords(database), StoredApprovals(database), StoredTotals(database)
    if settings.valkey_url is None:
        yield State(MemoryLimits(), SpentQuotas(database, MemoryQuotas()), records, approvals, totals)
        return
    # Its library is an extra.
    from backoffice_shared.state.valkey.opened import shared  # noqa: PLC0415

    # A key made at start is this process's own: what it seals, no other replica can read.
    common = settings.cursor_key.get_secret_value() if "cursor_key" in settings.model_fields_set else None
    async with shared(settings.valkey_url.get_secret_value(), replicas=settings.replicas, seal_key=common) as valkey:
        yield State(valkey.limits, valkey.quotas, records, approvals, totals, valkey.turns, valkey.shelf, valkey.bus)
