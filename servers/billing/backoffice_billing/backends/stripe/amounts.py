"""Stripe's integers of money, and ours.

Stripe's minor units are those of ISO 4217 but for these, by https://docs.stripe.com/currencies: Malagasy ariary are
whole; Icelandic krónur and Ugandan shillings, which have no minor unit, are written with two decimals that are 0; and
amounts of the currencies with three decimals end in 0.
"""

from __future__ import annotations

from backoffice_billing.backends.stripe.wire import Wire
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money, exponent

TWO_FALSE_DECIMALS = frozenset({"ISK", "UGX"})
THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_WHOLE = frozenset({"MGA"})
_LARGEST = 2**53


def money(amount: object, currency: object) -> Money:
    """
    Raises:
        ValueError: it is no integer, beyond what JSON carries exactly, or finer than the currency's minor unit.
    """
    if not isinstance(amount, int) or isinstance(amount, bool) or abs(amount) > _LARGEST:
        raise ValueError(f"not an amount of Stripe's: {amount!r}")
    code = str(currency).upper()
    more = _more_decimals(code)
    if more < 0:
        return Money(amount=amount * 10**-more, currency=code)
    whole, rest = divmod(amount, 10**more)
    if rest:
        raise ValueError(f"{amount} {code} is finer than the currency's minor unit")
    return Money(amount=whole, currency=code)


def money_in(wire: Wire, field: str, currency: object = None) -> Money:
    """The amount in this field, 0 where it is null, in the currency of the object unless another is given."""
    return money(wire[field] or 0, currency or wire["currency"])


def wired(amount: Money) -> str:
    """As Stripe wants to read it.

    Raises:
        InvalidInput: Stripe cannot carry it exactly.
    """
    more = _more_decimals(amount.currency)
    whole, rest = (amount.amount * 10**more, 0) if more >= 0 else divmod(amount.amount, 10**-more)
    if rest:
        raise InvalidInput("Stripe", f"{amount}: Stripe takes whole {amount.currency} only")
    if amount.currency in THREE_DECIMALS and whole % 10:
        raise InvalidInput("Stripe", f"{amount}: Stripe takes {amount.currency} with a last digit of 0 only")
    if abs(whole) > _LARGEST:
        raise InvalidInput("Stripe", f"{amount}: that is more than Stripe can be told")
    return str(whole)


def _more_decimals(currency: str) -> int:
    """How many more decimals Stripe writes than ISO 4217 has."""
    if currency in TWO_FALSE_DECIMALS:
        return 2 - exponent(currency)
    return -exponent(currency) if currency in _WHOLE else 0
