"""Stripe's lists, a page at a time or whole. https://docs.stripe.com/api/pagination"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire
from backoffice_shared.errors import NotFound, TooLarge
from backoffice_shared.http.client import BackendClient, Params, T
from backoffice_shared.jsonvalues import obj

LARGEST_PAGE = 100
MOST_PAGES = 100
"""How many pages are read for one answer: beyond, it is refused rather than given in part."""

_KINDS = {
    "balance_transactions": "balance_transaction",
    "charges": "charge",
    "credit_notes": "credit_note",
    "customers": "customer",
    "customers.payment_methods": "payment_method",
    "disputes": "dispute",
    "invoice_payments": "invoice_payment",
    "invoiceitems": "invoiceitem",
    "invoices": "invoice",
    "invoices.lines": "line_item",
    "payment_intents": "payment_intent",
    "products": "product",
    "radar.early_fraud_warnings": "radar.early_fraud_warning",
    "refunds": "refund",
    "subscriptions": "subscription",
}
"""What a list is of, by its name in operations."""


@dataclass(frozen=True, slots=True)
class Page:
    """`more`: there are others after the last row."""

    rows: list[Wire]
    more: bool


def page_of(family: str) -> Callable[[Any], Page]:
    """Whose every row can be understood."""
    each = sound(_KINDS[family])

    def into(wire: Any) -> Page:
        return Page([each(obj(row)) for row in wire["data"]], bool(wire["has_more"]))

    return into


async def page_after(
    http: BackendClient,
    operation: str,
    params: Params,
    after: str | None,
    *,
    at: str | None = None,
    limit: int = LARGEST_PAGE,
    fresh_for: float = 0.0,
    tags: Iterable[str] = (),
) -> Page:
    """One page of a list, the newest first. `operation` is `invoices.list`, of what is `at` `/v1/invoices` unless it is
    somewhere else."""
    family = operation.removesuffix(".list")
    cursor = {} if after is None else {"starting_after": after}
    return await http.read(
        operation,
        at or f"/v1/{family.replace('.', '/')}",
        params={**params, **cursor, "limit": min(limit, LARGEST_PAGE)},
        into=page_of(family),
        fresh_for=fresh_for,
        tags=tags,
    )


async def every(
    http: BackendClient,
    operation: str,
    params: Params,
    *,
    at: str | None = None,
    fresh_for: float = 0.0,
    tags: Iterable[str] = (),
) -> list[Wire]:
    """All that is in a list, the newest first.

    Raises:
        TooLarge: there is more than we read.
    """
    rows: list[Wire] = []
    after: str | None = None
    tags = tuple(tags)
    for _ in range(MOST_PAGES):
        found = await page_after(http, operation, params, after, at=at, fresh_for=fresh_for, tags=tags)
        rows += found.rows
        if not found.more or not found.rows:
            return rows
        after = str(found.rows[-1]["id"])
    raise TooLarge("Stripe", f"there are more than {MOST_PAGES * LARGEST_PAGE:,} of them", hint="Ask for fewer days")


async def if_there(read: Awaitable[T]) -> T | None:
    """None where Stripe has no such thing: one id of several must not fail the others."""
    try:
        return await read
    except NotFound:
        return None
