"""Contacts, what they owe, and invoices in Xero, to read."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from tests.billing.xero_org import HOSTILE, NOWHERE, TODAY, Desk, answering, desk, eur, saying

from backoffice_billing.backends.xero import Xero
from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_billing.models import Account, InvoiceLine, InvoiceRow, InvoiceStatus, Overdue
from backoffice_billing.ports import InvoiceQuery
from backoffice_shared.errors import MalformedAnswer, NotFound
from backoffice_shared.money import by_currency
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

DAY = TODAY.date()
EVERYTHING: Any = frozenset({"balance", "overdue", "credit", "methods", "subscriptions"})


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company, today=DAY)


# ------------------------------------------------------------------------------------------------------ accounts


async def test_an_account_owes_what_is_due_on_its_open_invoices(here: Desk) -> None:
    [account] = await here.xero.accounts([contact_id(2)], EVERYTHING)
    person = here.company.people[2]
    mine = [i for i in here.company.books.invoices_of[2] if i.status in ("open", "uncollectible") and i.drift is None]
    late = [i for i in mine if i.due < DAY]
    drifted = [d for d in here.org.documents.values() if d.contact == contact_id(2) and d.status == "AUTHORISED"]
    more = [d for d in drifted if not d.is_credit and d.id not in {invoice_id(i.number) for i in mine}]
    owed = sum(i.total for i in mine) + sum(here.org.due(d) for d in more)
    overdue = [*((i.total, i.due) for i in late), *((here.org.due(d), d.due) for d in more if d.due and d.due < DAY)]
    assert account == Account(
        customer_id=f"xero:contact:{contact_id(2)}",
        name=person.name,
        email=person.email,
        balances=[eur(owed)],
        overdue=[
            Overdue(
                amount=eur(sum(amount for amount, _ in overdue)),
                count=len(overdue),
                oldest_days=max((DAY - due).days for _, due in overdue),
            )
        ],
        credit=[],
        methods=[],
        subscriptions=[],
        url=f"https://go.xero.com/Contacts/View/{contact_id(2)}",
    )


async def test_sections_that_nobody_asked_for_are_left_out_and_cost_nothing(here: Desk) -> None:
    [account] = await here.xero.accounts([contact_id(2)], frozenset())
    assert (account.balances, account.overdue, account.credit, account.methods) == (None, None, None, None)
    assert len(here.sandbox.requests) == 1


async def test_unknown_and_impossible_ids_are_nobody(here: Desk) -> None:
    wanted = [NOWHERE, "cus_1", "", HOSTILE, contact_id(3), contact_id(3)]
    assert [account.customer_id for account in await here.xero.accounts(wanted, frozenset())] == [
        f"xero:contact:{contact_id(3)}"
    ]
    assert await here.xero.accounts(["cus_1"], EVERYTHING) == []


async def test_an_address_is_found_in_whatever_case_it_is_written(here: Desk) -> None:
    person = here.company.people[2]
    [account] = await here.xero.accounts_by_email(f" {person.email.upper()} ", frozenset())
    assert account.email == person.email
    assert await here.xero.accounts_by_email(person.email[1:], frozenset()) == []
    assert await here.xero.accounts_by_email("", frozenset()) == []


async def test_several_accounts_have_their_own_sums(here: Desk) -> None:
    ids = [contact_id(n) for n in (2, 3, 6)]
    together = {a.customer_id: a for a in await here.xero.accounts(ids, EVERYTHING)}
    alone = [(await here.xero.accounts([one], EVERYTHING))[0] for one in ids]
    assert [together[account.customer_id] for account in alone] == alone


async def test_credit_is_what_is_left_of_credit_notes_and_of_what_was_paid_too_much() -> None:
    contact = {"ContactID": contact_id(1), "Name": "Ada", "ContactStatus": "ACTIVE"}
    note = {**WIRE, "CreditNoteID": NOWHERE, "Contact": contact}
    notes = [
        {**note, "Type": "ACCRECCREDIT", "RemainingCredit": 10.5},
        {**note, "Type": "ACCPAYCREDIT", "RemainingCredit": 99.0},
    ]
    over = [{"Type": "RECEIVE-OVERPAYMENT", "RemainingCredit": 3, "CurrencyCode": "JPY", "Contact": contact}]

    def answer(request: httpx.Request) -> httpx.Response:
        kind = request.url.path.rpartition("/")[2]
        rows = {"Contacts": [contact], "CreditNotes": notes, "Overpayments": over, "Prepayments": []}
        return httpx.Response(200, json={kind: rows[kind]})

    [account] = await Xero(saying(answer)).accounts([contact_id(1)], frozenset({"credit"}))
    assert [str(money) for money in account.credit or []] == ["10.50 EUR", "3 JPY"]


# ------------------------------------------------------------------------------------------------------ searching


async def every_row(here: Desk, query: InvoiceQuery, limit: int = 50) -> list[InvoiceRow]:
    rows: list[InvoiceRow] = []
    cursor: str | None = None
    while True:
        chunk = await here.xero.search_invoices(query, cursor, limit)
        rows += chunk.items
        if (cursor := chunk.next) is None:
            return rows


async def test_all_invoices_come_latest_first_page_by_page_each_once(here: Desk) -> None:
    rows = await every_row(here, InvoiceQuery(today=DAY), limit=7)
    kept = [i for i in here.company.books.invoices if i.ledger == "eu" and i.drift != "missing"]
    assert sorted(row.number or "" for row in rows) == sorted(invoice.name for invoice in kept)
    assert [row.issued_at for row in rows] == sorted((row.issued_at for row in rows), reverse=True)


async def test_a_row_says_what_the_invoice_is(here: Desk) -> None:
    fact = here.facts("open")[0]
    [row] = (await here.xero.search_invoices(InvoiceQuery(today=DAY, number=fact.name), None, 10)).items
    assert row == InvoiceRow(
        invoice_id=f"xero:invoice:{invoice_id(fact.number)}",
        number=fact.name,
        customer_id=f"xero:contact:{contact_id(fact.person)}",
        customer=here.company.people[fact.person].name,
        status="overdue" if fact.due < DAY else "open",
        total=eur(fact.total),
        due=eur(fact.total),
        issued_at=fact.issued,
        due_at=fact.due,
        native_status="AUTHORISED",
        url=f"https://go.xero.com/AccountsReceivable/View.aspx?InvoiceID={invoice_id(fact.number)}",
    )


STATUSES: list[InvoiceStatus] = ["draft", "open", "overdue", "paid", "void", "uncollectible"]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_finds_all_that_have_it_and_nothing_else(here: Desk, status: InvoiceStatus) -> None:
    everything = await every_row(here, InvoiceQuery(today=DAY))
    rows = await every_row(here, InvoiceQuery(today=DAY, statuses=(status,)))
    assert rows == [row for row in everything if row.status == status]
    assert bool(rows) == (status != "uncollectible")


async def test_the_day_after_an_invoice_is_due_it_is_overdue(here: Desk) -> None:
    fact = here.facts("open")[0]
    on_time = (await here.xero.search_invoices(InvoiceQuery(today=fact.due, number=fact.name), None, 1)).items
    late = InvoiceQuery(today=fact.due + timedelta(days=1), number=fact.name, statuses=("overdue",))
    assert [row.status for row in on_time] == ["open"]
    assert [row.status for row in (await here.xero.search_invoices(late, None, 1)).items] == ["overdue"]


async def test_conditions_are_met_together_with_their_ends(here: Desk) -> None:
    everything = await every_row(here, InvoiceQuery(today=DAY))
    since, until = date(2026, 3, 1), date(2026, 9, 30)
    bounds = [row.issued_at for row in everything if since <= row.issued_at <= until]
    query = InvoiceQuery(
        today=DAY,
        customers=(contact_id(2), contact_id(3), "nobody"),
        issued_since=min(bounds),
        issued_until=max(bounds),
        due_before=date(2026, 9, 1),
        min_amount=20_000,
        currency="EUR",
    )
    mine = {f"xero:contact:{contact_id(n)}" for n in (2, 3)}
    expected = [
        row
        for row in everything
        if row.customer_id in mine
        and min(bounds) <= row.issued_at <= max(bounds)
        and row.due_at is not None
        and row.due_at < date(2026, 9, 1)
        and row.total.currency == "EUR"
        and row.total.amount >= 20_000
    ]
    assert expected
    assert await every_row(here, query) == expected


async def test_nobody_and_no_number_find_nothing(here: Desk) -> None:
    for query in (
        InvoiceQuery(today=DAY, customers=()),
        InvoiceQuery(today=DAY, customers=("cus_1",)),
        InvoiceQuery(today=DAY, number="NW-0"),
        InvoiceQuery(today=DAY, number=""),
    ):
        assert await every_row(here, query) == []


@pytest.mark.parametrize("number", [HOSTILE, 'NW-1" OR Type=="ACCREC', "NW-1001,NW-1002", "\\", " ", "ß" * 300])
async def test_no_text_changes_the_question(number: str) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={"Invoices": []})

    await Xero(saying(answer)).search_invoices(InvoiceQuery(today=DAY, number=number), None, 10)
    [url] = asked
    assert url.params["where"] == 'Type=="ACCREC"'
    assert url.params["searchTerm"] == number
    assert "InvoiceNumbers" not in url.params


async def test_hostile_text_finds_nothing_and_breaks_nothing(here: Desk) -> None:
    assert await every_row(here, InvoiceQuery(today=DAY, number=HOSTILE)) == []
    assert await here.xero.accounts_by_email(HOSTILE, frozenset()) == []


# ----------------------------------------------------------------------------------------------------- single ones


async def test_an_invoice_adds_up_and_has_its_lines_and_payments(here: Desk) -> None:
    fact = here.facts("paid")[0]
    [got] = await here.xero.invoices(
        [invoice_id(fact.number)], frozenset({"lines", "payments", "credit_notes", "links"})
    )
    assert (got.subtotal, got.tax, got.total) == (eur(fact.net), eur(fact.tax), eur(fact.total))
    assert (got.paid, got.credited, got.due, got.status) == (eur(fact.total), eur(0), eur(0), "paid")
    assert [(line.description, line.quantity, line.unit_amount, line.amount, line.tax) for line in got.lines or []] == [
        (line.text, str(line.quantity), eur(line.unit), eur(line.net), eur(line.tax)) for line in fact.lines
    ]
    assert [payment.amount for payment in got.payments or []] == [eur(fact.total)]
    assert got.credit_notes == []
    assert (got.hosted_url or "").startswith("https://in.xero.com/")


async def test_every_issued_invoice_adds_up(here: Desk) -> None:
    ids = [d.id for d in here.org.documents.values() if not d.is_credit]
    for start in range(0, len(ids), 20):
        for got in await here.xero.invoices(ids[start : start + 20], frozenset({"payments", "credit_notes"})):
            assert got.total == got.subtotal + got.tax
            paid = by_currency(payment.amount for payment in got.payments or [])
            assert paid == ([got.paid] if got.payments else [])
            if got.status in ("draft", "void"):
                assert not got.due
            else:
                assert got.due == got.total - got.paid - got.credited


async def test_only_issued_invoices_have_a_page_for_customers(here: Desk) -> None:
    ids = [here.some("draft"), here.some("open"), here.some("void")]
    links = {i.native_status: i.hosted_url for i in await here.xero.invoices(ids, frozenset({"links"}))}
    assert [status for status, url in links.items() if url] == ["AUTHORISED"]


async def test_an_invoice_alone_is_never_from_a_cache(here: Desk) -> None:
    native = here.some("open")
    first = await here.xero.invoice(native)
    assert await here.xero.invoice(native) == first
    asked = [entry.path.rpartition("/")[2] for entry in here.sandbox.requests]
    assert asked == [native, "CreditNotes", native, "CreditNotes"]


@pytest.mark.parametrize("native", [NOWHERE, "in_1", "", "..", HOSTILE])
async def test_no_such_invoice_is_said_to_be_none(here: Desk, native: str) -> None:
    with pytest.raises(NotFound, match=r"there is no invoice|cannot be found"):
        await here.xero.invoice(native)
    assert await here.xero.invoices([native], frozenset()) == []


async def test_a_deleted_draft_and_a_suppliers_bill_are_not_shown(here: Desk) -> None:
    native = here.some("draft")
    await here.wire("POST", f"Invoices/{native}", {"Status": "DELETED"})
    bill = {
        "Type": "ACCPAY",
        "Contact": {"ContactID": contact_id(2)},
        "Status": "AUTHORISED",
        "DueDate": "2100-02-01",
        "InvoiceNumber": "B-1",
        "LineItems": [{"Description": "Canvas", "Quantity": 1, "UnitAmount": 10, "AccountCode": "404"}],
    }
    made = (await here.wire("PUT", "Invoices", {"Invoices": [bill]})).json()["Invoices"][0]["InvoiceID"]
    for gone in (native, made):
        with pytest.raises(NotFound):
            await here.xero.invoice(gone)
        assert await here.xero.invoices([gone], frozenset()) == []
    assert not {native, made} & {
        r.invoice_id.rpartition(":")[2] for r in await every_row(here, InvoiceQuery(today=DAY))
    }


async def test_lines_with_tax_included_are_shown_without() -> None:
    line = {"LineItemID": "l", "Description": "Tea", "Quantity": 1.5, "UnitAmount": 8, "LineAmount": 12, "TaxAmount": 2}
    wire = {
        **WIRE,
        "LineAmountTypes": "Inclusive",
        "LineItems": [{**line, "AccountCode": "200"}, {"Description": "Hi"}],
    }
    got = await answering({"Invoices": [wire], "CreditNotes": []}).invoice(NOWHERE)
    assert got.lines == [InvoiceLine(line_id="l", description="Tea", quantity="1.5", amount=eur(1000), tax=eur(200))]
    assert got.memo == "Hi"


async def test_a_price_finer_than_a_cent_is_left_out() -> None:
    line = {"Description": "Tea", "Quantity": 3, "UnitAmount": 3.3333, "LineAmount": 10.0, "AccountCode": "200"}
    wire = {"Invoices": [{**WIRE, "LineItems": [line]}], "CreditNotes": []}
    got = await answering(wire).invoice(NOWHERE)
    assert [(line.unit_amount, line.amount) for line in got.lines or []] == [(None, eur(1000))]


WIRE: dict[str, Any] = {
    "Type": "ACCREC",
    "InvoiceID": NOWHERE,
    "InvoiceNumber": "INV-1",
    "Status": "AUTHORISED",
    "CurrencyCode": "EUR",
    "Contact": {"ContactID": NOWHERE},
    "Date": "/Date(1793404800000+0000)/",
    "SubTotal": 10.0,
    "TotalTax": 2.0,
    "Total": 12.0,
    "AmountDue": 12.0,
    "UpdatedDateUTC": "/Date(1793404800123)/",
    "LineItems": [],
}


@pytest.mark.parametrize(
    "change",
    [
        {"Total": "twelve"},
        {"Total": True},
        {"Total": 12.005},
        {"Total": 1e17},
        {"Date": "2026-11-22"},
        {"Date": "/Date(99999999999999999999)/"},
        {"UpdatedDateUTC": None},
        {"Status": "ODD"},
        {"CurrencyCode": "euro"},
        {"Contact": None},
    ],
)
async def test_an_invoice_of_another_shape_is_not_guessed_at(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        await answering({"Invoices": [{**WIRE, **change}]}).invoices([NOWHERE], frozenset())


@pytest.mark.parametrize("wire", [None, [], {}, {"Invoices": None}, {"Invoices": [1]}, {"Invoices": {"a": 1}}])
async def test_an_answer_of_another_shape_is_no_answer(wire: Any) -> None:
    with pytest.raises(MalformedAnswer):
        await answering(wire).search_invoices(InvoiceQuery(today=DAY), None, 10)


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_half_an_answer_is_no_answer(here: Desk, fault: str) -> None:
    here.sandbox.faults = Faults.model_validate({fault: 1})
    with pytest.raises(MalformedAnswer):
        await here.xero.accounts([contact_id(2)], frozenset())
