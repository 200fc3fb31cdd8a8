"""Payments of customers, as the books have them.

A ledger does not know which payment was given back: money goes out of the clearing account as the payment of a credit
note. What this server, or whoever keeps to its way, enters there names the invoice at the end of its reference
(`re_1Nx / NW-1042`), and by that it is found here. What others enter otherwise is not known to be a refund.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import day, midnight, money
from backoffice_billing.backends.xero.api import SOME, Api, Wire
from backoffice_billing.backends.xero.where import every, is_id, on, word
from backoffice_billing.models import Payment, PaymentRow, PaymentSection, Refund
from backoffice_billing.ports import PaymentQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, total
from backoffice_shared.paging import Chunk

_SEPARATOR = " / "
_IDS = 50  # of what Xero is asked for in one query


def refund_reference(reference: str, number: str) -> str:
    return f"{reference}{_SEPARATOR}{number}"


@dataclass(frozen=True)
class _Paid:
    """A payment with the invoice that it is for."""

    wire: Wire
    invoice: Wire

    @property
    def id(self) -> str:
        return str(self.wire["PaymentID"]).lower()

    @property
    def day(self) -> date:
        return day(self.wire["Date"])

    @property
    def number(self) -> str:
        return str(self.invoice.get("InvoiceNumber") or "")


class Payments:
    """Whom a payment is from, Xero can be asked of invoices only: so a customer's payments are read from theirs."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        """Only what was received, by the day: the books know no failed attempts, and no time of day."""
        if query.statuses and not {"succeeded", "refunded"}.intersection(query.statuses):
            return Chunk([])
        start, size = int(cursor or 0), min(limit, SOME)
        if query.invoice is None and query.customers is None:
            paid, more = await self._of_everybody(query, start // size + 1, size)
        else:
            found = await self._of(query)
            paid, more = found[start : start + size], start + size < len(found)
        siblings = _siblings(paid)
        shares = _shares(siblings, await self._given_back(siblings))
        rows = [_row(entry, shares.get(entry.id, [])) for entry in paid]
        return Chunk([row for row in rows if _meets(row, query)], str(start + size) if more else None)

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        wire = await self._api.one("Payments", native, "payment")
        if wire["PaymentType"] != "ACCRECPAYMENT" or wire["Status"] == "DELETED":
            raise NotFound(XERO.title, f"there is no payment {native[:60]!r} of a customer")
        invoice = await self._api.invoice(wire["Invoice"]["InvoiceID"])
        paid = _Paid(wire, invoice)
        siblings = _siblings([paid])
        given_back = _shares(siblings, await self._given_back(siblings, fresh_for=0)).get(paid.id, [])
        row = _row(paid, given_back)
        return Payment(
            **row.model_dump(),
            captured=True,
            refundable=row.amount - row.refunded,
            refunds=[_refund(entry, row) for entry in given_back] if "refunds" in sections else None,
            disputes=[] if "dispute" in sections else None,
        )

    async def _of_everybody(self, query: PaymentQuery, page: int, size: int) -> tuple[list[_Paid], bool]:
        conditions = [word("PaymentType", "ACCRECPAYMENT"), word("Status", "AUTHORISED")]
        if query.since is not None:
            conditions.append(on("Date", ">=", query.since.date()))
        if query.until is not None:
            conditions.append(on("Date", "<=", query.until.date()))
        found = await self._api.page(
            "Payments", {"where": every(conditions), "order": "Date DESC"}, page=page, size=size
        )
        invoices = await self._whole({str(wire["Invoice"]["InvoiceID"]) for wire in found.rows})
        paid = [_Paid(wire, invoices.get(wire["Invoice"]["InvoiceID"]) or obj(wire["Invoice"])) for wire in found.rows]
        return paid, found.more

    async def _whole(self, natives: Iterable[str]) -> dict[str, Wire]:
        """Invoices with all that was paid for them, which a payment does not tell of its invoice."""
        ids = sorted(natives)
        parts = [ids[start : start + _IDS] for start in range(0, len(ids), _IDS)]
        lists = [await self._api.every("Invoices", {"IDs": ",".join(part)}) for part in parts]
        return {str(wire["InvoiceID"]): wire for found in lists for wire in found}

    async def _of(self, query: PaymentQuery) -> list[_Paid]:
        """Of these customers, or of this invoice; latest first."""
        invoices = await self._invoices(query)
        if query.customers is not None:
            invoices = [wire for wire in invoices if into.contact_of(wire) in query.customers]
        since, until = query.since and query.since.date(), query.until and query.until.date()
        paid = [_Paid(payment, wire) for wire in invoices for payment in arr(wire.get("Payments"))]
        fitting = [p for p in paid if (since is None or p.day >= since) and (until is None or p.day <= until)]
        return sorted(fitting, key=lambda entry: (entry.day, entry.wire["PaymentID"]), reverse=True)

    async def _invoices(self, query: PaymentQuery) -> list[Wire]:
        asked, ids = ("IDs", [query.invoice]) if query.invoice is not None else ("ContactIDs", query.customers or ())
        known = [native for native in ids if is_id(native)]
        if not known:
            return []
        paid = {asked: ",".join(known), "Statuses": "AUTHORISED,PAID", "where": word("Type", "ACCREC")}
        return await self._api.every("Invoices", paid)

    async def _given_back(self, paid: Sequence[_Paid], *, fresh_for: float = 30) -> dict[str, list[Wire]]:
        """What was paid out for credit notes since the first of these, by the number of the invoice that it names.
        Since the beginning of its year, rather: so that many who ask are answered by one request.
        """
        if not paid:
            return {}
        conditions = [
            word("PaymentType", "ARCREDITPAYMENT"),
            word("Status", "AUTHORISED"),
            on("Date", ">=", min(entry.day for entry in paid).replace(month=1, day=1)),
        ]
        found: dict[str, list[Wire]] = defaultdict(list)
        for wire in await self._api.every("Payments", {"where": every(conditions)}, fresh_for=fresh_for):
            _, separator, number = str(wire.get("Reference") or "").rpartition(_SEPARATOR)
            if separator:
                found[number].append(wire)
        return found


def _siblings(paid: Sequence[_Paid]) -> list[_Paid]:
    """All payments of the invoices that these are for: a refund is divided over all of them."""
    invoices = {entry.invoice["InvoiceID"]: entry.invoice for entry in paid}
    theirs = [_Paid(wire, invoice) for invoice in invoices.values() for wire in arr(invoice.get("Payments"))]
    return list({entry.id: entry for entry in [*theirs, *paid]}.values())


def _shares(paid: Sequence[_Paid], given_back: Mapping[str, Sequence[Wire]]) -> dict[str, list[Wire]]:
    """Of which payment each refund is, where an invoice was paid in several: of the first that is large enough."""
    left: dict[str, Money] = {}
    shares: dict[str, list[Wire]] = defaultdict(list)
    for entry in paid:
        left[entry.id] = money(entry.wire["Amount"], into.currency_of(entry.invoice))
    for number, refunds in given_back.items():
        of = sorted((entry for entry in paid if entry.number == number), key=lambda entry: (entry.day, entry.id))
        for refund in refunds if of else ():
            amount = money(refund["Amount"], into.currency_of(of[0].invoice))
            chosen = next((entry for entry in of if left[entry.id] >= amount), of[0])
            left[chosen.id] -= amount
            shares[chosen.id].append(refund)
    return shares


def _row(paid: _Paid, given_back: Sequence[Wire]) -> PaymentRow:
    currency = into.currency_of(paid.invoice)
    amount = money(paid.wire["Amount"], currency)
    refunded = min(amount, total((money(entry["Amount"], currency) for entry in given_back), currency))
    return PaymentRow(
        payment_id=into.ref("payment", paid.wire["PaymentID"]),
        at=midnight(paid.day),
        amount=amount,
        refunded=refunded,
        status="refunded" if amount and refunded == amount else "succeeded",
        customer_id=into.ref("contact", into.contact_of(paid.invoice)),
        invoice_id=into.ref("invoice", paid.invoice["InvoiceID"]),
        native_status="AUTHORISED",
    )


def _refund(wire: dict[str, Any], row: PaymentRow) -> Refund:
    return Refund(
        refund_id=into.ref("refund", wire["PaymentID"]),
        payment_id=row.payment_id,
        amount=money(wire["Amount"], row.amount.currency),
        status="succeeded",
        reason=str(wire.get("Reference") or "") or None,
        at=midnight(day(wire["Date"])),
    )


def _meets(row: PaymentRow, query: PaymentQuery) -> bool:
    if query.statuses and row.status not in query.statuses:
        return False
    if query.currency is not None and row.amount.currency != query.currency:
        return False
    return query.min_amount is None or row.amount.amount >= query.min_amount
