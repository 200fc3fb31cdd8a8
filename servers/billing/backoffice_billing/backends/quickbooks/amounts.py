"""Decimals on QuickBooks' wire, which are JSON numbers: 12.5, 1500, "37.50" in reports.

A JSON number passes through a double, which keeps 15 significant digits and not always more. What has more is refused
on both ways rather than rounded.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money, from_decimal, to_decimal

_DIGITS = 15


def decimal(value: object) -> Decimal:
    """
    Raises:
        ValueError: it is no number, or has more digits than a double keeps.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise ValueError("not a number")
    if not isinstance(value, str) and len(exact.normalize().as_tuple().digits) > _DIGITS:
        raise ValueError("more digits than a double keeps")
    return exact


def money(value: object, currency: str) -> Money:
    """
    Raises:
        ValueError: it is no amount of this currency.
    """
    return from_decimal(decimal(value), currency)


def number(amount: Money) -> int | float:
    """As QuickBooks wants to read it: 12.5 for 1250 USD, 1500 for 1500 JPY.

    Raises:
        InvalidInput: it has more digits than arrive.
    """
    exact = Decimal(to_decimal(amount))
    if exact == exact.to_integral_value() and abs(exact) < 2**53:
        return int(exact)
    if len(exact.normalize().as_tuple().digits) > _DIGITS:
        raise InvalidInput("QuickBooks", f"{amount} is more than can be sent without rounding")
    return float(exact)


def quantity(value: object) -> str:
    """ "1", "2.5"."""
    return f"{decimal(value).normalize():f}"


def reference(wire: Any) -> str | None:
    """The `value` of a reference, which QuickBooks leaves out when there is none."""
    return str(wire["value"]) if wire else None
