"""How a tool is declared: a signature, a prompt, a line or two.

@tool(READ, scope="customer:read", needs="tickets")
async def get_ticket(ticket_id: TicketId, tickets: Tickets) -> Ticket:
    \"\"\"One ticket with its latest comments.\"\"\"
    return await tickets.get(ticket_id)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mcp_types import ToolAnnotations
from pydantic import BaseModel

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
"""Changes nothing."""
ADD = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
"""Adds something, once per idempotency key, that our own tools can take back."""

ToolFunction = Callable[..., Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool before any server has it. `needs` is the capability that some configured vendor must provide."""

    fn: ToolFunction
    effect: ToolAnnotations
    scope: str
    needs: str

    @property
    def name(self) -> str:
        return self.fn.__name__


def tool(effect: ToolAnnotations, *, scope: str, needs: str = "") -> Callable[[ToolFunction], ToolSpec]:
    return lambda fn: ToolSpec(fn, effect, scope, needs)
