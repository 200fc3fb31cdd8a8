"""Money is an integer of minor units. A float never touches it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backoffice_shared.money import Money, exponent, from_decimal, to_decimal

CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KRW", "KWD", "TND", "CLF", "UYW"])


@given(amount=st.integers(-(10**18), 10**18), currency=CURRENCIES)
def test_money_survives_the_way_to_a_vendor_and_back(amount: int, currency: str) -> None:
    money = Money(amount=amount, currency=currency)
    assert from_decimal(to_decimal(money), currency) == money


@pytest.mark.parametrize("currency", ["USD", "KWD"])
def test_money_of_any_size_survives_the_way_to_a_vendor_and_back(currency: str) -> None:
    money = Money(amount=10**30 + 1, currency=currency)
    assert from_decimal(to_decimal(money), currency) == money


@given(amount=st.integers(-(10**9), 10**9), currency=CURRENCIES)
def test_vendors_read_as_many_digits_as_the_currency_has(amount: int, currency: str) -> None:
    digits = to_decimal(Money(amount=amount, currency=currency)).partition(".")[2]
    assert len(digits) == exponent(currency)


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("19.99", "USD", 1999),
        ("19.9", "USD", 1990),
        ("-0.01", "EUR", -1),
        ("1999", "JPY", 1999),
        ("1999.00", "JPY", 1999),
        ("1.234", "KWD", 1234),
        ("1.2340", "KWD", 1234),
        (Decimal("19.99"), "USD", 1999),
        ("0", "USD", 0),
    ],
)
def test_what_vendors_write_is_counted_in_minor_units(text: str | Decimal, currency: str, amount: int) -> None:
    assert from_decimal(text, currency) == Money(amount=amount, currency=currency)


@pytest.mark.parametrize(
    ("text", "currency"), [("19.999", "USD"), ("0.5", "JPY"), ("1.2345", "KWD"), ("NaN", "USD"), ("sNaN", "USD")]
)
def test_what_is_finer_than_the_minor_unit_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"finer|not an amount"):
        from_decimal(text, currency)


@pytest.mark.parametrize("text", ["", "twelve", "19,99", "$5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount of money"):
        from_decimal(text, "USD")


@pytest.mark.parametrize("text", ["Infinity", "-Infinity", "1.0000000000000000000000000000001"])
def test_what_cannot_be_counted_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"finer|not an amount"):
        from_decimal(text, "USD")


@pytest.mark.parametrize("currency", ["usd", "US", "DOLLAR", ""])
def test_a_currency_is_three_capitals(currency: str) -> None:
    with pytest.raises(ValidationError):
        Money(amount=1, currency=currency)
