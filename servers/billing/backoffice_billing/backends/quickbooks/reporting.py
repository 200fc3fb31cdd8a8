"""QuickBooks' reports as tables. They are in the company's home currency.

Rows nest: a section has a header, rows and a summary. What is entered on an account that has others under it stands in
its header. Here rows are flat, and each is named with the sections that it is in: `Income:Services:Gardens`, as
QuickBooks itself writes such accounts, in whose names there is no colon.
https://developer.intuit.com/app/developer/qbo/docs/workflows/run-reports `end_date` without `start_date` is ignored
without a word: https://github.com/intuit/quickbooks-online-mcp-server/issues/41
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from backoffice_billing.backends.quickbooks.access import TITLE
from backoffice_billing.backends.quickbooks.amounts import money
from backoffice_billing.backends.quickbooks.realm import Realm
from backoffice_billing.models import Cell, Grouping, ReportName, Table
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr, obj

REPORTS: dict[ReportName, str] = {
    "ar_aging": "AgedReceivables",
    "ap_aging": "AgedPayables",
    "profit_and_loss": "ProfitAndLoss",
    "balance_sheet": "BalanceSheet",
    "trial_balance": "TrialBalance",
}
_AGED = ("ar_aging", "ap_aging")
_GROUPED: dict[ReportName, dict[Grouping, str]] = {
    "profit_and_loss": {"month": "Month", "customer": "Customers"},
    "balance_sheet": {"month": "Month"},
}
"""`summarize_column_by`, where it exists. Ageing has a row for each customer or supplier anyhow."""


@dataclass(frozen=True, slots=True)
class Reporting:
    realm: Realm

    async def report(self, query: ReportQuery) -> Table:
        name = REPORTS.get(query.name)
        if name is None:
            raise InvalidInput(TITLE, f"it has no report {query.name}", hint=f"It has {', '.join(REPORTS)}")
        home = (await self.realm.facts()).home
        if query.currency not in (None, home):
            raise InvalidInput(TITLE, f"it reports in the company's own currency, {home}, only")
        translate = partial(table, max_rows=query.max_rows)
        return await self.realm.report(name, translate, **_dates(query), **_grouping(query))


def _dates(query: ReportQuery) -> dict[str, str]:
    if query.name in _AGED:
        return {"report_date": query.until.isoformat()}
    since = query.since or (query.until if query.name == "balance_sheet" else query.until.replace(month=1, day=1))
    return {"start_date": since.isoformat(), "end_date": query.until.isoformat()}


def _grouping(query: ReportQuery) -> dict[str, str]:
    if query.group_by == "none" or (query.name == "ar_aging" and query.group_by == "customer"):
        return {}
    column = _GROUPED.get(query.name, {}).get(query.group_by)
    if column is None:
        raise InvalidInput(TITLE, f"group_by: {query.name} cannot be grouped by {query.group_by}")
    return {"summarize_column_by": column}


# ------------------------------------------------------------------------------------------------------- translation


def table(wire: Any, *, max_rows: int) -> Table:
    header = wire["Header"]
    currency = str(header["Currency"])
    columns = [obj(column) for column in wire["Columns"]["Column"]]
    rows = [(_cells(row, columns, currency), total) for row, total in _flat(obj(wire["Rows"]), ())]
    last = rows.pop()[0] if rows and rows[-1][1] else None
    return Table(
        system="quickbooks",
        title=str(header["ReportName"]),
        currency=currency,
        basis=_BASES.get(str(header.get("ReportBasis"))),
        columns=[str(column["ColTitle"] or column["ColType"]) for column in columns],
        rows=[row for row, _ in rows[:max_rows]],
        totals=last,
        truncated_rows=len(rows) - max_rows if len(rows) > max_rows else None,
    )


_BASES: Mapping[str, Literal["accrual", "cash"]] = {"Accrual": "accrual", "Cash": "cash"}


def _flat(rows: dict[str, Any], within: tuple[str, ...]) -> Iterator[tuple[list[Any], bool]]:
    """Each row with amounts, and whether it sums up all of the report: a summary of nothing but what was before.
    `within` are the sections around these rows."""
    for row in arr(rows.get("Row")):
        inner, header = obj(row.get("Rows")), arr(obj(row.get("Header")).get("ColData"))
        if "ColData" in row:
            yield _named(row["ColData"], within), False
        if any(cell.get("value") for cell in header[1:]):
            yield _named(header, within), False
        title = str(header[0].get("value", "")) if header else ""
        yield from _flat(inner, (*within, title) if title else within)
        if "Summary" in row:
            yield _named(row["Summary"]["ColData"], within), not inner


def _named(cells: list[Any], within: tuple[str, ...]) -> list[Any]:
    first, *amounts = cells
    return [{**first, "value": ":".join((*within, str(first.get("value", ""))))}, *amounts]


def _cells(cells: list[Any], columns: list[dict[str, Any]], currency: str) -> list[Cell]:
    return [_cell(cell, column, currency) for cell, column in zip(cells, columns, strict=True)]


def _cell(cell: Any, column: dict[str, Any], currency: str) -> Cell:
    said = str(cell.get("value", ""))
    if column["ColType"] != "Money":
        return said
    return money(said or "0", currency).amount
