"""Invoices and credit notes."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from backoffice_shared.envelope import Answer, Listing
from backoffice_shared.money import Money

InvoiceStatus = Literal["draft", "open", "overdue", "paid", "void", "uncollectible"]
"""`overdue` is open after its due date."""
InvoiceSection = Literal["lines", "payments", "credit_notes", "links", "accounting"]
Disposition = Literal["credit_balance", "out_of_band"]
"""What becomes of what was paid already: money leaves by refunds only, which have a policy in front of them."""


def standing(status: InvoiceStatus, due_at: date | None, today: date) -> InvoiceStatus:
    """An open invoice is overdue from the day after its due date."""
    return "overdue" if status == "open" and due_at is not None and due_at < today else status


class InvoiceRow(BaseModel):
    """`due` is what is still to be paid; 0 of a draft. `issued_at` is the date it bears; a draft's may still change."""

    on_request: ClassVar = frozenset({"url", "native_status"})

    invoice_id: str
    number: str | None = None
    customer_id: str | None = None
    customer: str | None = None
    status: InvoiceStatus
    total: Money
    due: Money
    issued_at: date
    due_at: date | None = None
    native_status: str | None = None
    url: str | None = None


class InvoiceLine(BaseModel):
    """`unit_amount` and `amount` are without tax, `amount` of the whole line; None where the system does not say."""

    line_id: str | None = None
    description: str
    quantity: str = "1"
    unit_amount: Money | None = None
    amount: Money
    tax: Money | None = None


class InvoicePayment(BaseModel):
    payment_id: str | None = None
    at: datetime
    amount: Money
    status: str


class InvoiceCredit(BaseModel):
    """What a credit note took off this invoice."""

    credit_note_id: str
    number: str | None = None
    at: date
    amount: Money


class Accounting(BaseModel):
    """The same invoice in another system. `differences` say how they disagree, in words."""

    system: str
    invoice_id: str
    status: InvoiceStatus
    in_sync: bool
    differences: list[str] = []


class Invoice(InvoiceRow):
    """`total` = `subtotal` + `tax`; `due` = `total` − `paid` − `credited`, once it is issued, but never less than 0; and 0 before
    and when it is void. What was credited after it was paid is in `credited`, too.

    `version` changes whenever the invoice does. `text` of outsiders is only in `memo` and `lines`.
    """

    subtotal: Money
    tax: Money
    paid: Money
    credited: Money
    memo: str | None = None
    po_number: str | None = None
    lines: list[InvoiceLine] | None = None
    payments: list[InvoicePayment] | None = None
    credit_notes: list[InvoiceCredit] | None = None
    hosted_url: str | None = None
    pdf_url: str | None = None
    accounting: list[Accounting] | None = None
    version: str = Field(default="", exclude=True)


class InvoiceList(Listing[InvoiceRow]):
    """`totals` are of the rows shown, by currency: one debt may be in two systems."""

    totals: list[Money] = []


class Invoices(Listing[Invoice]):
    not_found: list[str] = []


class Posted(BaseModel):
    """What the ledger was told. `failed`: it is not there yet."""

    system: str
    id: str | None = None
    status: Literal["posted", "failed"]
    message: str | None = None


class _Write(Answer):
    """What every write answers. `unfinished`: the same call again, with the same key, does the rest."""

    idempotency_key: str = ""
    replayed: bool = False
    unfinished: bool | None = None


class Planned(_Write):
    """Of a call without plan_token: what would be done, and the token that does it."""

    plan_token: str | None = None
    expires_at: datetime | None = None


class CreatedInvoice(_Write):
    """`invoice_id` is None of a dry run."""

    invoice_id: str | None = None
    status: InvoiceStatus = "draft"
    subtotal: Money
    tax: Money
    total: Money
    lines: list[InvoiceLine] = []


class InvoicePreview(BaseModel):
    invoice_id: str
    customer: str | None = None
    number: str | None = None
    total: Money
    due: Money
    sends_to: str | None = None
    effects: list[str] = []


class IssuedInvoice(Planned):
    preview: InvoicePreview | None = None
    invoice_id: str | None = None
    number: str | None = None
    status: InvoiceStatus | None = None
    total: Money | None = None
    hosted_url: str | None = None
    sent_to: str | None = None
    ledger: Posted | None = None


class VoidedInvoice(Planned):
    preview: InvoicePreview | None = None
    invoice_id: str | None = None
    status: InvoiceStatus | None = None
    ledger: Posted | None = None


class CreditPreview(BaseModel):
    """`invoice_due` is what would still be due."""

    invoice_id: str
    customer: str | None = None
    total: Money
    disposition: Disposition
    invoice_due: Money
    effects: list[str] = []


class CreditedInvoice(Planned):
    preview: CreditPreview | None = None
    credit_note_id: str | None = None
    number: str | None = None
    total: Money | None = None
    invoice_due: Money | None = None
    refund_id: str | None = None
    ledger: Posted | None = None
