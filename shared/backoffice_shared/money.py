"""Money is an integer of minor units and an ISO 4217 currency. A float never touches it."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# ISO 4217, list one: the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}

_EXACT = Context(prec=100, traps=[InvalidOperation, Inexact])

Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class Money(BaseModel):
    """`amount` in minor units: 1999 USD is 19.99 dollars, 1999 JPY is 1,999 yen."""

    model_config = ConfigDict(frozen=True)

    amount: int
    currency: Currency


def exponent(currency: str) -> int:
    """Digits after the decimal point: 2 for EUR, 0 for JPY, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def from_decimal(amount: str | Decimal, currency: str) -> Money:
    """What a vendor writes as "19.99" in our words.

    Raises:
        ValueError: `amount` is no number, or is finer than the currency's minor unit.
    """
    try:
        minor = _EXACT.scaleb(_EXACT.create_decimal(amount), exponent(currency))
    except (InvalidOperation, Inexact):
        raise ValueError(f"not an amount of money: {amount!r}") from None
    if not minor.is_finite():
        raise ValueError(f"not an amount of money: {amount!r}")
    if minor != minor.to_integral_value():
        raise ValueError(f"{amount} {currency} is finer than the currency's minor unit")
    return Money(amount=int(minor), currency=currency)


def to_decimal(money: Money) -> str:
    """19.99 for 1999 USD: what vendors who write decimals want to read."""
    return f"{_EXACT.scaleb(Decimal(money.amount), -exponent(money.currency)):f}"
