"""Customers, invoices and payments in QuickBooks, read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args

import pytest
from tests.billing.quickbooks_realm import (
    TODAY,
    Ledgers,
    customer,
    every_row,
    kept,
    kept_of,
    ledgers,
)

from backoffice_billing.models import (
    AccountSection,
    InvoiceCredit,
    InvoicePayment,
    InvoiceSection,
    InvoiceStatus,
    PaymentRow,
)
from backoffice_billing.ports import InvoiceQuery, PaymentQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.money import Money, by_currency
from backoffice_shared.sandbox.books import KEY_ACCOUNT, Books, Invoice
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

LONG_IN_AMERICA = 2
"""The seed of a company whose key account is an American."""
DAY = TODAY.date()
ALL = InvoiceQuery(today=DAY)
EVERY_SECTION: frozenset[AccountSection] = frozenset(get_args(AccountSection))
WHOLE: frozenset[InvoiceSection] = frozenset({"lines", "payments", "credit_notes", "links"})


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=150, today=TODAY)


@pytest.fixture(scope="module")
def books(company: Company) -> Ledgers:
    """Nothing is written here, on the company's own day."""
    return ledgers(company, at=TODAY)


def shown(invoice: Invoice) -> bool:
    """Whether QuickBooks has it: drafts of the payment provider are nothing to accountants."""
    return invoice.status != "draft" or not invoice.billed


def paid(company: Company, invoice: Invoice) -> int:
    """What came in for it, as the accountants entered it."""
    if invoice.drift == "unpaid" or invoice.status != "paid":
        return 0
    return sum(p.amount for p in company.books.payments_for.get(invoice.number, []) if not p.failed)


def standing(company: Company, invoice: Invoice) -> InvoiceStatus:
    match invoice.status:
        case "draft" | "void":
            return invoice.status
        case "uncollectible":
            return "paid"
        case _:
            due = invoice.kept.total - paid(company, invoice)
            return "paid" if due <= 0 else "overdue" if invoice.due < DAY else "open"


# ----------------------------------------------------------------------------------------------------------- accounts


async def test_an_account_says_what_is_owed_and_since_when(books: Ledgers, company: Company) -> None:
    person = next(
        p
        for p in company.people
        if Books.bills(p) and any(standing(company, i) == "overdue" for i in kept_of(company, p.number))
    )
    late = [i for i in kept_of(company, person.number) if standing(company, i) == "overdue"]
    owed = [i for i in kept_of(company, person.number) if standing(company, i) in ("open", "overdue")]
    [account] = await books.quickbooks.accounts([customer(person)], EVERY_SECTION)
    assert account.customer_id == f"quickbooks:customer:{customer(person)}"
    assert account.email == person.email
    assert account.name is not None
    assert account.name.startswith(person.name)
    assert account.url == f"https://app.qbo.intuit.com/app/customerdetail?nameId={customer(person)}"
    assert account.balances == by_currency(
        Money(amount=i.kept.total - paid(company, i), currency=i.currency) for i in owed
    )
    assert account.overdue is not None
    [overdue] = account.overdue
    assert (overdue.count, overdue.oldest_days) == (len(late), max((DAY - i.due).days for i in late))
    assert (account.credit, account.methods, account.subscriptions) == ([], [], [])


async def test_a_section_that_is_not_asked_for_costs_no_request_and_is_not_there(company: Company) -> None:
    books = ledgers(company)
    await books.quickbooks.accounts([customer(books.person("US"))], frozenset())
    books.sandbox.requests.clear()
    [account] = await books.quickbooks.accounts([customer(books.person("JP"))], frozenset())
    assert len(books.sandbox.requests) == 1
    assert account.model_dump(exclude={"customer_id", "name", "email", "url"}) == dict.fromkeys(
        ["balances", "overdue", "credit", "methods", "subscriptions"]
    )


async def test_those_that_do_not_exist_are_left_out(books: Ledgers, company: Company) -> None:
    europe = next(p for p in company.people if Books.bills(p) and Books.ledger(p) == "eu")
    asked = [customer(europe), "999999", "-1", "1.5", "", "..", "1", "1"]
    assert [a.customer_id for a in await books.quickbooks.accounts(asked, frozenset())] == (
        ["quickbooks:customer:1"] if Books.ledger(company.people[0]) == "us" else []
    )


async def test_an_address_finds_its_customer_whatever_the_case_of_its_letters(books: Ledgers) -> None:
    person = books.person("US")
    found = await books.quickbooks.accounts_by_email(f" {person.email.upper()} ", frozenset())
    assert [account.customer_id for account in found] == [f"quickbooks:customer:{customer(person)}"]
    assert await books.quickbooks.accounts_by_email(person.email[1:], frozenset()) == []
    assert await books.quickbooks.accounts_by_email("", frozenset()) == []


async def test_a_customer_who_is_not_active_any_more_still_has_an_account(company: Company) -> None:
    books = ledgers(company)
    books.file.customers[int(customer(books.person("US")))].active = False
    [account] = await books.quickbooks.accounts([customer(books.person("US"))], frozenset())
    assert account.email == books.person("US").email


# ----------------------------------------------------------------------------------------------------------- searching


@pytest.mark.parametrize("limit", [1, 7, 50])
async def test_all_invoices_and_drafts_come_once_and_latest_first(books: Ledgers, company: Company, limit: int) -> None:
    rows = await every_row(books, ALL, limit)
    dates = [row.issued_at for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert len({row.invoice_id for row in rows}) == len(rows) == sum(shown(i) for i in kept(company))


@pytest.mark.parametrize("status", ["draft", "open", "overdue", "paid", "void", "uncollectible"])
async def test_each_status_finds_what_has_it_and_nothing_else(
    books: Ledgers, company: Company, status: InvoiceStatus
) -> None:
    rows = await every_row(books, InvoiceQuery(today=DAY, statuses=(status,)), 9)
    expected = [i for i in kept(company) if shown(i) and standing(company, i) == status]
    assert {row.status for row in rows} <= {status}
    assert len(rows) == len(expected)
    if status not in ("draft", "void"):
        assert {(row.number, row.total.amount) for row in rows} == {(i.name, i.kept.total) for i in expected}


async def test_several_statuses_are_looked_for_together(books: Ledgers, company: Company) -> None:
    rows = await every_row(books, InvoiceQuery(today=DAY, statuses=("overdue", "draft")), 4)
    expected = sum(shown(i) and standing(company, i) in ("overdue", "draft") for i in kept(company))
    assert len(rows) == expected
    assert {row.status for row in rows} == {"overdue", "draft"}


async def test_a_draft_has_no_number_yet_is_not_owed_and_its_id_says_what_it_is(books: Ledgers) -> None:
    row = (await every_row(books, InvoiceQuery(today=DAY, statuses=("draft",)), 5))[0]
    assert row.invoice_id.startswith("quickbooks:invoice:estimate-")
    assert (row.number, row.due.amount, row.due_at, row.native_status) == (None, 0, None, "Estimate Pending")


async def test_a_number_finds_the_invoice(books: Ledgers, company: Company) -> None:
    invoice = next(i for i in kept(company) if i.status == "open")
    [row] = await every_row(books, InvoiceQuery(today=DAY, number=invoice.name), 5)
    assert (row.number, row.issued_at, row.due_at) == (invoice.name, invoice.issued, invoice.due)
    assert await every_row(books, InvoiceQuery(today=DAY, number=invoice.name.lower()), 5) == []


async def test_what_the_accountants_forgot_is_not_there(books: Ledgers, company: Company) -> None:
    missing = next(i for i in company.books.invoices if i.ledger == "us" and i.drift == "missing")
    assert await every_row(books, InvoiceQuery(today=DAY, number=missing.name), 5) == []


async def test_dates_amounts_customers_and_currencies_narrow_it_down(books: Ledgers, company: Company) -> None:
    japan = books.person("JP")
    since, until = DAY - timedelta(days=200), DAY - timedelta(days=20)
    query = InvoiceQuery(
        today=DAY, issued_since=since, issued_until=until, due_before=DAY, min_amount=100_000, currency="JPY"
    )
    rows = await every_row(books, query, 6)
    expected = {
        i.name
        for i in kept(company)
        if i.currency == "JPY"
        and since <= i.issued <= until
        and i.due < DAY
        and i.status not in ("draft", "void")
        and i.kept.total >= 100_000
    }
    assert {row.number for row in rows} == expected != set()
    theirs = await every_row(books, InvoiceQuery(today=DAY, customers=(customer(japan), "no id")), 6)
    assert len(theirs) == sum(shown(i) for i in kept_of(company, japan.number))


async def test_both_ends_of_the_dates_are_included_and_the_due_date_is_not(books: Ledgers, company: Company) -> None:
    invoice = next(i for i in kept(company) if i.status == "paid" and i.issued != i.due)
    on = InvoiceQuery(today=DAY, number=invoice.name, issued_since=invoice.issued, issued_until=invoice.issued)
    assert len(await every_row(books, on, 5)) == 1
    due = InvoiceQuery(today=DAY, number=invoice.name, due_before=invoice.due)
    assert await every_row(books, due, 5) == []
    later = InvoiceQuery(today=DAY, number=invoice.name, due_before=invoice.due + timedelta(days=1))
    assert len(await every_row(books, later, 5)) == 1


async def test_the_first_page_says_how_many_there_are_where_quickbooks_can_tell(books: Ledgers) -> None:
    chunk = await books.quickbooks.search_invoices(InvoiceQuery(today=DAY, statuses=("overdue",)), None, 2)
    assert chunk.total == len(await every_row(books, InvoiceQuery(today=DAY, statuses=("overdue",)), 50)) > 2


async def test_the_key_accounts_long_history_is_read_to_its_end() -> None:
    company = Company(seed=LONG_IN_AMERICA, customers=10, today=TODAY)
    books = ledgers(company, at=TODAY)
    rows = await every_row(books, InvoiceQuery(today=DAY, customers=(customer(company.people[KEY_ACCOUNT]),)), 50)
    assert len(rows) == sum(shown(i) for i in kept_of(company, KEY_ACCOUNT)) > 150


# ------------------------------------------------------------------------------------------------------- one invoice


async def test_a_paid_invoice_with_all_that_belongs_to_it(books: Ledgers, company: Company) -> None:
    native, fact = books.some("paid", plain=False)
    got = await books.quickbooks.invoice(native)
    [payment] = [p for p in company.books.payments_for[fact.number] if not p.failed]
    kept_as = fact.kept
    assert (got.number, got.total.amount, got.tax.amount) == (fact.name, kept_as.total, kept_as.tax)
    assert got.subtotal + got.tax == got.total
    assert (got.paid.amount, got.credited.amount) == (payment.amount, 0)
    assert got.due == got.total - got.paid - got.credited
    assert got.lines is not None
    assert [(line.description, line.quantity, line.unit_amount, line.amount) for line in got.lines] == [
        (
            line.text,
            str(line.quantity),
            Money(amount=line.unit, currency=fact.currency),
            Money(amount=line.net, currency=fact.currency),
        )
        for line in kept_as.lines
    ]
    assert got.payments is not None
    [entry] = got.payments
    assert entry == InvoicePayment(
        payment_id=entry.payment_id,
        at=datetime.combine(payment.at.date(), datetime.min.time(), UTC),
        amount=Money(amount=payment.amount, currency=fact.currency),
        status="succeeded",
    )
    assert got.version != ""


async def test_what_will_not_be_paid_was_credited(books: Ledgers, company: Company) -> None:
    native, fact = books.some("uncollectible")
    got = await books.quickbooks.invoice(native)
    assert (got.status, got.due.amount, got.paid.amount, got.credited.amount) == ("paid", 0, 0, fact.total)
    assert got.credit_notes is not None
    [note] = got.credit_notes
    assert note == InvoiceCredit(
        credit_note_id=note.credit_note_id,
        number=f"W-{1001 + fact.number}",
        at=note.at,
        amount=Money(amount=fact.total, currency=fact.currency),
    )
    assert got.payments == []


async def test_a_void_invoice_is_of_nothing(books: Ledgers) -> None:
    native, _ = books.some("void")
    got = await books.quickbooks.invoice(native)
    assert (got.status, got.total.amount, got.due.amount, got.paid.amount) == ("void", 0, 0, 0)


async def test_several_are_read_at_once_and_only_the_sections_that_are_wanted(books: Ledgers) -> None:
    one, two = books.some("open")[0], books.some("paid", plain=False)[0]
    estimate = str(books.all("Estimate")[0].id)
    got = await books.quickbooks.invoices([one, two, f"estimate-{estimate}", "999999", "x"], frozenset())
    assert {invoice.invoice_id.rpartition(":")[2] for invoice in got} == {one, two, f"estimate-{estimate}"}
    assert {(invoice.lines is None, invoice.payments is None, invoice.credit_notes is None) for invoice in got} == {
        (True, True, True)
    }
    whole = await books.quickbooks.invoices([one, two], WHOLE)
    links = {invoice.invoice_id.rpartition(":")[2]: invoice.hosted_url for invoice in whole}
    assert links == {one: f"https://connect.intuit.com/t/scs-v1-sandbox-{one}", two: None}


@pytest.mark.parametrize("native", ["999999", "estimate-999999", "x", "estimate-", "../7", "1 or 1=1", "٣"])
async def test_there_is_no_such_invoice(books: Ledgers, native: str) -> None:
    with pytest.raises(NotFound):
        await books.quickbooks.invoice(native)


async def test_an_invoice_is_never_from_a_cache(company: Company) -> None:
    books = ledgers(company)
    native, fact = books.some("open")
    assert (await books.quickbooks.invoice(native)).number == fact.name
    books.file.tables["Invoice"].by_id[int(native)].number = "changed"
    assert (await books.quickbooks.invoice(native)).number == "changed"


# ----------------------------------------------------------------------------------------------------------- payments


async def test_payments_come_latest_first_and_page_by_page(books: Ledgers, company: Company) -> None:
    rows: list[PaymentRow] = []
    cursor: str | None = None
    while True:
        chunk = await books.quickbooks.search_payments(PaymentQuery(), cursor, 7)
        rows += chunk.items
        if (cursor := chunk.next) is None:
            break
    expected = sum(paid(company, i) > 0 for i in kept(company))
    assert len({row.payment_id for row in rows}) == len(rows) == expected
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
    assert {row.status for row in rows} == {"succeeded"}


async def test_the_payments_of_an_invoice_and_of_a_customer(books: Ledgers, company: Company) -> None:
    native, fact = books.some("paid", plain=False)
    [row] = (await books.quickbooks.search_payments(PaymentQuery(invoice=native), None, 10)).items
    assert (row.invoice_id, row.amount.amount) == (f"quickbooks:invoice:{native}", paid(company, fact))
    theirs = PaymentQuery(customers=(str(fact.person + 1),), currency=fact.currency, min_amount=row.amount.amount)
    found = (await books.quickbooks.search_payments(theirs, None, 50)).items
    assert row in found
    assert {each.customer_id for each in found} == {f"quickbooks:customer:{fact.person + 1}"}
    assert all(each.amount >= row.amount for each in found)
    nobody = PaymentQuery(invoice=native, customers=("999999",))
    assert (await books.quickbooks.search_payments(nobody, None, 10)).items == []


async def test_the_days_of_payments_are_included(books: Ledgers) -> None:
    native, _ = books.some("paid", plain=False)
    [row] = (await books.quickbooks.search_payments(PaymentQuery(invoice=native), None, 10)).items
    noon = row.at + timedelta(hours=12)
    on = PaymentQuery(invoice=native, since=noon, until=noon)
    assert (await books.quickbooks.search_payments(on, None, 10)).items == [row]
    day_after = noon + timedelta(days=1)
    assert (await books.quickbooks.search_payments(PaymentQuery(invoice=native, since=day_after), None, 10)).items == []


@pytest.mark.parametrize(
    "query",
    [
        PaymentQuery(statuses=("failed", "pending")),
        PaymentQuery(customers=("x",)),
        PaymentQuery(invoice="estimate-1"),
        PaymentQuery(invoice="999999"),
    ],
)
async def test_what_quickbooks_does_not_have_is_not_found(books: Ledgers, query: PaymentQuery) -> None:
    assert (await books.quickbooks.search_payments(query, None, 10)).items == []


async def test_a_payment_that_only_joins_a_credit_is_no_payment(books: Ledgers) -> None:
    native, _ = books.some("uncollectible")
    assert (await books.quickbooks.search_payments(PaymentQuery(invoice=native), None, 10)).items == []


async def test_a_payment_of_this_moment(books: Ledgers) -> None:
    native, fact = books.some("paid", plain=False)
    [row] = (await books.quickbooks.search_payments(PaymentQuery(invoice=native), None, 10)).items
    got = await books.quickbooks.payment(row.payment_id.rpartition(":")[2], frozenset({"refunds"}))
    assert got.model_dump(include=set(type(row).model_fields)) == row.model_dump()
    assert (got.captured, got.refundable.amount, got.refunds, got.fee) == (True, 0, [], None)
    assert got.at.date() >= date(fact.issued.year, fact.issued.month, fact.issued.day)
    for nothing in ("999999", "x"):
        with pytest.raises(NotFound):
            await books.quickbooks.payment(nothing, frozenset())
