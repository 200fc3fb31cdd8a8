"""Stripe's invoices, to read. https://docs.stripe.com/api/invoices"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

from backoffice_billing.backends.stripe import invoicewire as into
from backoffice_billing.backends.stripe.lists import LARGEST_PAGE, Page, every, if_there, page_after, page_of
from backoffice_billing.backends.stripe.places import merged, places_in
from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire, end_of, is_id, path_of, quoted, rows_in, start_of
from backoffice_billing.models import Invoice, InvoiceRow, InvoiceSection
from backoffice_billing.ports import InvoiceQuery
from backoffice_shared.http.client import BackendClient
from backoffice_shared.jsonvalues import obj
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import at_once

FRESH = 30.0
LONGEST_DRAFT = timedelta(days=90)
"""Stripe lists invoices by the day they were made, not by the date that they bear. Those that differ by more than this
are not found by that date."""


def today() -> date:
    return datetime.now(UTC).date()


class StripeInvoices:
    """Invoices. `today` says what is overdue."""

    def __init__(self, http: BackendClient, *, today: Callable[[], date] = today) -> None:
        self._http = http
        self._today = today

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        """By number Stripe only searches, in an index that lags by up to a minute; all else is listed, as it is now.

        Stripe lists by the moment at which invoices were made, and cannot be asked for another order. The rows of one
        page are sorted by the date that they bear, but one that was backdated, or was a draft for long, is on the page
        of those that were made with it: until the last page, a list is whole for no day.
        """
        if query.number is not None:
            return await self._numbered(query, query.number)
        sorted_out = _is_sorted_out(query)
        size = LARGEST_PAGE if sorted_out else limit
        customers = None if query.customers is None else [c for c in query.customers if is_id(c)]
        rows, following = await merged(partial(self._listed, query, size), places_in(cursor, customers), size)
        return Chunk(self._meeting(query, rows), next=following)

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        found = await at_once(
            *(if_there(self._with(native, sections, fresh_for=FRESH)) for native in dict.fromkeys(natives))
        )
        return [invoice for invoice in found if invoice is not None]

    async def invoice(self, native: str) -> Invoice:
        return await self._with(native, frozenset({"lines", "links"}), fresh_for=0)

    async def wire(self, native: str, *, fresh_for: float = 0.0) -> Wire:
        """As Stripe has it at this moment.

        Raises:
            NotFound: there is none.
        """
        return await self._http.read(
            "invoices.get",
            path_of("invoice", native),
            into=sound("invoice"),
            fresh_for=fresh_for,
            tags=(f"invoice:{native}",),
        )

    async def read_again(self, wire: Wire) -> Invoice:
        """All of an invoice that a write has just answered."""
        return self._of(wire, await self._lines(wire, fresh_for=0))

    # ---------------------------------------------------------------------------------------------- one request each

    async def _numbered(self, query: InvoiceQuery, number: str) -> Chunk[InvoiceRow]:
        found = await self._http.read(
            "invoices.search",
            "/v1/invoices/search",
            params={"query": f"number:{quoted(number)}", "limit": LARGEST_PAGE},
            into=page_of("invoices"),
            fresh_for=FRESH,
            tags=("invoices",),
        )
        rows = [row for row in found.rows if str(row.get("number") or "").casefold() == number.casefold()]
        return Chunk(self._meeting(query, rows))

    async def _listed(self, query: InvoiceQuery, size: int, customer: str | None, after: str | None) -> Page:
        asked: dict[str, str | int] = dict(_conditions(query))
        if customer is not None:
            asked["customer"] = customer
        tags = ("invoices",)
        return await page_after(self._http, "invoices.list", asked, after, limit=size, fresh_for=FRESH, tags=tags)

    async def _with(self, native: str, sections: frozenset[InvoiceSection], *, fresh_for: float) -> Invoice:
        wire = await self.wire(native, fresh_for=fresh_for)
        lines = await self._lines(wire, fresh_for=fresh_for) if "lines" in sections else None
        invoice = self._of(wire, lines)
        if "payments" in sections:
            invoice.payments = [
                paid for each in await self.payments_of(native, fresh_for=fresh_for) if (paid := into.payment(each))
            ]
        if "credit_notes" in sections:
            notes = await every(
                self._http,
                "credit_notes.list",
                {"invoice": native},
                fresh_for=fresh_for,
                tags=(f"invoice:{native}",),
            )
            invoice.credit_notes = [into.credit(note) for note in notes if note["status"] == "issued"]
        if "links" not in sections:
            invoice.hosted_url = invoice.pdf_url = None
        return invoice

    def _of(self, wire: Wire, lines: list[Wire] | None) -> Invoice:
        invoice = into.invoice(wire, self._today(), lines=lines)
        invoice.hosted_url, invoice.pdf_url = wire.get("hosted_invoice_url"), wire.get("invoice_pdf")
        return invoice

    async def payments_of(self, native: str, *, fresh_for: float = 0.0) -> list[Wire]:
        """With the PaymentIntent of each."""
        return await every(
            self._http,
            "invoice_payments.list",
            {"invoice": native, "expand[]": ["data.payment.payment_intent"]},
            fresh_for=fresh_for,
            tags=(f"invoice:{native}",),
        )

    async def _lines(self, wire: Wire, *, fresh_for: float) -> list[Wire]:
        """All of them: an invoice holds only the first."""
        if not obj(wire.get("lines")).get("has_more"):
            return rows_in(wire.get("lines"))
        return await every(
            self._http,
            "invoices.lines",
            {},
            at=path_of("invoice", str(wire["id"]), "lines"),
            fresh_for=fresh_for,
            tags=(f"invoice:{wire['id']}",),
        )

    def _meeting(self, query: InvoiceQuery, rows: list[Wire]) -> list[InvoiceRow]:
        found = [into.row(wire, query.today) for wire in rows]
        return sorted((row for row in found if _meets(row, query)), key=lambda row: row.issued_at, reverse=True)


# ------------------------------------------------------------------------------ what Stripe is asked, and what is left


def _natives(query: InvoiceQuery) -> set[str]:
    """Stripe's statuses that can meet it: what is overdue is open there."""
    return {"open" if status == "overdue" else status for status in query.statuses}


def _conditions(query: InvoiceQuery) -> dict[str, str | int]:
    asked: dict[str, str | int] = {}
    if len(natives := _natives(query)) == 1:
        asked["status"] = natives.pop()
    if query.issued_since is not None:
        asked["created[gte]"] = start_of(query.issued_since - LONGEST_DRAFT)
    if query.issued_until is not None:
        asked["created[lte]"] = end_of(query.issued_until + LONGEST_DRAFT)
    due_before = query.due_before
    if set(query.statuses) == {"overdue"}:
        due_before = min(due_before or query.today, query.today)
    if due_before is not None:
        asked["due_date[lt]"] = start_of(due_before)
    return asked


def _is_sorted_out(query: InvoiceQuery) -> bool:
    """Whether some of what Stripe lists does not meet the query."""
    dates = query.issued_since or query.issued_until
    return bool(
        dates
        or query.currency
        or query.min_amount is not None
        or len(set(query.statuses)) > 1
        or set(query.statuses) & {"open"}
    )


def _meets(row: InvoiceRow, query: InvoiceQuery) -> bool:
    asked = set(query.statuses)
    return (
        (not asked or row.status in asked)
        and (query.customers is None or _native(row.customer_id) in query.customers)
        and (query.issued_since is None or row.issued_at >= query.issued_since)
        and (query.issued_until is None or row.issued_at <= query.issued_until)
        and (query.due_before is None or (row.due_at is not None and row.due_at < query.due_before))
        and (query.currency is None or row.total.currency == query.currency)
        and (query.min_amount is None or row.total.amount >= query.min_amount)
    )


def _native(customer_id: str | None) -> str:
    return (customer_id or "").rpartition(":")[2]
