"""The organisation's reports. Xero's own are in its base currency.

Xero tells how old debts are only of one contact at a time. So ageing is computed here, from the invoices or bills that
were open at the end of the day. Of a past day, payments and credits since then are left out of account; an invoice that
was voided since is not seen any more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

from backoffice_billing.backends.xero.access import API, XERO
from backoffice_billing.backends.xero.api import Api, Reads, Wire
from backoffice_billing.backends.xero.tables import (
    Owed,
    Statement,
    ageing,
    in_base,
    owed,
    side_by_side,
    statement,
    table,
)
from backoffice_billing.backends.xero.where import every, on, word
from backoffice_billing.models import ReportName, Table
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.client import Params

FRESH = 300.0  # seconds
MOST_MONTHS = 12

_STATEMENTS: dict[ReportName, str] = {
    "profit_and_loss": "ProfitAndLoss",
    "balance_sheet": "BalanceSheet",
    "trial_balance": "TrialBalance",
}
_AGEING: dict[ReportName, tuple[str, str]] = {"ar_aging": ("ACCREC", "customer"), "ap_aging": ("ACCPAY", "supplier")}


REPORTS: frozenset[ReportName] = frozenset({*_STATEMENTS, *_AGEING})


class Reports:
    def __init__(self, api: Api, today: Callable[[], date]) -> None:
        self._api = api
        self._today = today

    async def report(self, query: ReportQuery) -> Table:
        base = str((await self._api.list_of("Organisation", 3_600))[0]["BaseCurrency"])
        if query.name in _AGEING:
            return await self._ageing(query, base)
        if query.name not in _STATEMENTS:
            raise InvalidInput(XERO.title, f"it has no report {query.name}")
        return await self._statement(query, base)

    # ---------------------------------------------------------------------------------------------------- statements

    async def _statement(self, query: ReportQuery, base: str) -> Table:
        if query.group_by == "customer":
            raise InvalidInput(XERO.title, f"{query.name} cannot be grouped by customer")
        if query.group_by == "month":
            if query.name != "profit_and_loss":
                raise InvalidInput(XERO.title, f"{query.name} is of one day, and cannot be grouped by month")
            months = _months(self._since(query), query.until)
            found = [
                (f"{since:%Y-%m}", await self._read(query.name, _span(since, until), base)) for since, until in months
            ]
            return table(side_by_side(found), base, query.max_rows, adds_up=True)
        asked = _span(self._since(query), query.until) if query.name == "profit_and_loss" else _on(query.until)
        found = await self._read(query.name, asked, base)
        return table(found, base, query.max_rows, adds_up=query.name != "balance_sheet")

    @staticmethod
    def _since(query: ReportQuery) -> date:
        """Of the month when nothing else is said, as Xero does it."""
        since = query.since or query.until.replace(day=1)
        if since > query.until:
            raise InvalidInput("", "from_date is after to_date")
        return since

    async def _read(self, name: ReportName, asked: Params, base: str) -> Statement:
        return await self._api.http.read(
            f"reports.{name}",
            f"{API}/Reports/{_STATEMENTS[name]}",
            params={**asked, "standardLayout": True} if name != "trial_balance" else asked,
            into=partial(statement, currency=base),
            fresh_for=FRESH,
            tags=("invoices", "payments"),
        )

    # -------------------------------------------------------------------------------------------------------- ageing

    async def _ageing(self, query: ReportQuery, base: str) -> Table:
        """In `currency` alone what is in it; else everything, in the base currency."""
        if query.group_by == "month":
            raise InvalidInput(XERO.title, f"{query.name} is of one day, and cannot be grouped by month")
        kind, whose = _AGEING[query.name]
        currency = query.currency or base

        def entry(wire: Wire) -> Owed | None:
            found = owed(wire, query.until)
            if not found.due or query.currency not in (None, found.due.currency):
                return None
            return Owed(found.contact, in_base(found.due, wire.get("CurrencyRate"), currency), found.days)

        entries = [found for found in map(entry, await self._open(kind, query.until, entry)) if found is not None]
        title = f"Aged {'receivables' if kind == 'ACCREC' else 'payables'} on {query.until}"
        by_contact = query.group_by == "customer"
        return ageing(entries, currency, title, by_contact=by_contact, whose=whose, max_rows=query.max_rows)

    async def _open(self, kind: str, until: date, reads: Reads) -> list[Wire]:
        conditions = [word("Type", kind), on("Date", "<=", until)]
        asked = {"Statuses": "AUTHORISED", "where": every(conditions), "order": "Date DESC"}
        still = await self._api.every("Invoices", asked, fresh_for=FRESH, reads=reads)
        if until >= self._today():
            return still
        later = {**asked, "Statuses": "PAID", "where": every([*conditions, on("FullyPaidOnDate", ">", until)])}
        return [*still, *await self._api.every("Invoices", later, fresh_for=FRESH, reads=reads)]


def _span(since: date, until: date) -> Params:
    return {"fromDate": since.isoformat(), "toDate": until.isoformat()}


def _on(day: date) -> Params:
    return {"date": day.isoformat()}


def _months(since: date, until: date) -> list[tuple[date, date]]:
    """First and last day of each, of the first and last month as far as they are asked for."""
    months: list[tuple[date, date]] = []
    while since <= until:
        following = (since.replace(day=1) + timedelta(days=32)).replace(day=1)
        months.append((since, min(until, following - timedelta(days=1))))
        since = following
    if len(months) > MOST_MONTHS:
        raise InvalidInput(XERO.title, f"{len(months)} months are too many", hint=f"Ask for at most {MOST_MONTHS}")
    return months
