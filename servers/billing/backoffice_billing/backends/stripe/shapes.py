"""What Stripe's objects must be like to be understood: found out while they are read, where the stack can say that the
answer is of no use, rather than in the middle of what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from backoffice_billing.backends.stripe import accountwire, invoicewire, paymentwire
from backoffice_billing.backends.stripe.amounts import money, money_in
from backoffice_billing.backends.stripe.wire import Wire, moment
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import nothing


def sound(kind: str) -> Callable[[Any], Wire]:
    """Takes an object of this kind as it is.

    Raises:
        ValueError, KeyError, TypeError: it is another, or lacks what we need of it.
    """

    def into(wire: Any) -> Wire:
        found = obj(wire)
        if found.get("object") != kind or not isinstance(found.get("id"), str):
            raise ValueError(f"not a {kind}")
        _UNDERSTOOD.get(kind, _nothing)(found)
        return found

    return into


def _invoice(wire: Wire) -> object:
    money(wire["amount_remaining"], wire["currency"])
    money(wire["amount_paid"], wire["currency"])
    lines = arr(obj(wire["lines"])["data"])
    return invoicewire.invoice(wire, date.max, lines=[obj(line) for line in lines])


def _charge(wire: Wire) -> object:
    return paymentwire.row(wire, [])


def _intent(wire: Wire) -> object:
    return paymentwire.row_of(wire, [])


def _credit_note(wire: Wire) -> object:
    return invoicewire.credit(wire), invoicewire.credit_note(wire, nothing(str(wire["currency"]).upper()))


def _invoice_payment(wire: Wire) -> object:
    return wire["invoice"], wire["payment"], invoicewire.payment(wire)


def _dispute(wire: Wire) -> object:
    return paymentwire.dispute(wire)


def _transaction(wire: Wire) -> object:
    return moment(wire["created"]), [money_in(wire, field) for field in ("amount", "fee", "net")]


def _product(wire: Wire) -> object:
    return wire["name"]


def _subscription(wire: Wire) -> object:
    return accountwire.subscription(wire, {})


def _method(wire: Wire) -> object:
    return accountwire.method(wire, None)


def _customer(wire: Wire) -> object:
    return None if wire.get("deleted") else accountwire.credit(wire)


def _nothing(_wire: Wire) -> object:
    return None


_UNDERSTOOD: dict[str, Callable[[Wire], object]] = {
    "balance_transaction": _transaction,
    "charge": _charge,
    "credit_note": _credit_note,
    "customer": _customer,
    "dispute": _dispute,
    "invoice": _invoice,
    "invoice_payment": _invoice_payment,
    "line_item": invoicewire.line,
    "payment_intent": _intent,
    "payment_method": _method,
    "product": _product,
    "refund": paymentwire.refund,
    "subscription": _subscription,
}
