"""How a tool is declared: a signature, a prompt, a line or two.

@tool(READ, scope="customer:read", toolset="tickets", needs="tickets")
async def get_ticket(ticket_id: TicketId, tickets: Tickets) -> Ticket:
    \"\"\"One ticket with its latest comments.\"\"\"
    return await tickets.get(ticket_id)
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from mcp_types import Tool, ToolAnnotations
from pydantic import BaseModel

from backoffice_shared.jsonvalues import canonical, obj
from backoffice_shared.money import Money

READ = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
"""Changes nothing."""
ADD = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
"""Adds something, once per idempotency key, that our own tools can take back."""
DESTROY = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
"""Does, once per idempotency key, what our own tools cannot take back: moves money, tells a customer, closes for good."""

POLICY_META = "dev.backoffice/policy"
"""In the `_meta` of a tool that is listed: its scope and toolset, for the platform to apply the same policies, and the
scope without which personal data in its results is masked, for the platform to name it."""

ToolFunction = Callable[..., Awaitable[BaseModel]]
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What policies know of a tool, wherever it runs.

    `spends` tells from the arguments what a call moves; None for a tool that moves no money. `pin` is a digest of the
    tool as callers are shown it, for the audit: what the agent was told when it called. `previews` tells from the
    arguments of a tool that changes something whether this call only shows what it would do. `structured` are the
    parameters that are lists or objects. `personal_scope` is what shows personal data in its results.
    """

    name: str
    annotations: ToolAnnotations
    scope: str
    toolset: str = ""
    spends: Callable[[Arguments], Money | None] | None = None
    pin: str = ""
    previews: Callable[[Arguments], bool] | None = None
    structured: frozenset[str] = frozenset()
    personal_scope: str = ""

    @property
    def reads(self) -> bool:
        return self.annotations.read_only_hint is True

    def changes(self, arguments: Arguments) -> bool:
        """Whether a call with these arguments is to change anything."""
        return not self.reads and not (self.previews is not None and self.previews(arguments))

    @property
    def destructive(self) -> bool:
        """As the protocol has it: a tool that says nothing may be."""
        return not self.reads and self.annotations.destructive_hint is not False


Lookup = Callable[[str], ToolFacts | None]
"""The tool of this name; None when there is none."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool before any server has it. `needs` is the capability that some configured vendor must provide.

    `personal`: its results may hold personal data.
    """

    fn: ToolFunction
    effect: ToolAnnotations
    scope: str
    toolset: str
    needs: str
    spends: Callable[[Arguments], Money | None] | None = None
    previews: Callable[[Arguments], bool] | None = None
    personal: bool = True

    @property
    def name(self) -> str:
        return self.fn.__name__

    @property
    def answers(self) -> type[BaseModel]:
        return get_type_hints(self.fn)["return"]

    @property
    def facts(self) -> ToolFacts:
        return ToolFacts(self.name, self.effect, self.scope, self.toolset, self.spends, previews=self.previews)


def tool(
    effect: ToolAnnotations,
    *,
    scope: str,
    toolset: str = "",
    needs: str = "",
    spends: Callable[[Arguments], Money | None] | None = None,
    previews: Callable[[Arguments], bool] | None = None,
    personal: bool = True,
) -> Callable[[ToolFunction], ToolSpec]:
    return lambda fn: ToolSpec(fn, effect, scope, toolset, needs, spends, previews, personal)


def pinned(listed: Tool) -> str:
    """A digest of all that a caller is shown of a tool."""
    shown = canonical(listed.model_dump(mode="json", by_alias=True, exclude_none=True))
    return f"sha256:{hashlib.sha256(shown.encode()).hexdigest()}"


def facts_of(listed: Tool, scope: str) -> ToolFacts:
    """What an upstream says of its tool; with `scope` where it says none, so that a new tool is nobody's by default."""
    told = obj(obj(listed.meta).get(POLICY_META))
    return ToolFacts(
        listed.name,
        listed.annotations or ToolAnnotations(),
        str(told.get("scope") or scope),
        str(told.get("toolset") or ""),
        pin=pinned(listed),
        personal_scope=str(told.get("personal_scope") or ""),
    )
