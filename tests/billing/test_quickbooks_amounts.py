"""Decimals on the wire are exact, in currencies of no, two and three decimals; what would be rounded is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.quickbooks_realm import answering

from backoffice_billing.backends.quickbooks.amounts import decimal, money, number, quantity
from backoffice_shared.errors import InvalidInput, MalformedAnswer
from backoffice_shared.jsonvalues import parse
from backoffice_shared.money import Money

CURRENCIES = ("JPY", "USD", "KWD")


@given(st.integers(-(10**14), 10**14), st.sampled_from(CURRENCIES))
def test_an_amount_is_the_same_after_a_journey_through_json(amount: int, currency: str) -> None:
    sent = Money(amount=amount, currency=currency)
    assert money(parse(json.dumps({"n": number(sent)}).encode())["n"], currency) == sent


@pytest.mark.parametrize(
    ("wire", "currency", "minor"),
    [(12.5, "USD", 1250), (0.1, "USD", 10), (1500, "JPY", 1500), (1500.0, "JPY", 1500), (1.234, "KWD", 1234)],
)
def test_numbers_are_read_as_they_are_written(wire: object, currency: str, minor: int) -> None:
    assert money(wire, currency) == Money(amount=minor, currency=currency)


def test_reports_write_amounts_as_text() -> None:
    assert money("-37.50", "USD") == Money(amount=-3750, currency="USD")


@pytest.mark.parametrize("wire", [12.345, "12.345", 0.001])
def test_less_than_a_cent_is_not_guessed_at(wire: object) -> None:
    with pytest.raises(ValueError, match="finer"):
        money(wire, "USD")


@pytest.mark.parametrize("wire", [True, None, [], {}, "twelve", "NaN", "1e999999", float("inf")])
def test_what_is_no_number_is_none(wire: object) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        money(wire, "USD")


def test_more_digits_than_a_double_keeps_are_refused_both_ways() -> None:
    with pytest.raises(InvalidInput, match="without rounding"):
        number(Money(amount=90_071_992_547_409_93, currency="USD"))
    with pytest.raises(ValueError, match="double"):
        decimal(parse(b"100000000000000.01"))


def test_a_whole_number_of_any_size_that_a_double_keeps_is_sent_whole() -> None:
    assert number(Money(amount=2**53 - 1, currency="JPY")) == 9007199254740991
    assert number(Money(amount=100, currency="USD")) == 1


@pytest.mark.parametrize(("wire", "said"), [(1, "1"), (2.50, "2.5"), (100, "100"), (0.125, "0.125")])
def test_quantities_are_written_without_trailing_zeros(wire: object, said: str) -> None:
    assert quantity(wire) == said


INVOICE: dict[str, Any] = {
    "Id": "7",
    "SyncToken": "3",
    "MetaData": {"CreateTime": "2026-11-01T08:00:00-08:00", "LastUpdatedTime": "2026-11-02T08:00:00-08:00"},
    "CustomerRef": {"value": "2"},
    "TxnDate": "2026-11-01",
    "TotalAmt": 10,
    "Balance": 10,
    "Line": [{"Amount": 10, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {}}],
}


MISSHAPEN: list[Any] = [
    None,
    [],
    {},
    {"Invoice": None},
    {"Invoice": {**INVOICE, "TotalAmt": "much"}},
    {"Invoice": {**INVOICE, "TotalAmt": 0.001}},
    {"Invoice": {**INVOICE, "TotalAmt": True}},
    {"Invoice": {**INVOICE, "TxnDate": "yesterday"}},
    {"Invoice": {**INVOICE, "CustomerRef": None}},
    {"Invoice": {**INVOICE, "Line": 7}},
    {"Invoice": {**INVOICE, "Line": [{"Amount": 1}]}},
    {"Invoice": {**INVOICE, "MetaData": {}}},
    {"Invoice": {**INVOICE, "CurrencyRef": {"value": "dollars"}}},
    {"Invoice": {**INVOICE, "LinkedTxn": [{}]}},
]


@pytest.mark.anyio
@pytest.mark.parametrize("misshapen", MISSHAPEN)
async def test_an_invoice_of_another_shape_is_not_guessed_at(misshapen: object) -> None:
    with pytest.raises(MalformedAnswer):
        await answering(misshapen).invoice("7")


@pytest.mark.anyio
async def test_an_invoice_of_this_shape_is_read() -> None:
    got = await answering({"Invoice": INVOICE}).invoice("7")
    assert (got.invoice_id, got.total, got.due, got.version) == (
        "quickbooks:invoice:7",
        Money(amount=1000, currency="USD"),
        Money(amount=1000, currency="USD"),
        "3",
    )


UNSET: list[Any] = [{}, {"Preferences": []}, {"Preferences": [{"CurrencyPrefs": {}}]}, []]


@pytest.mark.anyio
@pytest.mark.parametrize("settings", UNSET)
async def test_without_knowing_the_companys_currency_no_amount_is_read(settings: object) -> None:
    with pytest.raises(MalformedAnswer):
        await answering({"Invoice": INVOICE}, settings=settings).invoice("7")
