"""Invoices: found, made, issued, voided, credited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from backoffice_billing.invoices import today
from backoffice_billing.models import (
    CreatedInvoice,
    CreditedInvoice,
    CustomerId,
    Disposition,
    InvoiceId,
    InvoiceList,
    InvoiceRow,
    Invoices,
    InvoiceSection,
    InvoiceStatus,
    IssuedInvoice,
    VoidedInvoice,
)
from backoffice_billing.payments import spent
from backoffice_billing.ports import DraftLine, InvoiceQuery, ReturnedLine
from backoffice_billing.services import TheBilling, TheCrediting
from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, Arguments, tool
from backoffice_shared.money import Currency, Money
from backoffice_shared.parameters import Cursor, Day, Fields, Key, Limit, PlanToken

Reason = Annotated[str, Field(min_length=1, max_length=300)]
Amount = Annotated[StrictInt, Field(ge=1, le=10**15)]


class NewLine(BaseModel):
    """By unit_amount or price_id."""

    model_config = ConfigDict(extra="forbid")

    description: Annotated[str, Field(min_length=1, max_length=500)]
    quantity: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = 1
    unit_amount: Annotated[StrictInt, Field(ge=0, le=10**15)] | None = None
    price_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    tax_code: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class PartOfLine(BaseModel):
    """By its id or SKU."""

    model_config = ConfigDict(extra="forbid")

    line: Annotated[str, Field(min_length=1, max_length=120)]
    quantity: Annotated[StrictInt, Field(ge=1, le=1_000_000)]


Yes = StrictBool
PartsOfLines = Annotated[list[PartOfLine], Field(min_length=1, max_length=100)]


def returned(lines: Sequence[PartOfLine] | None) -> tuple[ReturnedLine, ...]:
    return tuple(ReturnedLine(part.line, part.quantity) for part in lines or ())


def only_previewed(arguments: Arguments) -> bool:
    return arguments.get("plan_token") is None


@tool(READ, scope="billing:read", toolset="invoices", needs="invoices")
async def search_invoices(
    billing: TheBilling,
    customer_id: CustomerId | None = None,
    number: Annotated[str, Field(min_length=1, max_length=60)] | None = None,
    status: list[InvoiceStatus] | None = None,
    issued_since: Day | None = None,
    due_before: Day | None = None,
    min_amount: Amount | None = None,
    currency: Currency | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
    fields: Fields | None = None,
) -> InvoiceList:
    """Search invoices, latest first."""
    _must_have_currency(min_amount, currency)
    wanted = InvoiceQuery(
        today=today(),
        number=number,
        statuses=tuple(status or ()),
        issued_since=issued_since,
        due_before=due_before,
        min_amount=min_amount,
        currency=currency,
    )
    found = await billing.search(wanted, customer_id=customer_id, limit=limit, cursor=cursor)
    return found.only(fields, InvoiceRow, always="invoice_id")


@tool(READ, scope="billing:read", toolset="invoices", needs="invoices")
async def get_invoices(
    billing: TheBilling,
    invoice_ids: Annotated[list[InvoiceId], Field(min_length=1, max_length=20)],
    include: Annotated[list[InvoiceSection], Field(description="Default lines")] | None = None,
) -> Invoices:
    """Invoices with lines, payments and credit notes; accounting compares them with the ledger's."""
    return await billing.get(invoice_ids, frozenset(include or ("lines",)))


@tool(
    ADD,
    scope="billing:invoice",
    toolset="invoices",
    needs="invoicing",
    previews=lambda given: given.get("dry_run") is True,
)
async def create_invoice(
    billing: TheBilling,
    customer_id: CustomerId,
    currency: Currency,
    lines: Annotated[
        list[NewLine],
        Field(min_length=1, max_length=100),
    ],
    idempotency_key: Key,
    due_days: Annotated[int, Field(ge=0, le=365)] = 30,
    memo: Annotated[str, Field(min_length=1, max_length=500)] | None = None,
    po_number: Annotated[str, Field(min_length=1, max_length=60)] | None = None,
    dry_run: Yes = False,
) -> CreatedInvoice:
    """Create a draft invoice in customer_id's system. Amounts in minor units."""
    made = [_line(line, currency) for line in lines]
    return await billing.create(
        customer_id,
        currency,
        made,
        due_days=due_days,
        memo=memo,
        po_number=po_number,
        key=idempotency_key,
        dry_run=dry_run,
    )


@tool(DESTROY, scope="billing:invoice", toolset="invoices", needs="invoicing", previews=only_previewed)
async def issue_invoice(
    billing: TheBilling,
    invoice_id: InvoiceId,
    idempotency_key: Key,
    send: Yes = True,
    plan_token: PlanToken | None = None,
) -> IssuedInvoice:
    """Finalize a draft and e-mail it. Assigns the legal number; can only be voided or credited later."""
    return await billing.issue(invoice_id, send=send, key=idempotency_key, plan_token=plan_token)


@tool(DESTROY, scope="billing:invoice", toolset="invoices", needs="invoicing", previews=only_previewed)
async def void_invoice(
    billing: TheBilling,
    invoice_id: InvoiceId,
    reason: Reason,
    idempotency_key: Key,
    plan_token: PlanToken | None = None,
) -> VoidedInvoice:
    """Void an open invoice that has no payment."""
    return await billing.void(invoice_id, reason, key=idempotency_key, plan_token=plan_token)


@tool(DESTROY, scope="billing:invoice", toolset="refunds", needs="invoicing", previews=only_previewed, spends=spent)
async def create_credit_note(
    crediting: TheCrediting,
    invoice_id: InvoiceId,
    reason: Reason,
    disposition: Disposition,
    idempotency_key: Key,
    amount: Annotated[Amount, Field(description="With tax")] | None = None,
    lines: PartsOfLines | None = None,
    plan_token: PlanToken | None = None,
) -> CreditedInvoice:
    """Reduce an issued invoice. For money back use preview_refund."""
    return await crediting.credit(
        invoice_id,
        amount=amount,
        lines=returned(lines),
        reason=reason,
        disposition=disposition,
        key=idempotency_key,
        plan_token=plan_token,
    )


def _line(line: NewLine, currency: str) -> DraftLine:
    if (line.unit_amount is None) == (line.price_id is None):
        raise InvalidInput("", "lines: give each either a unit_amount or a price_id")
    unit = None if line.unit_amount is None else Money(amount=line.unit_amount, currency=currency)
    return DraftLine(line.description, line.quantity, unit, line.price_id, line.tax_code)


def _must_have_currency(min_amount: int | None, currency: str | None) -> None:
    if min_amount is not None and currency is None:
        raise InvalidInput("", "min_amount: give its currency, too")


TOOLS = (search_invoices, get_invoices, create_invoice, issue_invoice, void_invoice, create_credit_note)
