"""Payments: found, looked at, collected."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backoffice_billing.models import (
    Collected,
    CustomerId,
    InvoiceId,
    Payment,
    PaymentId,
    PaymentRow,
    PaymentSection,
    PaymentStatus,
)
from backoffice_billing.payments import spent
from backoffice_billing.ports import PaymentQuery
from backoffice_billing.services import TheReceipts
from backoffice_billing.tools.invoices import Amount, only_previewed
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.tool import DESTROY, READ, tool
from backoffice_shared.money import Currency
from backoffice_shared.parameters import Cursor, Fields, Key, Limit, Moment, PlanToken


@tool(READ, scope="billing:read", toolset="payments", needs="payments")
async def search_payments(
    receipts: TheReceipts,
    customer_id: CustomerId | None = None,
    invoice_id: InvoiceId | None = None,
    status: list[PaymentStatus] | None = None,
    since: Moment | None = None,
    min_amount: Amount | None = None,
    currency: Currency | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
    fields: Fields | None = None,
) -> Listing[PaymentRow]:
    """Search payments and failed attempts, latest first."""
    if min_amount is not None and currency is None:
        raise InvalidInput("", "min_amount: give its currency, too")
    wanted = PaymentQuery(statuses=tuple(status or ()), since=since, min_amount=min_amount, currency=currency)
    found = await receipts.search(wanted, customer_id=customer_id, invoice_id=invoice_id, limit=limit, cursor=cursor)
    return found.only(fields, PaymentRow, always="payment_id")


@tool(READ, scope="billing:read", toolset="payments", needs="payments")
async def get_payment(
    receipts: TheReceipts, payment_id: PaymentId, include: list[PaymentSection] | None = None
) -> Payment:
    """One payment, and what of it is refundable."""
    return await receipts.get(payment_id, frozenset(include or ()))


@tool(DESTROY, scope="billing:charge", toolset="payments", needs="charges", previews=only_previewed, spends=spent)
async def collect_payment(
    receipts: TheReceipts,
    invoice_id: InvoiceId,
    idempotency_key: Key,
    payment_method_id: Annotated[str, Field(min_length=1, max_length=120)] | None = None,
    amount: Annotated[Amount, Field(description="Default: all due")] | None = None,
    plan_token: PlanToken | None = None,
) -> Collected:
    """Charge a saved method, by default the default one, for an open invoice."""
    return await receipts.collect(invoice_id, payment_method_id, amount, key=idempotency_key, plan_token=plan_token)


TOOLS = (search_payments, get_payment, collect_payment)
