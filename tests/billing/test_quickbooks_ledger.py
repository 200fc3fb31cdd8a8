"""What the payment provider did, entered in QuickBooks once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, TODAY, Ledgers, customer, jpy, killed, ledgers, losing, usd

from backoffice_billing.models import Account, Invoice, InvoiceLine
from backoffice_billing.ports import Entry
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import CLEARING, RECEIVABLE, SALES
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

UNCERTAIN = timedelta(hours=3)
REFERENCE = "pi_3Nxxxxxxxxxxxxxxxxxxxxxx42"  # longer than QuickBooks' reference numbers


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


def of_stripe(number: str = "NW-9001", *, tax: int = 4_20, currency: str = "USD") -> Invoice:
    def amount(minor: int) -> Money:
        return Money(amount=minor, currency=currency)

    lines = [
        InvoiceLine(description="Workshop", quantity="3", unit_amount=amount(14_00), amount=amount(42_00)),
        InvoiceLine(description="By weight", quantity="2.5", unit_amount=amount(3_33), amount=amount(8_33)),
    ]
    return Invoice(
        invoice_id="stripe:invoice:in_1",
        number=number,
        status="open",
        subtotal=amount(50_33),
        tax=amount(tax),
        total=amount(50_33 + tax),
        due=amount(50_33 + tax),
        paid=amount(0),
        credited=amount(0),
        issued_at=date(2026, 11, 20),
        due_at=date(2026, 12, 20),
        lines=lines,
    )


def account(books: Ledgers, country: str = "US") -> Account:
    return Account(customer_id=f"quickbooks:customer:{customer(books.person(country))}")


async def entered(books: Ledgers, key: str = KEY) -> Written[str]:
    return await books.quickbooks.post_invoice(of_stripe(), account(books), key)


async def test_an_invoice_is_entered_under_its_number_with_its_tax(books: Ledgers) -> None:
    native = (await entered(books)).value
    got = await books.quickbooks.invoice(native)
    assert (got.number, got.issued_at, got.due_at) == ("NW-9001", date(2026, 11, 20), date(2026, 12, 20))
    assert (got.subtotal, got.tax, got.total, got.due) == (usd(50_33), usd(4_20), usd(54_53), usd(54_53))
    assert got.lines is not None
    assert [(line.description, line.quantity, line.amount) for line in got.lines] == [
        ("Workshop", "3", usd(42_00)),
        ("By weight", "1", usd(8_33)),
    ]
    assert "stripe:invoice:in_1" in books.made("Invoice")[0].note
    assert books.is_balanced


async def test_what_its_lines_do_not_come_to_has_a_line_of_its_own(books: Ledgers) -> None:
    discounted = of_stripe().model_copy(update={"subtotal": usd(45_33), "total": usd(49_53)})
    native = (await books.quickbooks.post_invoice(discounted, account(books), KEY)).value
    got = await books.quickbooks.invoice(native)
    assert got.lines is not None
    assert (got.total, got.lines[-1].amount) == (usd(49_53), usd(-5_00))
    bare = of_stripe("NW-9002").model_copy(update={"lines": None})
    native = (await books.quickbooks.post_invoice(bare, account(books), OTHER_KEY)).value
    assert (await books.quickbooks.invoice(native)).total == usd(54_53)


async def test_yen_are_entered_as_yen(books: Ledgers) -> None:
    invoice = of_stripe(currency="JPY")
    native = (await books.quickbooks.post_invoice(invoice, account(books, "JP"), KEY)).value
    assert (await books.quickbooks.invoice(native)).total == jpy(54_53)


async def test_a_number_that_is_taken_or_too_long_is_refused(books: Ledgers) -> None:
    taken = books.some("open")[1].name
    with pytest.raises(Conflict, match="Duplicate Document Number"):
        await books.quickbooks.post_invoice(of_stripe(taken), account(books), KEY)
    with pytest.raises(InvalidInput, match="up to 21 characters"):
        await books.quickbooks.post_invoice(of_stripe("N" * 22), account(books), KEY)
    await books.quickbooks.post_invoice(of_stripe("N" * 21), account(books), OTHER_KEY)


async def test_a_customer_that_quickbooks_does_not_have_cannot_be_entered(books: Ledgers) -> None:
    with pytest.raises(InvalidInput, match="Invalid Reference Id"):
        await books.quickbooks.post_invoice(of_stripe(), Account(customer_id="quickbooks:customer:999999"), KEY)


async def test_a_payment_is_entered_into_the_clearing_account(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    native = (await books.quickbooks.post_payment(invoice, Entry(usd(54_53), TODAY, REFERENCE), KEY)).value
    [payment] = books.made("Payment")
    assert (str(payment.id), payment.account, payment.reference) == (native, "91", REFERENCE[:21])
    assert REFERENCE in payment.note
    assert books.file.ledger.entries[-1][2][0].account == CLEARING
    got = await books.quickbooks.invoice(invoice)
    assert (got.status, got.paid, got.due) == ("paid", usd(54_53), usd(0))
    assert (await books.quickbooks.payment(native, frozenset())).invoice_id == f"quickbooks:invoice:{invoice}"
    assert books.is_balanced


async def test_a_part_is_entered_as_a_part_and_too_much_stays_with_the_customer(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    await books.quickbooks.post_payment(invoice, Entry(usd(4_53), TODAY, "pi_1"), KEY)
    assert (await books.quickbooks.invoice(invoice)).due == usd(50_00)
    native = (await books.quickbooks.post_payment(invoice, Entry(usd(60_00), TODAY, "pi_2"), OTHER_KEY)).value
    assert (await books.quickbooks.invoice(invoice)).status == "paid"
    assert (await books.quickbooks.payment(native, frozenset())).native_status == "unapplied"
    assert books.is_balanced


async def test_a_payment_that_cannot_be_is_refused(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    with pytest.raises(InvalidInput, match="in USD, not in JPY"):
        await books.quickbooks.post_payment(invoice, Entry(jpy(5), TODAY, "pi_1"), KEY)
    await books.quickbooks.post_payment(invoice, Entry(usd(54_53), TODAY, "pi_1"), KEY)
    with pytest.raises(Conflict, match=r"0\.00 USD are due"):
        await books.quickbooks.post_payment(invoice, Entry(usd(1), TODAY, "pi_2"), OTHER_KEY)
    with pytest.raises(Conflict, match="a draft is not owed"):
        await books.quickbooks.post_payment("estimate-1", Entry(usd(1), TODAY, "pi_3"), OTHER_KEY)
    with pytest.raises(NotFound):
        await books.quickbooks.post_payment("999999", Entry(usd(1), TODAY, "pi_4"), OTHER_KEY)


async def test_a_refund_takes_back_income_and_its_tax_out_of_the_clearing_account(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    await books.quickbooks.post_payment(invoice, Entry(usd(54_53), TODAY, "pi_1"), KEY)
    entry = Entry(usd(10_00), TODAY, "re_1", "Broken")
    native = (await books.quickbooks.post_refund(invoice, entry, OTHER_KEY)).value
    [receipt] = books.made("RefundReceipt")
    assert (str(receipt.id), receipt.total, receipt.tax, receipt.account) == (native, 10_00, 77, "91")
    assert {"Broken", "re_1"} <= set(receipt.note.split())
    by_account = {posting.account: posting.amount.amount for posting in books.file.ledger.entries[-1][2]}
    assert (by_account[CLEARING], by_account[SALES], RECEIVABLE in by_account) == (-10_00, 9_23, False)
    assert (await books.quickbooks.invoice(invoice)).status == "paid"
    assert books.is_balanced


async def test_a_refund_that_was_given_before_the_day_of_the_invoice_is_found_again(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    entry = Entry(usd(10_00), TODAY - timedelta(days=90), "re_1")
    first = await books.quickbooks.post_refund(invoice, entry, OTHER_KEY)
    assert await books.quickbooks.post_refund(invoice, entry, OTHER_KEY) == Written(first.value, replayed=True)


async def test_a_refund_in_another_currency_is_refused(books: Ledgers) -> None:
    invoice = (await entered(books)).value
    with pytest.raises(InvalidInput, match="in USD, not in JPY"):
        await books.quickbooks.post_refund(invoice, Entry(jpy(5), TODAY, "re_1"), KEY)


# ------------------------------------------------------------------------------------------- what is lost on the way


async def _invoice(books: Ledgers) -> Written[str]:
    return await entered(books, OTHER_KEY)


async def _payment(books: Ledgers) -> Written[str]:
    native = next(str(txn.id) for txn in books.all("Invoice") if txn.number == "NW-9001")
    return await books.quickbooks.post_payment(native, Entry(usd(54_53), TODAY, "pi_1"), OTHER_KEY)


async def _refund(books: Ledgers) -> Written[str]:
    native = next(str(txn.id) for txn in books.all("Invoice") if txn.number == "NW-9001")
    return await books.quickbooks.post_refund(native, Entry(usd(5_00), TODAY, "re_1"), OTHER_KEY)


ENTRIES = [_invoice, _payment, _refund]
Post = Callable[[Ledgers], Awaitable[Written[str]]]


async def prepared(books: Ledgers, post: Post) -> int:
    if post is not _invoice:
        await entered(books)
    return made(books)


def made(books: Ledgers) -> int:
    return len(books.made("Invoice") + books.made("Payment") + books.made("RefundReceipt"))


@pytest.mark.parametrize("post", ENTRIES)
async def test_the_same_call_enters_once(books: Ledgers, post: Post) -> None:
    before = await prepared(books, post)
    first = await post(books)
    assert await post(books) == Written(first.value, replayed=True)
    books.forgets()
    assert await post(books) == Written(first.value, replayed=True)
    assert made(books) == before + 1


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("post", ENTRIES)
async def test_a_lost_answer_enters_nothing_twice(books: Ledgers, post: Post, at: int) -> None:
    before = await prepared(books, post)
    books.sandbox.faults = losing(at)
    await post(books)
    assert (made(books), books.is_balanced) == (before + 1, True)


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("post", ENTRIES)
async def test_who_is_killed_enters_nothing_twice(books: Ledgers, post: Post, at: int, *, remembered: bool) -> None:
    before = await prepared(books, post)
    books.sandbox.faults = killed(at)
    try:
        await post(books)
    except OutcomeUnknown:
        pass
    except BackofficeError:  # a read that failed: then nothing was entered
        assert made(books) == before
    books.sandbox.faults = Faults()
    books.clock.advance(600)
    if not remembered:
        books.forgets()
    with attempting(datetime.now(UTC) - UNCERTAIN):
        await post(books)
    assert (made(books), books.is_balanced) == (before + 1, True)
