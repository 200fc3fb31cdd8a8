"""Stripe's customers, methods and subscriptions in our words.

Source: the typed source of `stripe` 16.1 (`_customer.py`, `_payment_method.py`, `_subscription.py`)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from backoffice_billing.backends.stripe.amounts import money
from backoffice_billing.backends.stripe.wire import Wire, day, id_in, rows_in
from backoffice_billing.models import Method, Overdue, Subscription
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import Money, by_currency


def methods(found: list[Wire], customer: Wire) -> list[Method]:
    """The default one first: that of invoices, else the older default of the customer."""
    default = id_in(obj(customer.get("invoice_settings")).get("default_payment_method")) or id_in(
        customer.get("default_source")
    )
    return sorted((method(each, default) for each in found), key=lambda method: not method.is_default)


def method(wire: Wire, default: str | None) -> Method:
    kind = str(wire["type"])
    details = obj(wire.get(kind))
    year, month = details.get("exp_year"), details.get("exp_month")
    return Method(
        method_id=f"stripe:method:{wire['id']}",
        kind=kind,
        brand=details.get("brand") or details.get("bank_name"),
        last4=details.get("last4"),
        exp=f"{year:04d}-{month:02d}" if year and month else None,
        is_default=wire["id"] == default,
    )


def owed(invoices: list[Wire]) -> list[Money]:
    return by_currency(money(each["amount_remaining"], each["currency"]) for each in invoices)


def overdue(invoices: list[Wire], today: date) -> list[Overdue]:
    late = [each for each in invoices if each.get("due_date") and day(each["due_date"]) < today]
    return [
        Overdue(amount=amount, count=len(mine), oldest_days=max((today - day(each["due_date"])).days for each in mine))
        for amount in owed(late)
        if (mine := [each for each in late if str(each["currency"]).upper() == amount.currency])
    ]


def credit(wire: Wire) -> list[Money]:
    """What Stripe will take off the next invoices: by currency where it says so, else in the customer's own, in which a
    credit is negative."""
    by_code = obj(wire.get("invoice_credit_balance"))
    if not by_code and wire.get("balance") and wire.get("currency"):
        by_code = {str(wire["currency"]): -wire["balance"]}
    return by_currency(money(amount, code) for code, amount in by_code.items() if amount > 0)


def subscription(wire: Wire, names: Mapping[str, str]) -> Subscription:
    items = rows_in(wire.get("items"))
    prices = [obj(item.get("price")) for item in items]
    plans = [str(price.get("nickname") or names.get(str(price.get("product"))) or price["id"]) for price in prices]
    ends = [item["current_period_end"] for item in items if item.get("current_period_end")]
    return Subscription(
        subscription_id=f"stripe:subscription:{wire['id']}",
        plan=", ".join(plans),
        status=str(wire["status"]),
        amount=_price_of(items),
        renews_at=None if not ends or wire.get("cancel_at_period_end") else day(min(ends)),
    )


def _price_of(items: list[Wire]) -> Money | None:
    """For a period; None where it is counted, or in steps."""
    amounts: list[Money] = []
    for item in items:
        price = obj(item.get("price"))
        if price.get("unit_amount") is None:
            return None
        amounts.append(money(price["unit_amount"], price["currency"]).times(int(item.get("quantity") or 1)))
    return by_currency(amounts)[0] if len({amount.currency for amount in amounts}) == 1 else None
