"""Xero's numbers and dates in our words, and back.

Amounts are JSON numbers with a decimal point, which the parser gives as binary fractions. The shortest text of such a
fraction is the decimal that Xero wrote, as long as it has no more than 2^52 minor units: beyond that neighbouring
amounts become one, and are refused.

Dates are `/Date(1518685950940+0000)/`: milliseconds since 1970, UTC, as in every example of Xero's OpenAPI file.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money, from_decimal, to_decimal

LARGEST = 2**52
"""Minor units. 45 thousand billion in a currency with cents."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")


def decimal(value: object) -> Decimal:
    """
    Raises:
        ValueError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"not a number: {value!r}")
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"not a number: {value!r}")
    return number


def money(value: object, currency: str) -> Money:
    """
    Raises:
        ValueError: it is no amount of this currency, is finer than its minor unit, or too large to be exact.
    """
    amount = from_decimal(decimal(value), currency)
    if abs(amount.amount) > LARGEST:
        raise ValueError(f"{value!r} is too large to be read exactly")
    return amount


def fine(value: object, currency: str) -> Money | None:
    """A price of one unit, which may be finer than the currency's minor unit: then None."""
    number = decimal(value)
    exact = Decimal(to_decimal(rounded := Money(amount=_minor(number, currency), currency=currency)))
    return rounded if exact == number else None


def _minor(number: Decimal, currency: str) -> int:
    one = Decimal(to_decimal(Money(amount=1, currency=currency)))
    return int((number / one).to_integral_value())


def number(amount: Money) -> int | float:
    """As JSON carries it, to the last minor unit.

    Raises:
        InvalidInput: it is too large for that.
    """
    if abs(amount.amount) > LARGEST:
        raise InvalidInput("Xero", f"{amount} is too large")
    text = to_decimal(amount)
    whole = Decimal(text)
    return int(whole) if whole == whole.to_integral_value() else float(text)


def moment(text: object) -> datetime:
    """
    Raises:
        ValueError: it is none.
    """
    written = _WRITTEN.fullmatch(str(text))
    if written is None:
        raise ValueError(f"not a date: {str(text)[:40]!r}")
    return _EPOCH + timedelta(milliseconds=int(written[1]))


def day(text: object) -> date:
    return moment(text).date()


def maybe_day(text: object) -> date | None:
    return None if text in (None, "") else day(text)


def midnight(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)
