"""Payments of customers in Xero, to read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.billing.xero_org import (
    HOSTILE,
    KEY,
    NOWHERE,
    OTHER_KEY,
    TODAY,
    Desk,
    answering,
    desk,
    entry,
    eur,
    native,
)

from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id, payment_id
from backoffice_billing.models import PaymentRow, PaymentStatus
from backoffice_billing.ports import PaymentQuery
from backoffice_shared.errors import MalformedAnswer, NotFound
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


async def every_row(here: Desk, query: PaymentQuery, limit: int = 50) -> list[PaymentRow]:
    rows: list[PaymentRow] = []
    cursor: str | None = None
    while True:
        chunk = await here.xero.search_payments(query, cursor, limit)
        rows += chunk.items
        if (cursor := chunk.next) is None:
            return rows


async def test_all_that_was_received_comes_latest_first_each_once(here: Desk) -> None:
    rows = await every_row(here, PaymentQuery(), limit=7)
    known = [p for p in here.org.payments.values() if not here.org.documents[p.document].is_credit]
    assert sorted(native(row.payment_id) for row in rows) == sorted(payment.id for payment in known)
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)


async def test_a_row_says_what_was_paid_by_whom_and_for_what(here: Desk) -> None:
    fact = here.facts("paid")[0]
    paid = next(p for p in here.company.books.payments_for[fact.number] if not p.failed)
    [row] = await every_row(here, PaymentQuery(invoice=invoice_id(fact.number)))
    assert row == PaymentRow(
        payment_id=f"xero:payment:{payment_id(paid.number)}",
        at=paid.at.replace(hour=0, minute=0, second=0, microsecond=0),
        amount=eur(paid.amount),
        refunded=eur(0),
        status="succeeded",
        customer_id=f"xero:contact:{contact_id(fact.person)}",
        invoice_id=f"xero:invoice:{invoice_id(fact.number)}",
        native_status="AUTHORISED",
    )


async def test_a_customers_payments_are_theirs_page_by_page(here: Desk) -> None:
    everything = await every_row(here, PaymentQuery())
    for customers in ((contact_id(2),), (contact_id(2), contact_id(6), "cus_1"), (), ("cus_1", HOSTILE)):
        mine = {f"xero:contact:{customer}" for customer in customers}
        rows = await every_row(here, PaymentQuery(customers=customers), limit=3)
        expected = [row for row in everything if row.customer_id in mine]
        assert sorted(rows, key=lambda row: row.payment_id) == sorted(expected, key=lambda row: row.payment_id)
        assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)


async def test_what_was_given_back_is_told_from_the_credit_notes_that_name_the_invoice(here: Desk) -> None:
    fact = here.facts("paid", refunded=True)[0]
    paid = next(p for p in here.company.books.payments_for[fact.number] if p.refunds)
    [row] = await every_row(here, PaymentQuery(invoice=invoice_id(fact.number)))
    assert (row.refunded, row.status) == (eur(sum(part.amount for part in paid.refunds)), "succeeded")
    got = await here.xero.payment(native(row.payment_id), frozenset({"refunds", "dispute"}))
    assert (got.refunded, got.refundable) == (row.refunded, row.amount - row.refunded)
    assert [(refund.amount, refund.payment_id, refund.status) for refund in got.refunds or []] == [
        (row.refunded, row.payment_id, "succeeded")
    ]
    assert (got.disputes, got.captured) == ([], True)


async def test_a_payment_that_was_given_back_wholly_is_refunded(here: Desk) -> None:
    fact = here.facts("paid")[0]
    await here.xero.post_refund(invoice_id(fact.number), entry(fact.total, "re_1"), KEY)
    [row] = await every_row(here, PaymentQuery(invoice=invoice_id(fact.number), statuses=("refunded",)))
    assert (row.refunded, row.status) == (row.amount, "refunded")


async def test_a_refund_is_of_one_of_several_payments_only(here: Desk) -> None:
    ref = native((await here.issued()).invoice_id)
    for n, amount in enumerate((1_000, 3_000, 4_399)):
        await here.xero.post_payment(ref, entry(amount, f"pi_{n}"), KEY + str(n))
    await here.xero.post_refund(ref, entry(2_000, "re_1"), KEY)
    await here.xero.post_refund(ref, entry(900, "re_2"), OTHER_KEY)
    rows = await every_row(here, PaymentQuery(invoice=ref))
    assert sorted((row.amount.amount, row.refunded.amount) for row in rows) == [
        (1_000, 900),
        (3_000, 2_000),
        (4_399, 0),
    ]


async def test_what_was_given_back_of_a_payment_is_the_same_on_every_page_and_under_every_condition(here: Desk) -> None:
    """The smaller payment came first, and the refund is too large for it."""
    ref = native((await here.issued()).invoice_id)
    days = [datetime(2099, 11, 2, tzinfo=UTC), datetime(2100, 1, 2, tzinfo=UTC)]
    for day, amount in zip(days, (3_399, 5_000), strict=True):
        await here.xero.post_payment(ref, replace(entry(amount, f"pi_{amount}"), at=day), f"{KEY}{amount}")
    await here.xero.post_refund(ref, replace(entry(3_000, "re_1"), at=days[0]), KEY)
    await here.xero.post_refund(ref, replace(entry(4_000, "re_2"), at=days[1]), OTHER_KEY)
    expected = {3_399: 3_000, 5_000: 4_000}
    queries = [
        PaymentQuery(since=days[0]),
        PaymentQuery(since=days[1]),
        PaymentQuery(since=days[0], until=days[0]),
        PaymentQuery(invoice=ref),
        PaymentQuery(invoice=ref, since=days[1]),
        PaymentQuery(customers=(contact_id(2),), since=days[0], until=days[0]),
    ]
    for query in queries:
        for limit in (1, 50):
            rows = [row for row in await every_row(here, query, limit) if native(row.invoice_id or "") == ref]
            assert rows
            assert {row.amount.amount: row.refunded.amount for row in rows}.items() <= expected.items(), (query, limit)
            for row in rows:
                assert (await here.xero.payment(native(row.payment_id), frozenset())).refunded == row.refunded


STATUSES: list[PaymentStatus] = ["pending", "failed", "disputed"]


@pytest.mark.parametrize("status", STATUSES)
async def test_the_books_know_no_attempts(here: Desk, status: PaymentStatus) -> None:
    assert await every_row(here, PaymentQuery(statuses=(status,))) == []
    assert list(here.sandbox.requests) == []


async def test_conditions_are_met_together_with_their_ends(here: Desk) -> None:
    everything = await every_row(here, PaymentQuery())
    middle = everything[len(everything) // 2].at
    late = middle + timedelta(days=60, hours=23)
    for customers in (None, (contact_id(2),)):
        query = PaymentQuery(customers=customers, since=middle, until=late, min_amount=10_000, currency="EUR")
        expected = {
            row.payment_id
            for row in everything
            if middle <= row.at <= late
            and row.amount.currency == "EUR"
            and row.amount.amount >= 10_000
            and (customers is None or row.customer_id == f"xero:contact:{contact_id(2)}")
        }
        assert expected
        assert {row.payment_id for row in await every_row(here, query)} == expected


async def test_a_payment_that_was_deleted_is_none(here: Desk) -> None:
    fact = here.facts("paid")[0]
    [row] = await every_row(here, PaymentQuery(invoice=invoice_id(fact.number)))
    await here.wire("POST", f"Payments/{native(row.payment_id)}", {"Status": "DELETED"})
    with pytest.raises(NotFound):
        await here.xero.payment(native(row.payment_id), frozenset())
    assert here.org.documents[invoice_id(fact.number)].status == "AUTHORISED"
    assert here.problems == []


async def test_a_refund_is_no_payment_of_a_customer(here: Desk) -> None:
    refund = next(p for p in here.org.payments.values() if here.org.documents[p.document].is_credit)
    for ref in (refund.id, NOWHERE, "pi_1", HOSTILE, ""):
        with pytest.raises(NotFound):
            await here.xero.payment(ref, frozenset())


@pytest.mark.parametrize("change", [{"Amount": None}, {"Invoice": None}, {"Date": "today"}, {"PaymentID": 7}])
async def test_a_payment_of_another_shape_is_not_guessed_at(change: dict[str, Any]) -> None:
    wire = {
        "PaymentID": NOWHERE,
        "PaymentType": "ACCRECPAYMENT",
        "Status": "AUTHORISED",
        "Amount": 1.5,
        "Date": "/Date(1793404800000+0000)/",
        "Invoice": {"InvoiceID": NOWHERE, "CurrencyCode": "EUR", "Contact": {"ContactID": NOWHERE}},
    }
    with pytest.raises(MalformedAnswer):
        await answering({"Payments": [{**wire, **change}]}).search_payments(PaymentQuery(), None, 10)


async def test_days_are_days_in_utc(here: Desk) -> None:
    fact = here.facts("paid")[0]
    [row] = await every_row(here, PaymentQuery(invoice=invoice_id(fact.number)))
    same_day = datetime(row.at.year, row.at.month, row.at.day, 23, 59, tzinfo=UTC)
    query = PaymentQuery(invoice=invoice_id(fact.number), since=same_day, until=same_day)
    assert await every_row(here, query) == [row]
