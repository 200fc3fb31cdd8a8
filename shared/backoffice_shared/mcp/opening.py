"""Lays the foundation of a process from its settings, and takes it up again when the process ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from backoffice_shared.audit.opened import open_trail
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import operators_gate
from backoffice_shared.mcp.shed import Load, Pulse
from backoffice_shared.settings import Settings
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.opened import open_database
from backoffice_shared.state.stored import StoredRecords


@asynccontextmanager
async def founded(settings: Settings, server: str, *, sandboxed: bool) -> AsyncGenerator[Foundation]:
    """`sandboxed`: what is kept of a fictional company ends with it, unless a state directory is configured.

    Raises:
        InvalidInput: something is configured that cannot be used.
    """
    access = Access(operators_gate(settings), None if settings.agents_file is None else Agents(settings.agents_file))
    async with AsyncExitStack() as stack:
        database = await open_database(settings, server, ephemeral=sandboxed)
        stack.push_async_callback(database.aclose)
        audit = await open_trail(settings, server, database)
        stack.push_async_callback(audit.aclose)
        load = Load(server)
        await stack.enter_async_context(Pulse(load).running())
        yield Foundation(access, audit, State(MemoryLimits(), MemoryQuotas(), StoredRecords(database)), load)
