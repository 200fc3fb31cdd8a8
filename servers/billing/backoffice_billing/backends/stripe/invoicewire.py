"""Stripe's invoices and credit notes in our words.

Source: the typed source of `stripe` 16.1 (`_invoice.py`, `_invoice_line_item.py`, `_credit_note.py`,
`_invoice_payment.py`), and https://docs.stripe.com/api/invoices/object
"""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal, InvalidOperation

from backoffice_billing.backends.stripe.amounts import money, money_in
from backoffice_billing.backends.stripe.wire import (
    Wire,
    dashboard,
    day,
    id_in,
    moment,
    rows_in,
)
from backoffice_billing.models import (
    Invoice,
    InvoiceCredit,
    InvoiceLine,
    InvoicePayment,
    InvoiceRow,
    InvoiceStatus,
    standing,
)
from backoffice_billing.ports import CreditNote
from backoffice_shared.jsonvalues import arr, canonical, obj
from backoffice_shared.money import Money, nothing, total

_STATUSES: dict[str, InvoiceStatus] = {
    "draft": "draft",
    "open": "open",
    "paid": "paid",
    "void": "void",
    "uncollectible": "uncollectible",
}
PO_NUMBER = "PO Number"
"""The custom field of an invoice that holds the customer's order number."""


def issued_at(wire: Wire) -> date:
    """The date that it bears, UTC; of a draft, the day it was made."""
    finalized = obj(wire.get("status_transitions")).get("finalized_at")
    return day(wire.get("effective_at") or finalized or wire["created"])


def row(wire: Wire, today: date) -> InvoiceRow:
    return InvoiceRow.model_validate(_row(wire, today))


def _row(wire: Wire, today: date) -> dict[str, object]:
    status = _STATUSES[wire["status"]]
    due_at = day(wire["due_date"]) if wire.get("due_date") else None
    customer = id_in(wire.get("customer"))
    return {
        "invoice_id": f"stripe:invoice:{wire['id']}" if wire.get("id") else "",
        "number": wire.get("number"),
        "customer_id": f"stripe:customer:{customer}" if customer else None,
        "customer": wire.get("customer_name"),
        "status": standing(status, due_at, today),
        "total": money_in(wire, "total"),
        "due": _due(wire),
        "issued_at": issued_at(wire),
        "due_at": due_at,
        "native_status": str(wire["status"]),
        "url": dashboard(wire, "invoices", wire["id"]) if wire.get("id") else None,
    }


def _due(wire: Wire) -> Money:
    owed = wire["status"] in ("open", "uncollectible")
    return money(max(wire["amount_remaining"], 0) if owed else 0, wire["currency"])


def invoice(wire: Wire, today: date, *, lines: list[Wire] | None = None) -> Invoice:
    """What a customer's credit balance paid counts as credited, as what credit notes took off the invoice does, before and
    after it was paid. With `lines`, those of the invoice in this order."""
    whole, due = money_in(wire, "total"), _due(wire)
    tax = total((money_in(tax, "amount", wire["currency"]) for tax in _taxes(wire, "total_taxes")), whole.currency)
    issued = wire["status"] not in ("draft", "void")
    paid = money_in(wire, "amount_paid") if issued else nothing(whole.currency)
    after = money(wire.get("post_payment_credit_notes_amount") or 0, wire["currency"])
    return Invoice.model_validate(
        {
            **_row(wire, today),
            "subtotal": whole - tax,
            "tax": tax,
            "paid": paid,
            "credited": whole - paid - due + after if issued else nothing(whole.currency),
            "memo": wire.get("description"),
            "po_number": _po_number(wire),
            "lines": None if lines is None else [line(each) for each in lines],
            "version": version(wire),
        }
    )


def _taxes(wire: Wire, field: str) -> list[Wire]:
    return [obj(tax) for tax in arr(wire.get(field))]


def _po_number(wire: Wire) -> str | None:
    fields = [obj(field) for field in arr(wire.get("custom_fields"))]
    return next((str(field["value"]) for field in fields if field.get("name") == PO_NUMBER), None)


def line(wire: Wire) -> InvoiceLine:
    """Without tax that is in its price, and after its discounts."""
    currency = str(wire["currency"]).upper()
    taxes = _taxes(wire, "taxes")
    inside = [money_in(tax, "amount", currency) for tax in taxes if tax.get("tax_behavior") == "inclusive"]
    discounts = [money_in(obj(each), "amount", currency) for each in arr(wire.get("discount_amounts"))]
    unit = None if inside or discounts else _unit(obj(wire.get("pricing")).get("unit_amount_decimal"), currency)
    return InvoiceLine(
        line_id=wire.get("id"),
        description=str(wire.get("description") or ""),
        quantity=str(wire.get("quantity_decimal") or wire.get("quantity") or "1"),
        unit_amount=unit,
        amount=money_in(wire, "amount") - total([*inside, *discounts], currency),
        tax=total((money_in(tax, "amount", currency) for tax in taxes), currency),
    )


def _unit(amount: object, currency: str) -> Money | None:
    """What one costs, which may be finer than money is: then nothing."""
    try:
        exact = Decimal(str(amount))
        return money(int(exact), currency) if exact == exact.to_integral_value() else None
    except (InvalidOperation, ValueError, OverflowError):
        return None


def version(wire: Wire) -> str:
    """Of all that people see of it: Stripe has none of its own. Our marks in its metadata are left out."""
    seen = {name: wire.get(name) for name in _SEEN}
    lines = [
        [row.get("id"), row.get("description"), row.get("quantity"), row.get("amount"), row.get("taxes")]
        for row in rows_in(wire.get("lines"))
    ]
    return hashlib.sha256(canonical([seen, lines, id_in(wire.get("customer"))]).encode()).hexdigest()[:16]


_SEEN = (
    "status",
    "number",
    "currency",
    "total",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
    "customer_email",
    "custom_fields",
    "description",
    "days_until_due",
    "due_date",
    "effective_at",
)


def payment(wire: Wire) -> InvoicePayment | None:
    """What was paid, or is on its way: None of a payment that Stripe only expects.
    `{"payment":{"payment_intent":…}}`"""
    made = obj(wire.get("payment"))
    intent = obj(made.get("payment_intent"))
    under_way = intent.get("status") == "processing"
    if wire["status"] != "paid" and not under_way:
        return None
    native = id_in(made.get("payment_intent")) or id_in(made.get("charge"))
    at = obj(wire.get("status_transitions")).get("paid_at") or wire["created"]
    field = "amount_paid" if wire["status"] == "paid" else "amount_requested"
    return InvoicePayment(
        payment_id=f"stripe:payment:{native}" if native else None,
        at=moment(at),
        amount=money_in(wire, field),
        status="pending" if under_way else "succeeded",
    )


def credit(wire: Wire) -> InvoiceCredit:
    return InvoiceCredit(
        credit_note_id=f"stripe:credit_note:{wire['id']}",
        number=wire.get("number"),
        at=day(wire.get("effective_at") or wire["created"]),
        amount=money_in(wire, "total"),
    )


def credit_note(wire: Wire, invoice_due: Money) -> CreditNote:
    """`refunds`: `[{"amount_refunded":1,"refund":"re_…"}]`; an id is empty of what was only previewed."""
    refunds = [id_in(obj(each).get("refund")) for each in arr(wire.get("refunds"))]
    refund = next((native for native in refunds if native), None)
    return CreditNote(
        credit_note_id=f"stripe:credit_note:{wire['id']}" if _is_made(wire) else "",
        number=wire.get("number") if _is_made(wire) else None,
        total=money_in(wire, "total"),
        invoice_due=invoice_due,
        lines=tuple(_credited(each, wire["currency"]) for each in rows_in(wire.get("lines"))),
        refund_id=f"stripe:refund:{refund}" if refund else None,
    )


def _is_made(wire: Wire) -> bool:
    return bool(wire.get("id")) and not str(wire["id"]).startswith("cn_tmp")


def _credited(wire: Wire, currency: object) -> InvoiceLine:
    taxes = _taxes(wire, "taxes")
    inside = [money_in(tax, "amount", currency) for tax in taxes if tax.get("tax_behavior") == "inclusive"]
    return InvoiceLine(
        line_id=id_in(wire.get("invoice_line_item")) or wire.get("id"),
        description=str(wire.get("description") or ""),
        quantity=str(wire.get("quantity") or "1"),
        amount=money_in(wire, "amount", currency) - total(inside, str(currency).upper()),
        tax=total((money_in(tax, "amount", currency) for tax in taxes), str(currency).upper()),
    )
