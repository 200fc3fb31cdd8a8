"""Reports of the organisation in Xero, and how old what it is owed is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from tests.billing.xero_org import KEY, NOWHERE, TODAY, Desk, answering, desk, entry, eur, native, saying

from backoffice_billing.backends.xero import Xero
from backoffice_billing.backends.xero.sandbox.records import RATES
from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_billing.backends.xero.tables import in_base
from backoffice_billing.models import Cell, Table
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput, MalformedAnswer, TooLarge
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import BANK, CLEARING, RECEIVABLE, SALES, TAX
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

DAY = TODAY.date()


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company, today=DAY)


def booked(here: Desk, *accounts: Any, until: date = DAY, since: date | None = None) -> int:
    """In euros and cents, debits less credits; to the cent, as each account is converted by itself."""
    found = here.org.journal.balances(until=until, since=since)
    return sum(
        in_base(amount, float(RATES[currency]), "EUR").amount
        for (account, currency), amount in found.items()
        if account in accounts
    )


def amounts(table: Table) -> dict[Cell, list[Cell]]:
    return {row[1]: row[2:] for row in [*table.rows, *([table.totals] if table.totals else [])]}


def whole(values: Sequence[Cell]) -> int:
    return sum(value for value in values if isinstance(value, int))


async def test_a_trial_balance_balances_and_is_what_the_journal_says(here: Desk) -> None:
    table = await here.xero.report(ReportQuery("trial_balance", DAY))
    assert table.columns == ["section", "account", "Debit", "Credit", "YTD Debit", "YTD Credit"]
    assert (table.system, table.currency, table.basis) == ("xero", "EUR", "accrual")
    assert table.totals is not None
    _, label, debit, credit, year_debit, year_credit = table.totals
    assert label == "Total"
    assert (debit, year_debit) == (credit, year_credit)
    rows = amounts(table)
    assert rows["Sales (200)"][2:] == ["", -booked(here, SALES)]
    assert rows["Accounts receivable (610)"][2:] == [booked(here, RECEIVABLE), ""]
    assert whole([row[4] for row in table.rows]) == year_debit


async def test_profit_and_loss_is_of_the_days_asked_for(here: Desk) -> None:
    since, until = date(2026, 3, 1), date(2026, 5, 31)
    table = await here.xero.report(ReportQuery("profit_and_loss", until, since))
    assert amounts(table)["Sales"] == [-booked(here, SALES, since=since, until=until)]
    assert table.totals is not None
    assert table.totals[:2] == ["", "Net Profit"]


async def test_months_stand_side_by_side_and_add_up_to_the_whole(here: Desk) -> None:
    since, until = date(2026, 2, 10), date(2026, 5, 20)
    table = await here.xero.report(ReportQuery("profit_and_loss", until, since, group_by="month"))
    assert table.columns == ["section", "account", "2026-02", "2026-03", "2026-04", "2026-05"]
    assert amounts(table)["Sales"] == [
        -booked(here, SALES, since=first, until=last)
        for first, last in (
            (since, date(2026, 2, 28)),
            (date(2026, 3, 1), date(2026, 3, 31)),
            (date(2026, 4, 1), date(2026, 4, 30)),
            (date(2026, 5, 1), until),
        )
    ]
    assert table.totals is not None
    assert table.totals[1] == "Net Profit"


async def test_a_balance_sheet_is_in_balance(here: Desk) -> None:
    rows = amounts(await here.xero.report(ReportQuery("balance_sheet", DAY)))
    assert rows["Business bank account"] == [booked(here, BANK)]
    assert rows["Card clearing"] == [booked(here, CLEARING)]
    assert rows["Sales tax"] == [-booked(here, TAX)]
    assert rows["Net Assets"] == rows["Total Equity"]


async def test_what_is_entered_is_in_the_next_report(here: Desk) -> None:
    before = amounts(await here.xero.report(ReportQuery("balance_sheet", date(2100, 1, 31))))
    ref = native((await here.issued()).invoice_id)
    await here.xero.post_payment(ref, entry(1_000, "pi_1"), KEY)
    after = amounts(await here.xero.report(ReportQuery("balance_sheet", date(2100, 1, 31))))
    assert [whole(after[name]) - whole(before[name]) for name in ("Card clearing", "Accounts receivable")] == [
        1_000,
        7_399,
    ]


async def test_rows_that_are_left_out_are_counted(here: Desk) -> None:
    whole_table = await here.xero.report(ReportQuery("trial_balance", DAY))
    table = await here.xero.report(ReportQuery("trial_balance", DAY, max_rows=2))
    assert (table.rows, table.truncated_rows) == (whole_table.rows[:2], len(whole_table.rows) - 2)
    assert (table.totals, whole_table.truncated_rows) == (whole_table.totals, None)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (ReportQuery("trial_balance", DAY, group_by="month"), "of one day"),
        (ReportQuery("ar_aging", DAY, group_by="month"), "of one day"),
        (ReportQuery("profit_and_loss", DAY, group_by="customer"), "cannot be grouped by customer"),
        (ReportQuery("profit_and_loss", DAY, DAY + timedelta(days=1)), "from_date is after to_date"),
        (ReportQuery("profit_and_loss", DAY, date(2025, 10, 1), group_by="month"), "14 months are too many"),
        (ReportQuery("revenue", DAY), "has no report revenue"),
    ],
)
async def test_what_cannot_be_made_is_said(here: Desk, query: ReportQuery, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await here.xero.report(query)


# -------------------------------------------------------------------------------------------------------- ageing


async def test_receivables_are_sorted_by_how_late_they_are(here: Desk) -> None:
    table = await here.xero.report(ReportQuery("ar_aging", DAY, currency="EUR", group_by="customer"))
    assert table.columns == ["customer", "not_due", "days_1_30", "days_31_60", "days_61_90", "older", "total"]
    sums: dict[str, list[int]] = {}
    for document in here.org.documents.values():
        if document.type == "ACCREC" and document.status == "AUTHORISED" and document.currency == "EUR":
            late = (DAY - (document.due or document.date)).days
            bucket = 0 if late <= 0 else 1 if late <= 30 else 2 if late <= 60 else 3 if late <= 90 else 4
            sums.setdefault(here.org.contacts[document.contact].name, [0] * 5)[bucket] += here.org.due(document)
    assert {row[0]: row[1:] for row in table.rows} == {name: [*row, sum(row)] for name, row in sums.items()}
    assert [whole(row[-1:]) for row in table.rows] == sorted((sum(row) for row in sums.values()), reverse=True)
    assert table.totals is not None
    assert table.totals[-1] == sum(map(sum, sums.values()))


async def test_all_together_are_in_the_base_currency(here: Desk) -> None:
    table = await here.xero.report(ReportQuery("ar_aging", DAY))
    sheet = amounts(await here.xero.report(ReportQuery("balance_sheet", DAY)))
    [row] = table.rows
    assert row[0] == "all"
    assert abs(whole(row[-1:]) - whole(sheet["Accounts receivable"])) <= 5  # cents that conversion rounds
    pounds = await here.xero.report(ReportQuery("ar_aging", DAY, currency="GBP"))
    assert (pounds.currency, len(pounds.rows)) == ("GBP", 1)


async def test_of_a_past_day_what_was_paid_since_was_still_owed(here: Desk) -> None:
    fact = next(
        fact
        for fact in here.facts("paid")
        if min(p.at for p in here.company.books.payments_for[fact.number]).date() > fact.issued + timedelta(days=1)
    )
    paid = min(p.at for p in here.company.books.payments_for[fact.number]).date()
    whose = here.company.people[fact.person].name

    async def owed(on: date) -> int:
        table = await here.xero.report(ReportQuery("ar_aging", on, currency="EUR", group_by="customer", max_rows=100))
        return next((whole(row[-1:]) for row in table.rows if row[0] == whose), 0)

    others = [d for d in here.org.documents.values() if d.contact == contact_id(fact.person) and d.type == "ACCREC"]

    def due(on: date) -> int:
        total = 0
        for document in others:
            if document.currency == "EUR" and document.is_posted and document.date <= on:
                received = sum(p.amount for p in here.org.live_payments(document) if p.date <= on)
                total += document.total - received
        return total

    for on in (paid - timedelta(days=1), paid):
        assert await owed(on) == due(on)
    assert invoice_id(fact.number) in {document.id for document in others}


async def test_payables_are_what_is_due_to_suppliers(here: Desk) -> None:
    assert (await here.xero.report(ReportQuery("ap_aging", DAY))).rows == []
    bill = {
        "Type": "ACCPAY",
        "Contact": {"Name": "Canvas & Sons"},
        "Status": "AUTHORISED",
        "InvoiceNumber": "B-1",
        "Date": "2026-11-01",
        "DueDate": "2026-11-10",
        "LineItems": [{"Description": "Canvas", "Quantity": 2, "UnitAmount": 10.5, "AccountCode": "404"}],
    }
    assert (await here.wire("PUT", "Invoices", {"Invoices": [bill]})).status_code == 200
    fresh = Xero(here.http, lambda: DAY)
    here.clock.advance(3_600)
    table = await fresh.report(ReportQuery("ap_aging", DAY, group_by="customer"))
    assert table.columns[0] == "supplier"
    assert table.rows == [["Canvas & Sons", 0, 2_100, 0, 0, 0, 2_100]]
    assert here.problems == []


async def test_more_than_can_be_gone_through_is_said_to_be_too_much() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("Organisation"):
            return httpx.Response(200, json={"Organisations": [{"BaseCurrency": "EUR"}]})
        return httpx.Response(200, json={"Invoices": [], "pagination": {"pageCount": 12}})

    with pytest.raises(TooLarge, match="more than 0 invoices"):
        await Xero(saying(answer), lambda: DAY).report(ReportQuery("ar_aging", DAY))


@pytest.mark.parametrize(
    ("amount", "rate", "expected"),
    [
        (Money(amount=100, currency="GBP"), 0.85, 118),
        (Money(amount=1, currency="JPY"), 162.5, 1),
        (Money(amount=1_000, currency="KWD"), 0.33, 303),
        (eur(77), 7, 77),
    ],
)
def test_an_amount_is_converted_at_the_rate_that_the_invoice_bears(
    amount: Money, rate: float | None, expected: int
) -> None:
    assert in_base(amount, rate, "EUR") == eur(expected)


@pytest.mark.parametrize("rate", [None, 0, -1, "much"])
async def test_a_foreign_amount_without_a_rate_is_not_added(rate: Any) -> None:
    """It is no amount in the base currency; asked for in its own currency it needs no rate."""
    wire = {
        "Type": "ACCREC",
        "InvoiceID": NOWHERE,
        "Status": "AUTHORISED",
        "CurrencyCode": "JPY",
        "CurrencyRate": rate,
        "Contact": {"ContactID": NOWHERE, "Name": "Ada"},
        "Date": "/Date(1772323200000+0000)/",
        "SubTotal": 100_000,
        "Total": 100_000,
        "UpdatedDateUTC": "/Date(1772323200000+0000)/",
    }
    xero = answering({"Organisations": [{"BaseCurrency": "EUR"}], "Invoices": [wire]})
    with pytest.raises(MalformedAnswer):
        await xero.report(ReportQuery("ar_aging", DAY))
    if rate != "much":
        table = await xero.report(ReportQuery("ar_aging", DAY, currency="JPY"))
        assert table.totals == ["total", 0, 0, 0, 0, 100_000, 100_000]


MISSHAPEN: list[Any] = [{}, {"Reports": []}, {"Reports": [{"Rows": []}]}, {"Reports": [{"Rows": [{}]}]}]


@pytest.mark.parametrize("wire", MISSHAPEN)
async def test_a_report_of_another_shape_is_not_guessed_at(wire: dict[str, Any]) -> None:
    both = {"Organisations": [{"BaseCurrency": "EUR"}], **wire}
    with pytest.raises(MalformedAnswer):
        await answering(both).report(ReportQuery("trial_balance", DAY))
