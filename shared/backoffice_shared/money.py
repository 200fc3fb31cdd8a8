"""Money is an integer of minor units and an ISO 4217 currency. A float never touches it.

What cannot be said exactly is refused, but in two places, whose rule is written there: a part of a whole (`share`), as tax
and discounts are, is rounded half away from zero; a whole that is divided (`split`) comes out to the last minor unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

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

    amount: StrictInt
    currency: Currency

    def __add__(self, other: Money) -> Money:
        """
        Raises:
            ValueError: the currencies differ. So for all that follow.
        """
        return Money(amount=self.amount + self._same(other), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(amount=self.amount - self._same(other), currency=self.currency)

    def __neg__(self) -> Money:
        return Money(amount=-self.amount, currency=self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.amount >= self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        """As people read it: "19.99 USD"."""
        return f"{to_decimal(self)} {self.currency}"

    def times(self, quantity: int) -> Money:
        return Money(amount=self.amount * quantity, currency=self.currency)

    def share(self, part: int, whole: int) -> Money:
        """`part` of `whole` of it, rounded half away from zero: 19 % of 0.50 EUR are 0.10 EUR.

        Raises:
            ValueError: `whole` is not positive.
        """
        if whole <= 0:
            raise ValueError("a whole is more than nothing")
        product = self.amount * part
        rounded = (2 * abs(product) + whole) // (2 * whole)
        return Money(amount=rounded if product >= 0 else -rounded, currency=self.currency)

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Divided in proportion to `weights`, so that the parts add up to it. What is left over when each part is rounded
        down goes, a minor unit each, to those who lost most by that; the first of equals first.

        Raises:
            ValueError: a weight is negative, or all are 0.
        """
        whole = sum(weights)
        if whole <= 0 or any(weight < 0 for weight in weights):
            raise ValueError("weights are not negative, and not all 0")
        sign, amount = (1 if self.amount >= 0 else -1), abs(self.amount)
        parts = [amount * weight // whole for weight in weights]
        lost = sorted(range(len(parts)), key=lambda n: (-(amount * weights[n] % whole), n))
        for n in lost[: amount - sum(parts)]:
            parts[n] += 1
        return [Money(amount=sign * part, currency=self.currency) for part in parts]

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} are not one kind of money")
        return other.amount


def nothing(currency: str) -> Money:
    return Money(amount=0, currency=currency)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Their sum.

    Raises:
        ValueError: one of them is in another currency.
    """
    return sum(amounts, nothing(currency))


def by_currency(amounts: Iterable[Money]) -> list[Money]:
    """One sum for each currency, in alphabetical order."""
    sums: dict[str, int] = {}
    for money in amounts:
        sums[money.currency] = sums.get(money.currency, 0) + money.amount
    return [Money(amount=sums[currency], currency=currency) for currency in sorted(sums)]


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
