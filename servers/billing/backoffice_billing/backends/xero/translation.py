"""Invoices, credit notes, payments and contacts: Xero's wire in, our words out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import day, decimal, fine, maybe_day, midnight, moment, money
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceCredit,
    InvoiceLine,
    InvoicePayment,
    InvoiceRow,
    InvoiceSection,
    InvoiceStatus,
    Overdue,
    standing,
)
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, by_currency, nothing, total
from backoffice_shared.refs import Ref

STATUSES: dict[str, InvoiceStatus] = {
    "DRAFT": "draft",
    "SUBMITTED": "draft",
    "AUTHORISED": "open",
    "PAID": "paid",
    "VOIDED": "void",
    "DELETED": "void",
}
"""One that was wholly credited is PAID as well. Nothing is uncollectible here."""

_MARK = re.compile(r"(?:^|\s)bo-[0-9a-f]{16}$")


def mark(key: str) -> str:
    """What is written into a Reference, where customers see it too, so that what this key made can be found again."""
    return f"bo-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def marked(text: str | None, key: str) -> str:
    return f"{text} {mark(key)}" if text else mark(key)


def is_marked(reference: object) -> bool:
    return _MARK.search(str(reference or "")) is not None


def unmarked(reference: object) -> str | None:
    """What people wrote into it."""
    return _MARK.sub("", str(reference or "")).strip() or None


def ref(kind: str, native: str) -> str:
    return str(Ref(XERO.name, kind, native))


# ------------------------------------------------------------------------------------------------------- invoices


def is_shown(wire: dict[str, Any]) -> bool:
    """Whether it is a customer's invoice that was not deleted."""
    return wire["Type"] == "ACCREC" and wire["Status"] != "DELETED"


def currency_of(wire: dict[str, Any]) -> str:
    return str(wire["CurrencyCode"])


def native_status(wire: dict[str, Any]) -> InvoiceStatus:
    return STATUSES[wire["Status"]]


def due_of(wire: dict[str, Any]) -> Money:
    """What Xero says of drafts and void ones is what would be due."""
    currency = currency_of(wire)
    return money(wire.get("AmountDue") or 0, currency) if native_status(wire) in ("open", "paid") else nothing(currency)


def row(wire: dict[str, Any], today: date) -> InvoiceRow:
    due_at, contact = maybe_day(wire.get("DueDate")), wire["Contact"]
    return InvoiceRow(
        invoice_id=ref("invoice", wire["InvoiceID"]),
        number=wire.get("InvoiceNumber") or None,
        customer_id=ref("contact", contact["ContactID"]),
        customer=contact.get("Name") or None,
        status=standing(native_status(wire), due_at, today),
        total=money(wire["Total"], currency_of(wire)),
        due=due_of(wire),
        issued_at=day(wire["Date"]),
        due_at=due_at,
        native_status=wire["Status"],
        url=f"https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={wire['InvoiceID']}",
    )


def invoice(
    wire: dict[str, Any],
    today: date,
    sections: frozenset[InvoiceSection],
    notes: Sequence[dict[str, Any]] = (),
    hosted_url: str | None = None,
) -> Invoice:
    """`notes` are the credit notes that were issued for it."""
    currency = currency_of(wire)
    return Invoice(
        **row(wire, today).model_dump(),
        subtotal=money(wire["SubTotal"], currency),
        tax=money(wire.get("TotalTax") or 0, currency),
        paid=money(wire.get("AmountPaid") or 0, currency),
        credited=credited(wire, notes),
        memo=memo(wire),
        po_number=unmarked(wire.get("Reference")),
        lines=lines(wire) if "lines" in sections else None,
        payments=[payment_of_invoice(entry, currency) for entry in arr(wire.get("Payments"))]
        if "payments" in sections
        else None,
        credit_notes=_credits(wire, currency) if "credit_notes" in sections else None,
        hosted_url=hosted_url,
        version=version(wire, notes),
    )


def version(wire: dict[str, Any], notes: Sequence[dict[str, Any]] = ()) -> str:
    """Of an invoice together with what its credit notes left to the customer, which does not change it in Xero."""
    updated = moment(wire["UpdatedDateUTC"]).isoformat(timespec="milliseconds")
    kept = " ".join(sorted(f"{native} {amount}" for native, amount in _kept(wire, notes)))
    return f"{updated}/{hashlib.sha256(kept.encode()).hexdigest()[:16]}" if kept else updated


def credited(wire: dict[str, Any], notes: Sequence[dict[str, Any]]) -> Money:
    """What was taken off it, and what credit notes for it left to the customer: of a paid one, all of them."""
    currency = currency_of(wire)
    applied = money(wire.get("AmountCredited") or 0, currency)
    return applied + total((amount for _, amount in _kept(wire, notes)), currency)


def is_for(note: dict[str, Any], wire: dict[str, Any]) -> bool:
    """Whether it is a credit note that was issued here for this invoice, whose number our Reference begins with."""
    reference, number = note.get("Reference"), wire.get("InvoiceNumber")
    issued = note.get("Type") == "ACCRECCREDIT" and note["Status"] in ("AUTHORISED", "PAID")
    same = contact_of(note) == contact_of(wire) and currency_of(note) == currency_of(wire)
    return issued and same and bool(number) and is_marked(reference) and unmarked(reference) == number


def _kept(wire: dict[str, Any], notes: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Money]]:
    """Of each of these what was not applied to this invoice."""
    currency = currency_of(wire)
    applied = _credits(wire, currency)
    for note in notes:
        native = str(note["CreditNoteID"])
        here = (entry.amount for entry in applied if entry.credit_note_id == ref("credit_note", native))
        if (left := money(note["Total"], currency) - total(here, currency)) > nothing(currency):
            yield native, left


def is_note(line: dict[str, Any]) -> bool:
    """Whether it is only words, as a memo is written on an invoice in Xero: a line without account and amount."""
    return not line.get("AccountCode") and not any(
        decimal(line.get(name) or 0) for name in ("UnitAmount", "LineAmount")
    )


def memo(wire: dict[str, Any]) -> str | None:
    said = [str(line.get("Description") or "") for line in arr(wire.get("LineItems")) if is_note(line)]
    return "\n".join(said) or None


def lines(wire: dict[str, Any]) -> list[InvoiceLine]:
    currency = currency_of(wire)
    return [_line(line, currency, wire) for line in arr(wire.get("LineItems")) if not is_note(line)]


def net_and_tax(line: dict[str, Any], wire: dict[str, Any]) -> tuple[Money, Money]:
    """`LineAmountTypes` says whether a line's amount includes its tax."""
    currency = currency_of(wire)
    amount, tax = money(line.get("LineAmount") or 0, currency), money(line.get("TaxAmount") or 0, currency)
    match wire.get("LineAmountTypes"):
        case "Inclusive":
            return amount - tax, tax
        case "NoTax":
            return amount, nothing(currency)
        case _:
            return amount, tax


def _line(line: dict[str, Any], currency: str, wire: dict[str, Any]) -> InvoiceLine:
    net, tax = net_and_tax(line, wire)
    with_tax = wire.get("LineAmountTypes") == "Inclusive"
    unit = None if with_tax or line.get("UnitAmount") is None else fine(line["UnitAmount"], currency)
    return InvoiceLine(
        line_id=line.get("LineItemID"),
        description=str(line.get("Description") or ""),
        quantity=quantity(line),
        unit_amount=unit,
        amount=net,
        tax=tax,
    )


def quantity(line: dict[str, Any]) -> str:
    text = f"{decimal(1 if line.get('Quantity') is None else line['Quantity']):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def payment_of_invoice(wire: dict[str, Any], currency: str) -> InvoicePayment:
    return InvoicePayment(
        payment_id=ref("payment", wire["PaymentID"]),
        at=midnight(day(wire["Date"])),
        amount=money(wire["Amount"], currency),
        status="succeeded",
    )


def _credits(wire: dict[str, Any], currency: str) -> list[InvoiceCredit]:
    """Credit notes, and what was paid too much or beforehand, as far as it was applied to this invoice."""
    kinds = (("CreditNotes", "CreditNote"), ("Overpayments", "Overpayment"), ("Prepayments", "Prepayment"))
    return [
        InvoiceCredit(
            credit_note_id=ref("credit_note", entry[f"{kind}ID"]),
            number=entry.get("CreditNoteNumber") or None,
            at=day(entry["Date"]),
            amount=money(entry["AppliedAmount"] if "AppliedAmount" in entry else entry["Total"], currency),
        )
        for name, kind in kinds
        for entry in arr(wire.get(name))
    ]


# ------------------------------------------------------------------------------------------------------- contacts


def account(
    wire: dict[str, Any],
    sections: frozenset[AccountSection],
    owed: Sequence[dict[str, Any]],
    credit: Iterable[Money],
    today: date,
) -> Account:
    """`owed` are the contact's open invoices, `credit` what is left of their credit notes and of what they paid too
    much.

    Xero saves no cards, and knows no subscriptions of customers.
    """
    return Account(
        customer_id=ref("contact", wire["ContactID"]),
        name=wire.get("Name") or None,
        email=wire.get("EmailAddress") or None,
        balances=by_currency(due_of(entry) for entry in owed) if "balance" in sections else None,
        overdue=_overdue(owed, today) if "overdue" in sections else None,
        credit=by_currency(credit) if "credit" in sections else None,
        methods=[] if "methods" in sections else None,
        subscriptions=[] if "subscriptions" in sections else None,
        url=f"https://go.xero.com/Contacts/View/{wire['ContactID']}",
    )


def _overdue(owed: Sequence[dict[str, Any]], today: date) -> list[Overdue]:
    late: dict[str, list[tuple[Money, int]]] = {}
    for entry in owed:
        due_at = maybe_day(entry.get("DueDate"))
        if due_at is not None and due_at < today:
            late.setdefault(currency_of(entry), []).append((due_of(entry), (today - due_at).days))
    return [
        Overdue(
            amount=by_currency(amount for amount, _ in entries)[0],
            count=len(entries),
            oldest_days=max(days for _, days in entries),
        )
        for _, entries in sorted(late.items())
    ]


def remaining_credit(wire: dict[str, Any]) -> Money:
    return money(wire.get("RemainingCredit") or 0, currency_of(wire))


def contact_of(wire: dict[str, Any]) -> str:
    return str(obj(wire.get("Contact")).get("ContactID") or "")
