"""Numbers, days and conditions as Xero writes them, in our words and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.xero_org import HOSTILE, KEY, NOWHERE, OTHER_KEY

from backoffice_billing.backends.xero.amounts import LARGEST, day, decimal, fine, moment, money, number
from backoffice_billing.backends.xero.taxing import Taxing
from backoffice_billing.backends.xero.translation import is_marked, mark, marked, unmarked
from backoffice_billing.backends.xero.where import every, id_is, is_id, is_plain, on, word
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import parse
from backoffice_shared.money import Money

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD", "CLF"])


@given(st.integers(-LARGEST, LARGEST), CURRENCIES)
def test_an_amount_survives_json_to_the_last_minor_unit(minor: int, currency: str) -> None:
    amount = Money(amount=minor, currency=currency)
    assert money(parse(json.dumps(number(amount)).encode()), currency) == amount


@pytest.mark.parametrize(
    ("wire", "currency", "minor"),
    [
        (12.5, "EUR", 1250),
        (12, "EUR", 1200),
        ("12.50", "EUR", 1250),
        (0.1, "KWD", 100),
        (1500.0, "JPY", 1500),
        (-3.2, "EUR", -320),
    ],
)
def test_an_amount_is_read_as_xero_wrote_it(wire: object, currency: str, minor: int) -> None:
    assert money(wire, currency) == Money(amount=minor, currency=currency)


@pytest.mark.parametrize(
    ("wire", "currency"),
    [
        (12.505, "EUR"),
        (0.5, "JPY"),
        (True, "EUR"),
        (None, "EUR"),
        ("", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ([], "EUR"),
        ({}, "EUR"),
        (2**53, "EUR"),
        (1e300, "EUR"),
        ("1e999999999", "EUR"),
        (float(LARGEST + 1), "JPY"),
    ],
)
def test_what_is_no_exact_amount_is_refused(wire: object, currency: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        money(wire, currency)


def test_an_amount_that_json_cannot_carry_is_not_sent() -> None:
    assert number(Money(amount=LARGEST, currency="JPY")) == LARGEST
    with pytest.raises(InvalidInput, match="too large"):
        number(Money(amount=LARGEST + 1, currency="JPY"))


@pytest.mark.parametrize(("wire", "expected"), [(3.3333, None), (3.33, 333), (3, 300), ("0", 0), (-1.5, -150)])
def test_a_price_finer_than_the_minor_unit_is_none(wire: object, expected: int | None) -> None:
    assert fine(wire, "EUR") == (None if expected is None else Money(amount=expected, currency="EUR"))


@pytest.mark.parametrize(
    ("wire", "at"),
    [
        ("/Date(1518685950940+0000)/", datetime(2018, 2, 15, 9, 12, 30, 940_000, UTC)),
        ("/Date(1518685950940)/", datetime(2018, 2, 15, 9, 12, 30, 940_000, UTC)),
        ("/Date(1518685950940+1300)/", datetime(2018, 2, 15, 9, 12, 30, 940_000, UTC)),
        ("/Date(-86400000+0000)/", datetime(1969, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_date_is_milliseconds_in_utc(wire: str, at: datetime) -> None:
    assert (moment(wire), day(wire)) == (at, at.date())


@pytest.mark.parametrize("wire", ["", None, "2026-11-22", "/Date()/", "/Date(1.5)/", "/Date(1)/x", 7, "/Date(٣)/x"])
def test_what_is_no_date_is_refused(wire: object) -> None:
    with pytest.raises(ValueError, match="not a date"):
        moment(wire)


@pytest.mark.parametrize("wire", [True, None, [], {}, "", "x", "nan", "-Infinity"])
def test_what_is_no_number_is_refused(wire: object) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        decimal(wire)


# -------------------------------------------------------------------------------------------------- conditions


def test_conditions_are_of_ids_days_and_words_of_xeros() -> None:
    asked = [word("Type", "ACCREC"), id_is("Contact.ContactID", NOWHERE), on("Date", ">=", date(2026, 1, 2))]
    assert every(asked) == f'Type=="ACCREC" AND Contact.ContactID==guid("{NOWHERE}") AND Date>=DateTime(2026,01,02)'


@given(st.text())
def test_no_text_can_become_part_of_a_condition(text: str) -> None:
    for make in (word, id_is):
        try:
            made = make("Field", text)
        except ValueError:
            continue
        assert made.count('"') == 2
        assert text.replace("-", "").isalnum()
        assert text.isascii()


@pytest.mark.parametrize(
    "text", [HOSTILE, '" OR 1==1', "\\", "a b", "ACCREC\n", "", NOWHERE + '"', "é", NOWHERE + "\n"]
)
def test_hostile_text_is_neither_a_word_nor_an_id(text: str) -> None:
    assert not is_id(text)
    for make in (word, id_is):
        with pytest.raises(ValueError, match="not "):
            make("Field", text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("NW-1042", True), ("#7/a.b", True), ("a,b", False), (" a", False), ("", False), ('"', False), ("a\n", False)],
)
def test_a_list_with_commas_is_of_what_has_none(text: str, plain: bool) -> None:
    assert is_plain(text) is plain


# -------------------------------------------------------------------------------------------------- marks and tax


@pytest.mark.parametrize("text", [None, "PO 77", "bo-", "PO bo-0123456789abcdef of last year", "7 " * 100 + "8"])
def test_a_mark_is_seen_and_taken_off_again(text: str | None) -> None:
    assert unmarked(marked(text, KEY)) == text
    assert marked(text, KEY).endswith(mark(KEY))
    assert is_marked(marked(text, KEY))
    assert not is_marked(text)
    assert mark(KEY) != mark(OTHER_KEY)


@pytest.mark.parametrize(
    ("rate", "minor", "tax"),
    [
        ("20", 50, 10),
        ("19", 50, 10),
        ("7.7", 1_000, 77),
        ("8.1250", 100, 8),
        ("0", 99, 0),
        ("20", 3, 1),
        ("100", 7, 7),
        ("20", -50, -10),
    ],
)
def test_tax_is_rounded_to_the_minor_unit(rate: str, minor: int, tax: int) -> None:
    taxes = Taxing({"T": Decimal(rate)}, "T")
    assert taxes.of(Money(amount=minor, currency="EUR"), "T") == Money(amount=tax, currency="EUR")


def test_json_has_no_other_numbers_than_these() -> None:
    wire: Any = parse(b'{"a": 12.50, "b": 3, "c": 1e2}')
    assert [str(money(wire[name], "EUR")) for name in "abc"] == ["12.50 EUR", "3.00 EUR", "100.00 EUR"]
