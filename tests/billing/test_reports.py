"""Accounting reports: of which days they can be, and one table from each system that makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from tests.billing.books import DOWN

from backoffice_billing.models import Grouping, ReportName, Table
from backoffice_billing.ports import ReportQuery
from backoffice_billing.reports import Reports
from backoffice_shared.errors import BackendUnavailable, BackofficeError, InvalidInput, PermissionDenied
from backoffice_shared.principal import Principal, acting

pytestmark = pytest.mark.anyio

MARCH = date(2026, 3, 31)


@dataclass
class Accountant:
    """Makes reports of so many rows, whatever number is wanted."""

    name: str
    reports: frozenset[ReportName]
    rows: int = 3
    currency: str = "EUR"
    groups: frozenset[Grouping] = frozenset({"none"})
    error: BackofficeError | None = None
    asked: list[ReportQuery] = field(default_factory=list[ReportQuery])

    async def report(self, query: ReportQuery) -> Table:
        self.asked.append(query)
        if self.error is not None:
            raise self.error
        if query.group_by not in self.groups:
            raise InvalidInput("", f"{self.name} cannot group {query.name} by {query.group_by}")
        rows: list[list[str | int]] = [[f"row {n}", n] for n in range(self.rows)]
        return Table(
            system=self.name,
            title=query.name,
            currency=self.currency,
            columns=["what", "amount"],
            rows=rows,
            totals=["", 3],
        )


def stripe() -> Accountant:
    return Accountant("stripe", frozenset({"revenue", "refunds", "cash"}), groups=frozenset({"none", "month"}))


def xero() -> Accountant:
    return Accountant("xero", frozenset({"ar_aging", "balance_sheet", "profit_and_loss"}), currency="EUR")


def quickbooks() -> Accountant:
    return Accountant(
        "quickbooks",
        frozenset({"ar_aging", "balance_sheet", "profit_and_loss"}),
        currency="USD",
        groups=frozenset({"none", "month", "customer"}),
    )


def of(*systems: Accountant) -> Reports:
    return Reports({system.name: system for system in systems})


async def test_every_system_that_makes_a_report_gives_a_table():
    found = await of(stripe(), xero(), quickbooks()).get("balance_sheet", since=None, until=MARCH)
    assert [table.system for table in found.tables] == ["xero", "quickbooks"]
    assert [source.backend for source in found.sources] == ["xero", "quickbooks"]
    assert (found.report, found.from_date, found.to_date, found.notes) == ("balance_sheet", None, MARCH, [])


@pytest.mark.parametrize(("grouping", "since"), [("none", date(2026, 3, 1)), ("month", date(2026, 1, 1))])
async def test_a_report_of_a_period_begins_with_the_month_or_with_the_year_of_its_months(
    grouping: Grouping, since: date
):
    system = stripe()
    found = await of(system).get("revenue", since=None, until=MARCH, group_by=grouping, currency="EUR", max_rows=7)
    assert system.asked == [ReportQuery("revenue", MARCH, since, "EUR", grouping, 7)]
    assert (found.from_date, found.to_date) == (since, MARCH)


@pytest.mark.parametrize("report", ["ar_aging", "ap_aging", "balance_sheet", "trial_balance"])
async def test_a_report_of_one_day_has_no_first_day_and_no_months(report: ReportName):
    system = Accountant("xero", frozenset({report}))
    with pytest.raises(InvalidInput, match=f"from_date: {report} is of one day"):
        await of(system).get(report, since=MARCH, until=MARCH)
    with pytest.raises(InvalidInput, match=f"group_by: {report} is of one day"):
        await of(system).get(report, since=None, until=MARCH, group_by="month")
    assert system.asked == []
    await of(system).get(report, since=None, until=MARCH)
    assert system.asked == [ReportQuery(report, MARCH)]


@pytest.mark.parametrize("report", ["profit_and_loss", "revenue", "refunds", "cash"])
async def test_a_period_begins_before_it_ends_and_is_five_years_at_most(report: ReportName):
    system = Accountant("stripe", frozenset({report}))
    ok = [(MARCH, MARCH), (date(2021, 3, 31), MARCH), (date(2019, 2, 28), date(2024, 2, 28)), (date.min, date(2, 1, 1))]
    for since, until in ok:
        await of(system).get(report, since=since, until=until)
    assert [(query.since, query.until) for query in system.asked] == ok
    for since, until, why in (
        (date(2026, 4, 1), MARCH, "is after to_date"),
        (date(2021, 3, 30), MARCH, "more than 5 years"),
        (date(2019, 2, 28), date(2024, 2, 29), "more than 5 years"),
        (date.min, date.max, "more than 5 years"),
    ):
        with pytest.raises(InvalidInput, match=why):
            await of(system).get(report, since=since, until=until)


async def test_no_table_has_more_rows_than_were_wanted_and_it_says_how_many_there_are():
    system = Accountant("xero", frozenset({"ar_aging"}), rows=30)
    for wanted, left in ((29, 1), (30, None), (1, 29)):
        (table,) = (await of(system).get("ar_aging", since=None, until=MARCH, max_rows=wanted)).tables
        assert (len(table.rows), table.truncated_rows, table.totals) == (wanted, left, ["", 3])
    for wanted in (0, 101, -1):
        with pytest.raises(InvalidInput, match="max_rows"):
            await of(system).get("ar_aging", since=None, until=MARCH, max_rows=wanted)


async def test_what_no_system_makes_is_refused_with_what_they_make():
    with pytest.raises(
        InvalidInput, match=r"no system here makes the report cash.*ar_aging, balance_sheet, profit_and"
    ):
        await of(xero()).get("cash", since=None, until=MARCH)
    with pytest.raises(InvalidInput, match="no accounting system is configured"):
        await of().get("cash", since=None, until=MARCH)


async def test_a_system_that_cannot_group_so_is_named_beside_the_table_of_one_that_can():
    found = await of(xero(), quickbooks()).get("ar_aging", since=None, until=MARCH, group_by="customer")
    assert [table.system for table in found.tables] == ["quickbooks"]
    assert [(s.backend, s.error_code) for s in found.sources if s.status == "error"] == [("xero", "invalid_input")]
    with pytest.raises(InvalidInput, match="xero cannot group ar_aging by customer"):
        await of(xero()).get("ar_aging", since=None, until=MARCH, group_by="customer")


async def test_a_system_that_fails_is_named_and_the_other_gives_its_table():
    broken = xero()
    broken.error = DOWN
    found = await of(broken, quickbooks()).get("balance_sheet", since=None, until=MARCH)
    assert [table.system for table in found.tables] == ["quickbooks"]
    assert [(s.backend, s.status) for s in found.sources] == [("xero", "error"), ("quickbooks", "ok")]
    with pytest.raises(BackendUnavailable):
        await of(broken).get("balance_sheet", since=None, until=MARCH)


async def test_a_system_that_the_caller_may_not_see_gives_nothing():
    unseen = xero()
    with acting(Principal("ada", "none", systems=frozenset({"quickbooks"}))):
        found = await of(unseen, quickbooks()).get("balance_sheet", since=None, until=MARCH)
        assert [table.system for table in found.tables] == ["quickbooks"]
        with pytest.raises(PermissionDenied):
            await of(unseen).get("balance_sheet", since=None, until=MARCH)
    assert unseen.asked == []


async def test_a_table_in_another_currency_than_was_wanted_says_so():
    found = await of(xero(), quickbooks()).get("balance_sheet", since=None, until=MARCH, currency="EUR")
    assert found.notes == ["quickbooks: this is in USD, not converted to EUR"]
