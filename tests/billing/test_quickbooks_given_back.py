"""What QuickBooks knows to have been given back of payments: refund receipts that bear the mark of their invoice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, TODAY, Ledgers, customer, draft, ledgers, usd

from backoffice_billing.models import Invoice, PaymentRow, Refund
from backoffice_billing.ports import CreditDraft, DraftLine, Entry, PaymentQuery
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

KEYS = [digit * 40 for digit in "0123456789"]


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=120, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


async def owed(books: Ledgers, key: str = KEY, amount: int = 100_00) -> str:
    wanted = draft(books.person("US"), DraftLine("Tent", 1, usd(amount)))
    made = (await books.quickbooks.create_invoice(wanted, key)).value
    got = await books.quickbooks.issue_invoice(native(made), made.version, send=False, key=key)
    return native(got.value.invoice)


async def paid(books: Ledgers, invoice: str, amount: int, days: int, key: str) -> str:
    entry = Entry(usd(amount), TODAY + timedelta(days=days), f"pi_{days}")
    return (await books.quickbooks.post_payment(invoice, entry, key)).value


async def refunded(books: Ledgers, invoice: str, amount: int, days: int, key: str) -> str:
    entry = Entry(usd(amount), TODAY + timedelta(days=days), f"re_{days}")
    return (await books.quickbooks.post_refund(invoice, entry, key)).value


async def rows(books: Ledgers, invoice: str, **more: Any) -> list[PaymentRow]:
    return (await books.quickbooks.search_payments(PaymentQuery(invoice=invoice, **more), None, 10)).items


def native(invoice: Invoice) -> str:
    return invoice.invoice_id.rpartition(":")[2]


def given(found: list[PaymentRow]) -> list[tuple[int, str]]:
    return [(row.refunded.amount, row.status) for row in found]


async def test_refunds_are_divided_over_the_payments_of_their_invoice_first_the_first(books: Ledgers) -> None:
    invoice = await owed(books)
    second = await paid(books, invoice, 70_00, 2, KEYS[0])
    first = await paid(books, invoice, 30_00, 1, KEYS[1])
    one = await refunded(books, invoice, 20_00, 3, KEYS[2])
    other = await refunded(books, invoice, 25_00, 4, KEYS[3])
    assert given(await rows(books, invoice)) == [(15_00, "succeeded"), (30_00, "refunded")]
    [early, late] = [await books.quickbooks.payment(each, frozenset({"refunds"})) for each in (first, second)]
    assert (early.refunded, early.refundable, late.refunded) == (usd(30_00), usd(0), usd(15_00))
    assert [(refund.refund_id, refund.amount) for refund in early.refunds or []] == [
        (f"quickbooks:refund:{one}", usd(20_00)),
        (f"quickbooks:refund:{other}", usd(10_00)),
    ]
    assert late.refunds == [
        Refund(
            refund_id=f"quickbooks:refund:{other}",
            payment_id=late.payment_id,
            amount=usd(15_00),
            status="succeeded",
            at=TODAY + timedelta(days=4),
        )
    ]


async def test_a_share_is_the_same_on_every_page(books: Ledgers) -> None:
    invoice = await owed(books)
    for day in range(4):
        await paid(books, invoice, 25_00, day, KEYS[day])
    await refunded(books, invoice, 60_00, 5, KEYS[5])
    whole = await rows(books, invoice)
    assert given(whole) == [(0, "succeeded"), (10_00, "succeeded"), (25_00, "refunded"), (25_00, "refunded")]
    theirs = PaymentQuery(customers=(customer(books.person("US")),))
    everything: list[PaymentRow] = []
    cursor: str | None = None
    while True:
        page = await books.quickbooks.search_payments(theirs, cursor, 1)
        everything += page.items
        if (cursor := page.next) is None:
            break
    assert [row for row in everything if row.invoice_id == f"quickbooks:invoice:{invoice}"] == whole


async def test_payments_are_found_by_whether_they_were_given_back(books: Ledgers) -> None:
    invoice = await owed(books)
    await paid(books, invoice, 60_00, 1, KEYS[0])
    await paid(books, invoice, 40_00, 2, KEYS[1])
    await refunded(books, invoice, 60_00, 3, KEYS[2])
    assert given(await rows(books, invoice, statuses=("refunded",))) == [(60_00, "refunded")]
    assert given(await rows(books, invoice, statuses=("succeeded",))) == [(0, "succeeded")]


async def test_what_is_given_back_for_another_invoice_is_not_of_this_one(books: Ledgers) -> None:
    invoice, other = await owed(books), await owed(books, OTHER_KEY)
    await paid(books, invoice, 100_00, 1, KEYS[0])
    await paid(books, other, 100_00, 1, KEYS[1])
    await refunded(books, other, 99_00, 3, KEYS[2])
    assert given(await rows(books, invoice)) == [(0, "succeeded")]
    assert given(await rows(books, other)) == [(99_00, "succeeded")]


async def test_of_a_payment_for_two_invoices_each_gives_back_its_own_part(books: Ledgers) -> None:
    invoice, other = await owed(books, amount=60_00), await owed(books, OTHER_KEY, 40_00)
    whole = {
        "CustomerRef": {"value": customer(books.person("US"))},
        "TotalAmt": 100,
        "TxnDate": "2026-11-20",
        "Line": [
            {"Amount": amount, "LinkedTxn": [{"TxnId": each, "TxnType": "Invoice"}]}
            for each, amount in ((invoice, 60), (other, 40))
        ],
    }
    made = (await books.wire("POST", "payment", whole))["Payment"]["Id"]
    await refunded(books, invoice, 10_00, 3, KEYS[2])
    await refunded(books, other, 40_00, 3, KEYS[3])
    assert (await books.quickbooks.payment(made, frozenset())).refunded == usd(50_00)


async def test_what_is_settled_outside_counts_and_what_stays_with_the_customer_does_not(books: Ledgers) -> None:
    invoice = await owed(books)
    await paid(books, invoice, 100_00, 1, KEYS[0])
    for n, disposition in enumerate(("out_of_band", "credit_balance")):
        now = await books.quickbooks.invoice(invoice)
        await books.quickbooks.credit_invoice(
            invoice, now.version, CreditDraft(usd(11_00), "Late", disposition), key=KEYS[2 + n]
        )
    assert given(await rows(books, invoice)) == [(11_00, "succeeded")]


async def test_what_accountants_entered_with_the_mark_counts(books: Ledgers, company: Company) -> None:
    """As the company's own books have it."""
    expected = {
        books.native_of(invoice): back
        for number, payments in company.books.payments_for.items()
        if (invoice := company.books.invoices[number]).ledger == "us"
        and invoice.drift is None
        and (back := sum(r.amount for p in payments if not p.failed for r in p.refunds))
    }
    assert expected
    for invoice, back in expected.items():
        assert sum(row.refunded.amount for row in await rows(books, invoice)) == back


async def test_a_page_of_payments_asks_a_few_times_however_many_there_are(books: Ledgers) -> None:
    await books.quickbooks.search_payments(PaymentQuery(invoice="1"), None, 1)
    books.sandbox.requests.clear()
    page = await books.quickbooks.search_payments(PaymentQuery(), None, 50)
    assert len(page.items) > 20
    assert len(books.sandbox.requests) <= 6
