"""Whether an answer has the shape in which it is read here. It is looked at as it comes in, before anything is
decided or written because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.amounts import day, decimal, money
from backoffice_billing.models import InvoiceSection
from backoffice_shared.jsonvalues import arr

Wire = dict[str, Any]

_ANY_DAY = date(2000, 1, 1)
_ALL: frozenset[InvoiceSection] = frozenset({"lines", "payments", "credit_notes"})


def check(kind: str, wire: Wire, *, summary: bool = False) -> Wire:
    """`wire`, when it can be read. `summary`: as a list gives it that leaves out what takes long.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it cannot.
    """
    if summary and kind == "Invoices":
        into.row(wire, _ANY_DAY)
    elif kind in _CHECKS:
        _CHECKS[kind](wire)
    return wire


def _invoice(wire: Wire) -> None:
    into.invoice(wire, _ANY_DAY, _ALL)
    decimal(wire.get("CurrencyRate") or 1)


def _credit_note(wire: Wire) -> None:
    currency = into.currency_of(wire)
    _text(wire["CreditNoteID"], wire["Status"])
    money(wire["Total"], currency)
    into.remaining_credit(wire)
    into.lines(wire)
    into.version(wire)
    day(wire["Date"])
    for payment in arr(wire.get("Payments")):
        into.payment_of_invoice(payment, currency)
    for allocation in arr(wire.get("Allocations")):
        _text(allocation["Invoice"]["InvoiceID"])


def _payment(wire: Wire) -> None:
    _text(wire["PaymentID"], wire["PaymentType"], wire["Status"], wire["Invoice"]["InvoiceID"])
    money(wire["Amount"], into.currency_of(wire["Invoice"]))
    day(wire["Date"])


def _contact(wire: Wire) -> None:
    _text(wire["ContactID"], wire.get("Name") or "", wire.get("EmailAddress") or "")


def _unused(wire: Wire) -> None:
    into.remaining_credit(wire)


def _tax_rate(wire: Wire) -> None:
    _text(wire["TaxType"])
    decimal(wire.get("EffectiveRate") or 0)


def _organisation(wire: Wire) -> None:
    money(0, wire["BaseCurrency"])


def _text(*values: object) -> None:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("not a text")


_CHECKS: Mapping[str, Callable[[Wire], None]] = {
    "Invoices": _invoice,
    "CreditNotes": _credit_note,
    "Payments": _payment,
    "Contacts": _contact,
    "Overpayments": _unused,
    "Prepayments": _unused,
    "TaxRates": _tax_rate,
    "Organisations": _organisation,
}
