"""Reports, and what the systems disagree about."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backoffice_billing.models import Grouping, Reconciliation, Report, ReportName
from backoffice_billing.services import TheReconciling, TheReports
from backoffice_shared.mcp.tool import READ, tool
from backoffice_shared.money import Currency
from backoffice_shared.parameters import Cursor, Day, Limit


@tool(READ, scope="billing:read", toolset="accounting", needs="reports")
async def get_report(
    reports: TheReports,
    report: ReportName,
    to_date: Day,
    from_date: Day | None = None,
    currency: Currency | None = None,
    group_by: Grouping = "none",
    max_rows: Annotated[int, Field(ge=1, le=100)] = 25,
) -> Report:
    """Accounting report as a small table."""
    return await reports.get(
        report, since=from_date, until=to_date, currency=currency, group_by=group_by, max_rows=max_rows
    )


@tool(READ, scope="billing:read", toolset="accounting", needs="ledger")
async def reconcile(
    reconciling: TheReconciling,
    scope_ref: Annotated[str, Field(min_length=1, max_length=254, description="Customer, invoice, order, payment")]
    | None = None,
    from_date: Day | None = None,
    to_date: Day | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
) -> Reconciliation:
    """Differences between payment provider, ledger and orders."""
    return await reconciling.compare(scope_ref, from_date, to_date, limit=limit, cursor=cursor)


TOOLS = (get_report, reconcile)
