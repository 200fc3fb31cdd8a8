"""QuickBooks' reports as tables: what they say is what is in the books."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from tests.billing.quickbooks_realm import TODAY, Ledgers, answering, kept, ledgers

from backoffice_billing.backends.quickbooks.reporting import table
from backoffice_billing.models import Grouping, ReportName, Table
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput, MalformedAnswer
from backoffice_shared.sandbox.books import BANK, CLEARING, RECEIVABLE
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

DAY = TODAY.date()
SINCE = DAY - timedelta(days=500)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=120, today=TODAY)


@pytest.fixture(scope="module")
def books(company: Company) -> Ledgers:
    return ledgers(company, at=TODAY)


async def reported(books: Ledgers, name: ReportName, **more: Any) -> Table:
    return await books.quickbooks.report(ReportQuery(name, DAY, max_rows=500, **more))


def named(got: Table, label: str) -> list[int]:
    [row] = [row for row in got.rows if row[0] == label]
    return [int(cell) for cell in row[1:]]


async def test_ageing_says_who_owes_how_much_for_how_long(books: Ledgers) -> None:
    got = await reported(books, "ar_aging")
    assert got.columns == ["Customer", "Current", "1 - 30", "31 - 60", "61 - 90", "91 and over", "Total"]
    assert (got.system, got.title, got.currency, got.basis) == ("quickbooks", "AgedReceivables", "USD", None)
    assert got.totals is not None
    owed = sum(txn.balance for txn in books.all("Invoice"))
    assert got.totals[-1] == owed == books.file.ledger.held()[RECEIVABLE]
    for row in [*got.rows, got.totals]:
        amounts = [int(cell) for cell in row[1:]]
        assert sum(amounts[:-1]) == amounts[-1]
    for n in range(1, 7):
        assert sum(int(row[n]) for row in got.rows) == got.totals[n]


async def test_ageing_is_by_customer_anyhow(books: Ledgers) -> None:
    assert (await reported(books, "ar_aging", group_by="customer")).rows == (await reported(books, "ar_aging")).rows


async def test_nobody_is_owed_anything(books: Ledgers) -> None:
    got = await reported(books, "ap_aging")
    assert (got.title, got.rows, got.totals) == ("AgedPayables", [], ["TOTAL", 0, 0, 0, 0, 0, 0])


async def test_profit_and_loss_is_what_was_billed_less_what_was_taken_back(books: Ledgers, company: Company) -> None:
    got = await reported(books, "profit_and_loss", since=SINCE)
    billed = sum(i.kept.net for i in kept(company) if i.status not in ("draft", "void"))
    back = sum(txn.net for txn in books.all("RefundReceipt"))
    lost = sum(txn.net for txn in books.all("CreditMemo"))
    assert got.basis == "accrual"
    assert named(got, "Income:Sales") == [billed - back]
    assert named(got, "Expenses:Bad debt") == [lost] != [0]
    assert got.totals == ["Net Income", billed - back - lost]


async def test_profit_and_loss_by_month_and_by_customer_adds_up(books: Ledgers) -> None:
    whole = await reported(books, "profit_and_loss", since=SINCE)
    for group, columns in (("month", 18), ("customer", 20)):
        grouping: Grouping = "month" if group == "month" else "customer"
        got = await reported(books, "profit_and_loss", since=SINCE, group_by=grouping)
        assert len(got.columns) > columns
        assert got.columns[-1] == "Total"
        for row in got.rows:
            amounts = [int(cell) for cell in row[1:]]
            assert sum(amounts[:-1]) == amounts[-1]
        assert got.totals is not None
        assert whole.totals is not None
        assert got.totals[-1] == whole.totals[-1]


async def test_a_period_is_that_period(books: Ledgers, company: Company) -> None:
    since, until = DAY - timedelta(days=120), DAY - timedelta(days=60)
    got = await books.quickbooks.report(ReportQuery("profit_and_loss", until, since))
    billed = sum(i.kept.net for i in kept(company) if i.status not in ("draft", "void") and since <= i.issued <= until)
    back = sum(txn.net for txn in books.all("RefundReceipt") if since <= txn.date <= until)
    assert named(got, "Income:Sales") == [billed - back]


async def test_the_balance_sheet_is_in_balance(books: Ledgers) -> None:
    got = await reported(books, "balance_sheet")
    assert named(got, "Total ASSETS") == named(got, "TOTAL LIABILITIES AND EQUITY") != [0]
    by_month = await reported(books, "balance_sheet", since=date(2026, 9, 1), group_by="month")
    assert by_month.columns == ["Account", "Sep 2026", "Oct 2026", "Nov 2026"]
    assert named(by_month, "Total ASSETS") == named(by_month, "TOTAL LIABILITIES AND EQUITY")
    assert named(by_month, "Total ASSETS")[-1:] == named(got, "Total ASSETS")


async def test_what_is_entered_on_an_account_with_others_under_it_is_said(books: Ledgers) -> None:
    got, held = await reported(books, "balance_sheet"), books.file.ledger.held()
    own, under = named(got, f"ASSETS:{BANK.name}"), named(got, f"ASSETS:{BANK.name}:{CLEARING.name}")
    assert (own, under) == ([held[BANK]], [held[CLEARING]])
    assert named(got, f"ASSETS:Total {BANK.name}") == [own[0] + under[0]]
    assert 0 not in (*own, *under)


async def test_the_balance_sheet_of_an_earlier_day_is_another(books: Ledgers) -> None:
    """A day without a start would be ignored."""
    earlier = await books.quickbooks.report(ReportQuery("balance_sheet", DAY - timedelta(days=200)))
    assert named(earlier, "Total ASSETS") < named(await reported(books, "balance_sheet"), "Total ASSETS")


async def test_the_trial_balance_balances(books: Ledgers) -> None:
    got = await reported(books, "trial_balance")
    assert got.totals is not None
    assert got.columns == ["Account", "Debit", "Credit"]
    assert (
        got.totals[1] == got.totals[2] == sum(int(row[1]) for row in got.rows) == sum(int(row[2]) for row in got.rows)
    )


async def test_a_long_table_is_cut_and_says_so(books: Ledgers) -> None:
    whole = await reported(books, "ar_aging")
    got = await books.quickbooks.report(ReportQuery("ar_aging", DAY, max_rows=2))
    assert (got.rows, got.totals, got.truncated_rows) == (whole.rows[:2], whole.totals, len(whole.rows) - 2)
    assert whole.truncated_rows is None


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("ar_aging", "month"),
        ("ap_aging", "customer"),
        ("balance_sheet", "customer"),
        ("trial_balance", "month"),
        ("trial_balance", "customer"),
    ],
)
async def test_what_cannot_be_grouped_so_is_refused_and_not_asked(
    books: Ledgers, name: ReportName, group: Grouping
) -> None:
    books.sandbox.requests.clear()
    with pytest.raises(InvalidInput, match=f"{name} cannot be grouped by {group}"):
        await reported(books, name, group_by=group)
    assert not any("/reports/" in entry.path for entry in books.sandbox.requests)


async def test_a_report_that_quickbooks_does_not_have_and_another_currency_are_refused(books: Ledgers) -> None:
    with pytest.raises(InvalidInput, match="no report revenue"):
        await reported(books, "revenue")
    with pytest.raises(InvalidInput, match="USD, only"):
        await reported(books, "ar_aging", currency="JPY")
    assert (await reported(books, "ar_aging", currency="USD")).currency == "USD"
    assert books.quickbooks.reports == {
        "ar_aging",
        "ap_aging",
        "profit_and_loss",
        "balance_sheet",
        "trial_balance",
    }


NESTED: dict[str, Any] = {
    "Header": {"ReportName": "ProfitAndLoss", "Currency": "KWD", "ReportBasis": "Cash"},
    "Columns": {"Column": [{"ColTitle": "", "ColType": "Account"}, {"ColTitle": "Total", "ColType": "Money"}]},
    "Rows": {
        "Row": [
            {
                "Header": {"ColData": [{"value": "Income"}, {"value": ""}]},
                "Rows": {
                    "Row": [
                        {
                            "Header": {"ColData": [{"value": "Design", "id": "3"}, {"value": "2.000"}]},
                            "Rows": {"Row": [{"ColData": [{"value": "Gardens", "id": "4"}, {"value": "1.234"}]}]},
                            "Summary": {"ColData": [{"value": "Total Design"}, {"value": "3.234"}]},
                        },
                        {"ColData": [{"value": "Nothing"}, {"value": ""}]},
                    ]
                },
                "Summary": {"ColData": [{"value": "Total Income"}, {"value": "3.234"}]},
            },
            {"Summary": {"ColData": [{"value": "Net Income"}, {"value": "-1.500"}]}, "group": "NetIncome"},
        ]
    },
}


def test_nested_rows_come_one_under_the_other_named_with_their_sections() -> None:
    assert table(NESTED, max_rows=25) == Table(
        system="quickbooks",
        title="ProfitAndLoss",
        currency="KWD",
        basis="cash",
        columns=["Account", "Total"],
        rows=[
            ["Income:Design", 2000],
            ["Income:Design:Gardens", 1234],
            ["Income:Total Design", 3234],
            ["Income:Nothing", 0],
            ["Total Income", 3234],
        ],
        totals=["Net Income", -1500],
    )


def test_a_report_of_nothing_has_no_rows() -> None:
    empty: dict[str, Any] = {**NESTED, "Rows": {}}
    assert (table(empty, max_rows=25).rows, table(empty, max_rows=25).totals) == ([], None)


BROKEN: list[Any] = [None, [], {}, {**NESTED, "Columns": None}, {**NESTED, "Header": {}}]


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_report_of_another_shape_is_not_guessed_at(broken: object) -> None:
    with pytest.raises(MalformedAnswer):
        await answering(broken).report(ReportQuery("ar_aging", DAY))
