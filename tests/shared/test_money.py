"""Money is an integer of minor units. A float never touches it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from backoffice_shared.money import Money, by_currency, exponent, from_decimal, nothing, to_decimal, total

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


@given(amount=st.integers(-(10**12), 10**12), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_what_is_split_adds_up_to_it_and_nobody_is_off_by_more_than_a_minor_unit(amount: int, weights: list[int]):
    assume(sum(weights) > 0)
    parts = Money(amount=amount, currency="EUR").split(weights)
    assert sum(part.amount for part in parts) == amount
    assert all(
        abs(part.amount * sum(weights) - amount * weight) < sum(weights)
        for part, weight in zip(parts, weights, strict=True)
    )
    assert all(part.amount == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


def test_what_is_left_over_goes_to_those_who_lost_most_and_to_the_first_of_equals():
    assert [part.amount for part in Money(amount=100, currency="USD").split([1, 1, 1])] == [34, 33, 33]
    assert [part.amount for part in Money(amount=-100, currency="USD").split([1, 1, 1])] == [-34, -33, -33]
    assert [part.amount for part in Money(amount=10, currency="JPY").split([1, 2, 4])] == [1, 3, 6]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 5]])
def test_nothing_is_split_by_weights_that_are_none(weights: list[int]):
    with pytest.raises(ValueError, match="weights are not negative, and not all 0"):
        Money(amount=1, currency="USD").split(weights)


@given(amount=st.integers(-(10**12), 10**12), part=st.integers(-(10**5), 10**5), whole=st.integers(1, 10**5))
def test_a_share_is_rounded_half_away_from_zero(amount: int, part: int, whole: int):
    exact = Decimal(amount) * part / whole
    assert Money(amount=amount, currency="KWD").share(part, whole).amount == exact.to_integral_value(ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("amount", "rate", "tax"), [(50, 1900, 10), (-50, 1900, -10), (5, 1000, 1), (4, 1000, 0), (1999, 825, 165)]
)
def test_tax_is_such_a_share(amount: int, rate: int, tax: int):
    assert Money(amount=amount, currency="EUR").share(rate, 10_000).amount == tax


def test_a_part_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a whole is more than nothing"):
        Money(amount=1, currency="EUR").share(1, 0)


@given(left=st.integers(), right=st.integers(), currency=CURRENCIES)
def test_one_currency_is_reckoned_with_as_integers_are(left: int, right: int, currency: str):
    one, other = Money(amount=left, currency=currency), Money(amount=right, currency=currency)
    assert (one + other).amount == left + right
    assert (one - other).amount == left - right
    assert (-one).amount == -left
    assert (one < other, one <= other, one > other, one >= other, one == other) == (
        left < right,
        left <= right,
        left > right,
        left >= right,
        left == right,
    )
    assert bool(one) is (left != 0)
    assert one.times(3).amount == 3 * left


@pytest.mark.parametrize("reckon", [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge])
def test_two_currencies_are_never_reckoned_with(reckon: Callable[[Money, Money], object]):
    with pytest.raises(ValueError, match="EUR and USD are not one kind of money"):
        reckon(Money(amount=1, currency="EUR"), Money(amount=1, currency="USD"))


def test_a_sum_is_of_one_currency_also_when_it_is_of_nothing():
    assert total([], "JPY") == nothing("JPY") == Money(amount=0, currency="JPY")
    assert total([Money(amount=1, currency="JPY"), Money(amount=2, currency="JPY")], "JPY").amount == 3
    with pytest.raises(ValueError, match="not one kind of money"):
        total([Money(amount=1, currency="JPY")], "EUR")


@given(st.lists(st.tuples(st.integers(), CURRENCIES)))
def test_sums_by_currency_lose_nothing(amounts: list[tuple[int, str]]):
    sums = {money.currency: money.amount for money in by_currency(Money(amount=a, currency=c) for a, c in amounts)}
    assert list(sums) == sorted({currency for _, currency in amounts})
    assert all(sums[currency] == sum(a for a, c in amounts if c == currency) for currency in sums)


@pytest.mark.parametrize("amount", [1.0, 19.99, "19", True, None, Decimal(1)])
def test_an_amount_is_an_integer_and_nothing_else(amount: object):
    with pytest.raises(ValidationError):
        Money(amount=amount, currency="EUR")  # pyright: ignore[reportArgumentType] - that is what is tested


@pytest.mark.parametrize(
    ("amount", "currency", "said"), [(1999, "USD", "19.99 USD"), (-5, "KWD", "-0.005 KWD"), (1999, "JPY", "1999 JPY")]
)
def test_people_read_it_with_its_currency(amount: int, currency: str, said: str):
    assert str(Money(amount=amount, currency=currency)) == said
