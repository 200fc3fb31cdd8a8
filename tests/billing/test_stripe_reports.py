"""Reports of Stripe: what was taken, given back, and moved."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pytest
from tests.billing.stripe_account import TODAY, Desk, desk

from backoffice_billing.backends.stripe.sandbox.account import fee_of
from backoffice_billing.backends.stripe.sandbox.ids import customer_id
from backoffice_billing.backends.stripe.sandbox.moves import DISPUTE_FEE
from backoffice_billing.models import Cell, ReportName
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput
from backoffice_shared.sandbox.books import Payment as Paid
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

SINCE, UNTIL = date(2026, 6, 1), date(2026, 10, 31)
EUROS = ReportQuery("revenue", until=UNTIL, since=SINCE, currency="EUR")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


def taken(stripe: Desk, currency: str = "EUR") -> list[Paid]:
    return [p for p in stripe.company.books.payments if not (p.bank or p.failed) and p.currency == currency]


def within(day: date) -> bool:
    return SINCE <= day <= UNTIL


def revenue(stripe: Desk) -> dict[str, list[int]]:
    """By month: how many payments, charged, refunded, net."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for paid in taken(stripe):
        if within(paid.at.date()):
            row = found[f"{paid.at:%Y-%m}"]
            row[0], row[1], row[3] = row[0] + 1, row[1] + paid.amount, row[3] + paid.amount
        for repaid in paid.refunds:
            if within(repaid.at.date()):
                row = found[f"{repaid.at:%Y-%m}"]
                row[2], row[3] = row[2] - repaid.amount, row[3] - repaid.amount
    return found


async def test_revenue_by_month_is_what_the_books_have(stripe: Desk) -> None:
    table = await stripe.reports.report(ReportQuery("revenue", UNTIL, SINCE, "EUR", "month"))
    expected = revenue(stripe)
    assert (table.title, table.currency, table.basis) == ("Revenue", "EUR", "cash")
    assert table.columns == ["month", "payments", "charged", "refunded", "net"]
    assert table.rows == [[month, *expected[month]] for month in sorted(expected)]
    assert len(table.rows) > 3
    assert table.totals == ["total", *(sum(row[n] for row in expected.values()) for n in range(4))]


async def test_without_groups_there_is_one_row(stripe: Desk) -> None:
    table = await stripe.reports.report(EUROS)
    expected = revenue(stripe)
    assert table.rows == [["all", *(sum(row[n] for row in expected.values()) for n in range(4))]]
    assert (table.totals, table.truncated_rows) == (None, None)


async def test_refunds_by_customer_come_with_the_largest_first_and_say_what_is_left_out(stripe: Desk) -> None:
    expected: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for paid in taken(stripe, "USD"):
        billed = stripe.company.books.bills(stripe.company.people[paid.person])
        name = f"stripe:customer:{customer_id(paid.person)}" if billed else "no customer"
        for repaid in paid.refunds:
            expected[name] += repaid.amount
            counts[name] += 1
    rows: list[list[Cell]] = [
        [name, counts[name], expected[name]] for name in sorted(expected, key=lambda name: (-expected[name], name))
    ]
    query = ReportQuery("refunds", TODAY.date(), date(2025, 1, 1), "USD", "customer", max_rows=2)
    table = await stripe.reports.report(query)
    assert len(rows) > 3
    assert (table.rows, table.truncated_rows) == (rows[:2], len(rows) - 2)
    assert table.totals == ["total", sum(counts.values()), sum(expected.values())]


async def test_cash_is_what_the_balance_changed_by(stripe: Desk) -> None:
    query = ReportQuery("cash", TODAY.date(), date(2024, 1, 1), "EUR")
    [row] = (await stripe.reports.report(query)).rows
    payments = taken(stripe)
    charged, refunded = sum(p.amount for p in payments), sum(r.amount for p in payments for r in p.refunds)
    disputed = [p for p in payments if p.disputed]
    lost = sum(p.amount for p in disputed if p.disputed != "won")
    fees = sum(fee_of(p.amount) for p in payments) + DISPUTE_FEE * len(disputed)
    assert row == ["all", charged, -refunded, -lost, 0, -fees, charged - refunded - lost - fees]
    assert row[-1] == stripe.state.balance["eur"]


async def test_a_report_of_one_day_is_of_that_day(stripe: Desk) -> None:
    paid = next(p for p in taken(stripe) if not p.refunds)
    table = await stripe.reports.report(ReportQuery("revenue", until=paid.at.date(), currency="EUR"))
    that_day = [p for p in taken(stripe) if p.at.date() == paid.at.date()]
    assert table.rows[0][1:3] == [len(that_day), sum(p.amount for p in that_day)]


async def test_days_without_money_have_no_rows(stripe: Desk) -> None:
    table = await stripe.reports.report(ReportQuery("revenue", until=date(2020, 1, 1), currency="JPY"))
    assert (table.currency, table.rows) == ("JPY", [])


async def test_several_currencies_are_not_added_up(stripe: Desk) -> None:
    with pytest.raises(InvalidInput, match="there is money in BRL, EUR, GBP, JPY, USD"):
        await stripe.reports.report(ReportQuery("revenue", until=TODAY.date(), since=date(2025, 1, 1)))


async def test_cash_is_not_known_by_customer(stripe: Desk) -> None:
    with pytest.raises(InvalidInput, match="cannot be grouped by customer"):
        await stripe.reports.report(ReportQuery("cash", UNTIL, SINCE, "EUR", "customer"))


@pytest.mark.parametrize("name", ["ar_aging", "balance_sheet"])
async def test_what_stripe_does_not_keep_is_no_report_of_its(stripe: Desk, name: ReportName) -> None:
    assert name not in stripe.reports.reports
    with pytest.raises(InvalidInput, match="there is no report"):
        await stripe.reports.report(ReportQuery(name, until=UNTIL))


async def test_what_failed_and_what_is_pending_is_no_revenue(stripe: Desk) -> None:
    form = {"amount": "5000", "currency": "eur", "confirm": "true"}
    for method in ("pm_card_visa_chargeDeclined", "pm_usBankAccount_success"):
        await stripe.wire("POST", "/v1/payment_intents", form={**form, "payment_method": method})
    today = stripe.present().date()
    assert (await stripe.reports.report(ReportQuery("revenue", until=today, currency="EUR"))).rows == []
