"""What a Stripe account holds, as the sandbox keeps it. Times are seconds since 1970, amounts are Stripe's integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Behaviour = Literal[
    "succeeds",
    "declined",
    "insufficient_funds",
    "authentication",
    "disputed",
    "refund_pends",
    "refund_fails",
    "processing",
]
Metadata = dict[str, str]


def _none() -> Metadata:
    return {}


@dataclass(slots=True, kw_only=True)
class Thing:
    """`written`: it was made or changed by a request, so that a search that is behind does not see it."""

    id: str
    created: int
    metadata: Metadata = field(default_factory=_none)
    written: bool = False
    serial: int = 0


@dataclass(slots=True, kw_only=True)
class Customer(Thing):
    """`credit` is what the company owes them, by currency."""

    name: str | None
    email: str | None
    phone: str | None = None
    currency: str | None = None
    default_method: str | None = None
    credit: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True, kw_only=True)
class Method(Thing):
    customer: str | None
    kind: Literal["card", "us_bank_account"]
    brand: str
    last4: str
    exp_month: int = 12
    exp_year: int = 2031
    behaviour: Behaviour = "succeeds"


@dataclass(slots=True, kw_only=True)
class TaxRate(Thing):
    """`hundredths` of a percent, on top of the price."""

    name: str
    hundredths: int


@dataclass(slots=True, kw_only=True)
class Product(Thing):
    name: str


@dataclass(slots=True, kw_only=True)
class Price(Thing):
    product: str
    currency: str
    unit: int
    recurring: bool


@dataclass(slots=True, kw_only=True)
class Subscription(Thing):
    customer: str
    item: str
    price: str
    currency: str
    renews: int


@dataclass(slots=True, kw_only=True)
class Line(Thing):
    """A line of an invoice, which is an invoice item as well, under another id. `tax` is of the whole line, by
    `rate`."""

    item: str
    invoice: str
    text: str
    quantity: int
    unit: str
    amount: int
    currency: str
    rate: str | None = None
    tax: int = 0
    price: str | None = None


@dataclass(slots=True, kw_only=True)
class Invoice(Thing):
    """`applied` is what the customer's credit balance paid, `precredited` what credit notes took off what was due."""

    customer: str
    currency: str
    status: Literal["draft", "open", "paid", "void", "uncollectible"] = "draft"
    collection: str = "charge_automatically"
    auto_advance: bool = False
    days_until_due: int | None = None
    due_date: int | None = None
    number: str | None = None
    memo: str | None = None
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    lines: list[Line] = field(default_factory=list[Line])
    finalized: int | None = None
    paid_at: int | None = None
    voided: int | None = None
    uncollectible: int | None = None
    attempts: int = 0
    applied: int = 0
    precredited: int = 0
    postcredited: int = 0
    paid: int = 0
    overpaid: int = 0
    sent: int = 0

    @property
    def net(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.net + self.tax

    @property
    def due(self) -> int:
        """`amount_due`: also after it was paid."""
        return self.total - self.applied - self.precredited

    @property
    def remaining(self) -> int:
        return self.due - self.paid


@dataclass(slots=True, kw_only=True)
class Decline:
    code: str
    decline_code: str
    message: str


@dataclass(slots=True, kw_only=True)
class Intent(Thing):
    amount: int
    currency: str
    customer: str | None
    method: str | None
    status: str
    description: str | None = None
    email: str | None = None
    received: int = 0
    charge: str | None = None
    decline: Decline | None = None
    decline_charge: str | None = None


@dataclass(slots=True, kw_only=True)
class Charge(Thing):
    """`behaviour` is that of the card it was made with, which its refunds follow."""

    intent: str | None
    amount: int
    currency: str
    customer: str | None
    method: str | None
    kind: Literal["card", "us_bank_account"]
    brand: str
    last4: str
    status: Literal["succeeded", "pending", "failed"]
    email: str | None = None
    name: str | None = None
    description: str | None = None
    behaviour: Behaviour = "succeeds"
    refunded: int = 0
    disputed: bool = False
    reported: str | None = None
    risk: str = "normal"
    transaction: str | None = None
    decline: Decline | None = None


@dataclass(slots=True, kw_only=True)
class Refund(Thing):
    charge: str
    intent: str | None
    amount: int
    currency: str
    status: Literal["pending", "succeeded", "failed"]
    reason: str | None = None
    transaction: str | None = None
    failure_transaction: str | None = None
    failure_reason: str | None = None


@dataclass(slots=True, kw_only=True)
class Dispute(Thing):
    charge: str
    intent: str | None
    amount: int
    currency: str
    status: Literal["needs_response", "won", "lost"]
    due_by: int
    transactions: list[str] = field(default_factory=list[str])


@dataclass(slots=True, kw_only=True)
class Warned(Thing):
    """An early fraud warning."""

    charge: str
    intent: str | None


@dataclass(slots=True, kw_only=True)
class Transaction(Thing):
    """An entry of the journal of the balance."""

    amount: int
    fee: int
    currency: str
    kind: str
    category: str
    source: str
    available_on: int

    @property
    def net(self) -> int:
        return self.amount - self.fee


@dataclass(slots=True, kw_only=True)
class CreditLine(Thing):
    """`invoice_line` is None of one that was made for an amount alone."""

    invoice_line: str | None
    text: str
    quantity: int
    amount: int
    rate: str | None = None
    tax: int = 0


@dataclass(slots=True, kw_only=True)
class CreditNote(Thing):
    invoice: str
    customer: str
    currency: str
    number: str
    memo: str | None
    lines: list[CreditLine]
    pre: int
    post: int
    credited: int = 0
    outside: int | None = None
    refunds: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    @property
    def net(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.net + self.tax


@dataclass(slots=True, kw_only=True)
class InvoicePayment(Thing):
    invoice: str
    intent: str
    requested: int
    paid: int | None
    currency: str
    status: Literal["open", "paid", "canceled"]
    default: bool
    paid_at: int | None = None
    canceled_at: int | None = None
