"""Accounting reports, one table from each system that makes them. Tables of several companies are never added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

from backoffice_billing.models import Grouping, Report, ReportName, Table
from backoffice_billing.ports import Reporting, ReportQuery
from backoffice_shared.errors import InvalidInput
from backoffice_shared.principal import principal
from backoffice_shared.sources import fan_out

MOST_ROWS = 100
_YEARS = 5
_OF_A_PERIOD: frozenset[ReportName] = frozenset({"profit_and_loss", "revenue", "refunds", "cash"})
"""The others show how things stand on one day."""


@dataclass(frozen=True, slots=True)
class Reports:
    """`systems` in the order in which their tables are shown."""

    systems: Mapping[str, Reporting]

    async def get(
        self,
        report: ReportName,
        *,
        since: date | None,
        until: date,
        currency: str | None = None,
        group_by: Grouping = "none",
        max_rows: int = 25,
    ) -> Report:
        """One table from every system that has this report, of at most `max_rows` rows each. Without `since`, a
        report of a period begins with the month of `until`, and with its year when it is grouped by month.

        Raises:
            InvalidInput: no system has it, it cannot be of these days, or no system can group it so.
            BackofficeError: every system failed.
        """
        if not 1 <= max_rows <= MOST_ROWS:
            raise InvalidInput("", f"max_rows: {max_rows} is not between 1 and {MOST_ROWS}")
        since = _since(report, since, until, group_by)
        able = {name: system for name, system in self.systems.items() if report in system.reports}
        if not able:
            raise InvalidInput("", f"no system here makes the report {report}", hint=self._possible())
        query = ReportQuery(report, until, since, currency, group_by, max_rows)
        answers = (await fan_out({name: partial(system.report, query) for name, system in able.items()})).or_raise()
        tables = [_within(answers.values[name], max_rows) for name in able if name in answers.values]
        foreign = [table for table in tables if currency is not None and table.currency != currency]
        notes = [f"{table.system}: this is in {table.currency}, not converted to {currency}" for table in foreign]
        return Report(
            report=report, from_date=since, to_date=until, tables=tables, sources=answers.sources, notes=notes
        )

    def _possible(self) -> str:
        seen = [system.reports for name, system in self.systems.items() if principal().sees(name)]
        names = sorted(frozenset[str]().union(*seen))
        return f"There are {', '.join(names)}" if names else "None can be made: no accounting system is configured"


def _since(report: ReportName, from_date: date | None, to_date: date, group_by: Grouping) -> date | None:
    """The first day.

    Raises:
        InvalidInput: it has none, or not this one.
    """
    if report not in _OF_A_PERIOD:
        if from_date is not None:
            raise InvalidInput("", f"from_date: {report} is of one day", hint="Give to_date alone: that day")
        if group_by == "month":
            raise InvalidInput("", f"group_by: {report} is of one day, so it has no months", hint=_ONE_DAY)
        return None
    since = from_date or to_date.replace(day=1, month=1 if group_by == "month" else to_date.month)
    if since > to_date:
        raise InvalidInput("", f"from_date {since} is after to_date {to_date}")
    if (since.year + _YEARS, since.month, since.day) < (to_date.year, to_date.month, to_date.day):
        raise InvalidInput(
            "", f"from_date: {since} to {to_date} is more than {_YEARS} years", hint="Ask for fewer days"
        )
    return since


_ONE_DAY = 'Valid: "none", and "customer" for ar_aging and ap_aging where the system can'


def _within(table: Table, max_rows: int) -> Table:
    """Whatever a system gives, no more rows than were asked for; the table says how many are left out."""
    if (over := len(table.rows) - max_rows) <= 0:
        return table
    return table.model_copy(
        update={"rows": table.rows[:max_rows], "truncated_rows": (table.truncated_rows or 0) + over}
    )
