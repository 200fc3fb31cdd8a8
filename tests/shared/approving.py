"""What tests ask approvals for, and people who decide them."""

from __future__ import annotations

from typing import Any

from backoffice_shared.state.approvals import Approval, Approvals, Wanted

PAYLOAD: dict[str, Any] = {
    "payment": "stripe:payment:pi_1",
    "amount": {"amount": 60_000, "currency": "USD"},
    "lines": [],
}
WANTED = Wanted("issue_refund", PAYLOAD, "key of support", "support", "finance", "amount_above_lead")


async def agreed(approvals: Approvals, approval_id: str, *names: str) -> Approval:
    found = await approvals.get(approval_id)
    for name in names:
        found = await approvals.decide(approval_id, approver=f"key of {name}", named=name, agrees=True)
    return found


async def denied(approvals: Approvals, approval_id: str, name: str = "ann", reason: str = "no") -> Approval:
    return await approvals.decide(approval_id, approver=f"key of {name}", named=name, agrees=False, reason=reason)
