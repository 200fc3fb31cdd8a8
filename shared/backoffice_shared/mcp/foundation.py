"""What every server of a process stands on: who may do what, the audit, the state that outlives a call, the load."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp.server.subscriptions import InMemorySubscriptionBus, SubscriptionBus

from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.audited import AuditLog
from backoffice_shared.mcp.shed import Load
from backoffice_shared.state.approvals import Approvals
from backoffice_shared.state.limits import Limits
from backoffice_shared.state.quotas import Quotas
from backoffice_shared.state.records import Records
from backoffice_shared.state.shelf import Shelf
from backoffice_shared.state.totals import StoredTotals
from backoffice_shared.state.turns import Turns


@dataclass(frozen=True, slots=True)
class State:
    """`turns` and `shelf` are there when replicas share them; `bus` tells clients, on every replica, what changed."""

    limits: Limits
    quotas: Quotas
    records: Records
    approvals: Approvals
    totals: StoredTotals
    turns: Turns | None = None
    shelf: Shelf | None = None
    bus: SubscriptionBus = field(default_factory=InMemorySubscriptionBus)


@dataclass(frozen=True, slots=True)
class Foundation:
    access: Access
    audit: AuditLog
    state: State
    load: Load
