"""Refunds: previewed with what the policy says, and carried out."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import Elicit, Resolve
from mcp.server.mcpserver.resolve import ElicitationResult
from pydantic import BaseModel, Field

from backoffice_billing.models import InvoiceId, IssuedRefund, OrderRef, PaymentId, RefundPreview, RefundReason
from backoffice_billing.payments import spent
from backoffice_billing.refunds import Asked
from backoffice_billing.services import Running, TheRefunds, can_ask
from backoffice_billing.tools.invoices import Amount, PartsOfLines, returned
from backoffice_shared.mcp.tool import DESTROY, READ, tool
from backoffice_shared.parameters import Key, PlanToken


class Agreement(BaseModel):
    """What the human who is asked answers."""

    agree: bool = Field(description="Give the money back?")


async def _question(ctx: Running, refunds: TheRefunds, plan_token: str, approval_id: str | None) -> Asked | None:
    """Only where somebody is there to be asked, and has not agreed elsewhere."""
    return await refunds.question(plan_token) if approval_id is None and can_ask(ctx) else None


async def _agreement(asked: Annotated[Asked | None, Resolve(_question)]) -> Agreement | Elicit[Agreement] | None:
    return None if asked is None else Elicit(asked.question, Agreement)


@tool(READ, scope="billing:read", toolset="refunds", needs="refunds")
async def preview_refund(
    refunds: TheRefunds,
    reason: RefundReason,
    payment_id: Annotated[PaymentId, Field(description="One of payment_id, invoice_id, order_id")] | None = None,
    invoice_id: InvoiceId | None = None,
    order_id: OrderRef | None = None,
    amount: Annotated[Amount, Field(description="Default: all refundable")] | None = None,
    lines: PartsOfLines | None = None,
) -> RefundPreview:
    """What can be refunded, and what policy says: auto, approval or deny."""
    return await refunds.preview(
        payment_id=payment_id,
        invoice_id=invoice_id,
        order_id=order_id,
        amount=amount,
        lines=returned(lines),
        reason=reason,
    )


@tool(DESTROY, scope="billing:refund", toolset="refunds", needs="refunds", spends=spent)
async def issue_refund(
    refunds: TheRefunds,
    asked: Annotated[Asked | None, Resolve(_question)],
    agreement: Annotated[ElicitationResult[Agreement], Resolve(_agreement)],
    plan_token: Annotated[PlanToken, Field(description="From preview_refund")],
    idempotency_key: Key,
    approval_id: Annotated[str, Field(min_length=1, max_length=60, description="When policy needs approval")]
    | None = None,
) -> IssuedRefund:
    """Execute a previewed refund. Money leaves; it cannot be reversed."""
    if asked is not None:
        answer = agreement.data if agreement.action == "accept" else None
        approval_id = await refunds.answered(asked, agrees=answer is not None and answer.agree)
    return await refunds.issue(plan_token, approval_id, key=idempotency_key)


TOOLS = (preview_refund, issue_refund)
