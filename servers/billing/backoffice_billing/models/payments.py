"""Payments and refunds."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from backoffice_billing.models.invoices import Planned, Posted
from backoffice_shared.envelope import Answer
from backoffice_shared.money import Money

PaymentStatus = Literal["succeeded", "pending", "failed", "refunded", "disputed"]
"""`refunded` is wholly; `disputed` while it is not decided, or lost."""
PaymentSection = Literal["refunds", "dispute", "fees", "risk", "ledger"]
RefundStatus = Literal["pending", "succeeded", "failed", "requires_action", "canceled"]
RefundReason = Literal["duplicate", "fraudulent", "requested_by_customer", "defective", "not_received", "goodwill"]
DisputeStatus = Literal["open", "won", "lost"]


class PaymentRow(BaseModel):
    """`order` is the number of the shop's order that it paid, when it did."""

    on_request: ClassVar = frozenset({"native_status", "url"})

    payment_id: str
    at: datetime
    amount: Money
    refunded: Money
    status: PaymentStatus
    kind: str | None = None
    brand: str | None = None
    last4: str | None = None
    customer_id: str | None = None
    invoice_id: str | None = None
    order: str | None = None
    failure_code: str | None = None
    dispute: DisputeStatus | None = None
    native_status: str | None = None
    url: str | None = None


class Refund(BaseModel):
    refund_id: str
    payment_id: str | None = None
    amount: Money
    status: RefundStatus
    reason: str | None = None
    at: datetime
    failure_reason: str | None = None


class Dispute(BaseModel):
    """`answer_by` is when evidence must be there."""

    dispute_id: str
    status: DisputeStatus
    native_status: str
    amount: Money
    reason: str | None = None
    answer_by: datetime | None = None


class Recorded(BaseModel):
    """Where the ledger has it."""

    system: str
    id: str
    status: str | None = None


class Payment(PaymentRow, Answer):
    """`refundable` is what may still be given back: what was captured, less what was refunded or is on its way.

    `flagged`: the payment provider or the bank says that it is fraud.
    """

    captured: bool
    refundable: Money
    customer_email: str | None = None
    refunds: list[Refund] | None = None
    disputes: list[Dispute] | None = None
    fee: Money | None = None
    net: Money | None = None
    risk: str | None = None
    flagged: bool = False
    ledger: list[Recorded] | None = None


class CollectionPreview(BaseModel):
    invoice_id: str
    customer: str | None = None
    number: str | None = None
    amount: Money
    kind: str
    brand: str | None = None
    last4: str | None = None
    effects: list[str] = []


class Collected(Planned):
    """`pending`: the bank has not decided yet; get_payment says later."""

    preview: CollectionPreview | None = None
    payment_id: str | None = None
    status: Literal["succeeded", "pending"] | None = None
    amount: Money | None = None
    invoice_due: Money | None = None
    ledger: Posted | None = None


class Ruling(BaseModel):
    """What the policy says: `rule` is its name there, `role` who has to agree and `approvers` how many of them."""

    decision: Literal["auto", "approval", "deny"]
    rule: str
    because: str
    role: str | None = None
    approvers: int | None = None


class Effect(BaseModel):
    system: str
    action: str


class RefundPreview(Answer):
    """`executor` is the one system that moves the money. `warnings` are for whoever decides."""

    payment_id: str
    customer_id: str | None = None
    order: str | None = None
    invoice_id: str | None = None
    refundable: Money
    proposed: Money
    method: str | None = None
    executor: str
    policy: Ruling
    effects: list[Effect] = []
    warnings: list[str] = []
    plan_token: str | None = None
    expires_at: datetime | None = None


class IssuedRefund(Answer):
    refund_id: str
    status: RefundStatus
    amount: Money
    payment_id: str
    rule: str
    approval_id: str | None = None
    ledger: Posted | None = None
    idempotency_key: str = ""
    replayed: bool = False
    unfinished: bool | None = None


class OrderLine(BaseModel):
    """Of a shop's order. `unit` is what one was sold for, `refundable` how many can still be given back."""

    line_id: str
    sku: str | None = None
    title: str
    quantity: int
    refundable: int
    unit: Money


class OrderPayment(BaseModel):
    """`by_shop`: the shop took the money, and it alone gives it back. Otherwise `reference` is the payment's id with
    whoever took it."""

    payment_id: str
    gateway: str
    by_shop: bool
    amount: Money
    reference: str | None = None


class PaidOrder(BaseModel):
    """What was paid for an order of the shop."""

    order_id: str
    number: str
    customer_email: str | None = None
    total: Money
    received: Money
    refunded: Money
    placed_at: datetime
    payments: list[OrderPayment] = Field(default_factory=list[OrderPayment])
    lines: list[OrderLine] = Field(default_factory=list[OrderLine])
