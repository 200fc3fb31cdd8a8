"""The sandbox's reports, out of its journal; ageing out of what is open. All in the home currency.

Ageing shows what is open now, by how late it is on the day asked for: what was paid since then is not added back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from backoffice_billing.backends.quickbooks.sandbox.asked import day
from backoffice_billing.backends.quickbooks.sandbox.company_file import SIGNS, CompanyFile
from backoffice_billing.backends.quickbooks.sandbox.records import ACCOUNTS, HOME, PARENTS, full_name, text
from backoffice_billing.backends.quickbooks.sandbox.refusals import Refused
from backoffice_shared.sandbox.books import CHART, LedgerAccount

_BUCKETS = ("Current", "1 - 30", "31 - 60", "61 - 90", "91 and over")
_IDS = {account: native for native, account in ACCOUNTS.items()}


def report(file: CompanyFile, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
    match name:
        case "AgedReceivables":
            return _aged(file, name, asked)
        case "AgedPayables":
            return _report(name, asked, ["Vendor", *_BUCKETS, "Total"], [_total(["TOTAL", *[0] * 6])])
        case "ProfitAndLoss":
            return _profit_and_loss(file, asked)
        case "BalanceSheet":
            return _balance_sheet(file, asked)
        case "TrialBalance":
            return _trial_balance(file, asked)
        case _:
            raise Refused(500, f"Operation report {name[:40]} is not supported.")


def _period(file: CompanyFile, asked: Mapping[str, str]) -> tuple[date, date]:
    """An end without a start is ignored, as QuickBooks does: it is then this year until today."""
    today = file.now().date()
    if "start_date" in asked and "end_date" in asked:
        return day(asked["start_date"]), day(asked["end_date"])
    return today.replace(month=1, day=1), today


def _aged(file: CompanyFile, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
    on = day(asked["report_date"]) if "report_date" in asked else file.now().date()
    owed: dict[int, list[int]] = {}
    for kind, sign in SIGNS:
        for txn in file.tables[kind].open.values():
            if txn.date <= on:
                late = (on - (txn.due or txn.date)).days if kind == "Invoice" else 0
                bucket = 0 if late <= 0 else min((late - 1) // 30 + 1, 4)
                owed.setdefault(txn.customer, [0] * 5)[bucket] += sign * txn.balance
    named = sorted(owed, key=lambda native: file.customers[native].name)
    rows = [_data([file.customers[native].name, *owed[native], sum(owed[native])], str(native)) for native in named]
    sums = [sum(amounts[n] for amounts in owed.values()) for n in range(5)]
    rows.append(_total(["TOTAL", *sums, sum(sums)]))
    return _report(name, {**asked, "report_date": on.isoformat()}, ["Customer", *_BUCKETS, "Total"], rows)


def _profit_and_loss(file: CompanyFile, asked: Mapping[str, str]) -> dict[str, Any]:
    start, end = _period(file, asked)
    titles, amounts = _columns(file, asked, start, end)
    income = _section("Income", "revenue", amounts, sign=-1)
    expenses = _section("Expenses", "expense", amounts, sign=1)
    net = [
        -sum(column.get(account, 0) for account in CHART if account.kind in ("revenue", "expense"))
        for column in amounts
    ]
    return _report(
        "ProfitAndLoss", asked, ["Account", *titles], [income, expenses, _total(["Net Income", *net], "NetIncome")]
    )


def _columns(
    file: CompanyFile, asked: Mapping[str, str], start: date, end: date
) -> tuple[list[str], list[dict[LedgerAccount, int]]]:
    match asked.get("summarize_column_by", "Total"):
        case "Total":
            return ["Total"], [file.ledger.held(since=start, until=end)]
        case "Month":
            months = list(_months(start, end))
            held = [file.ledger.held(since=first, until=last) for first, last in months]
            titles = [first.strftime("%b %Y") for first, _ in months]
        case "Customers":
            by_customer: dict[int, dict[LedgerAccount, int]] = {}
            accounts = {account.name: account for account in CHART}
            for (on, customer, account), part in file.ledger.sales.items():
                if start <= on <= end:
                    column = by_customer.setdefault(customer, {})
                    column[accounts[account]] = column.get(accounts[account], 0) + part
            natives = sorted(by_customer, key=lambda native: file.customers[native].name)
            titles, held = [file.customers[native].name for native in natives], [by_customer[n] for n in natives]
        case other:
            raise Refused(2170, f"Invalid Enumeration : {other[:40]}", "summarize_column_by")
    return [*titles, "Total"], [*held, file.ledger.held(since=start, until=end)]


def _months(start: date, end: date) -> Iterable[tuple[date, date]]:
    first = start
    while first <= end:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield first, min(end, following - timedelta(days=1))
        first = following


def _section(title: str, kind: str, columns: Sequence[Mapping[LedgerAccount, int]], *, sign: int) -> dict[str, Any]:
    accounts = [account for account in CHART if account.kind == kind]
    rows = [
        row
        for account in accounts
        if account not in PARENTS and (row := _of_account(account, columns, sign=sign)) is not None
    ]
    sums = [sign * sum(column.get(account, 0) for account in accounts) for column in columns]
    return {
        "Header": {"ColData": _cells([title, *[""] * len(columns)])},
        "Rows": {"Row": rows},
        "Summary": {"ColData": _cells([f"Total {title}", *sums])},
        "type": "Section",
        "group": title,
    }


def _of_account(
    account: LedgerAccount, columns: Sequence[Mapping[LedgerAccount, int]], *, sign: int
) -> dict[str, Any] | None:
    """A row, or with accounts under it a section, whose header has what is entered on the account itself."""
    own = _data([account.name, *(sign * column.get(account, 0) for column in columns)], _IDS[account])
    under = [child for child, parent in PARENTS.items() if parent == account]
    rows = [row for child in under if (row := _of_account(child, columns, sign=sign)) is not None]
    if not rows:
        return own if any(column.get(account) for column in columns) else None
    sums = [sign * sum(column.get(each, 0) for each in (account, *under)) for column in columns]
    return {
        "Header": {"ColData": own["ColData"]},
        "Rows": {"Row": rows},
        "Summary": {"ColData": _cells([f"Total {account.name}", *sums])},
        "type": "Section",
    }


def _balance_sheet(file: CompanyFile, asked: Mapping[str, str]) -> dict[str, Any]:
    start, end = _period(file, asked)
    if asked.get("summarize_column_by", "Total") == "Month":
        ends = [last for _, last in _months(start, end)]
        titles, columns = [last.strftime("%b %Y") for last in ends], [file.ledger.held(until=last) for last in ends]
    else:
        titles, columns = ["Total"], [file.ledger.held(until=end)]
    assets = _section("ASSETS", "asset", columns, sign=1)
    liabilities = _section("Liabilities", "liability", columns, sign=-1)
    earned = [
        -sum(part for account, part in column.items() if account.kind in ("revenue", "expense")) for column in columns
    ]
    owing = [-sum(part for account, part in column.items() if account.kind == "liability") for column in columns]
    equity = {
        "Header": {"ColData": _cells(["Equity", *[""] * len(columns)])},
        "Rows": {"Row": [_data(["Net Income", *earned])]},
        "Summary": {"ColData": _cells(["Total Equity", *earned])},
        "type": "Section",
        "group": "Equity",
    }
    both = [owed + own for owed, own in zip(owing, earned, strict=True)]
    other = {
        "Header": {"ColData": _cells(["LIABILITIES AND EQUITY", *[""] * len(columns)])},
        "Rows": {"Row": [liabilities, equity]},
        "Summary": {"ColData": _cells(["TOTAL LIABILITIES AND EQUITY", *both])},
        "type": "Section",
        "group": "TotalLiabilitiesAndEquity",
    }
    return _report("BalanceSheet", asked, ["Account", *titles], [assets, other])


def _trial_balance(file: CompanyFile, asked: Mapping[str, str]) -> dict[str, Any]:
    _, end = _period(file, asked)
    held = file.ledger.held(until=end)
    rows = [_data([full_name(a), max(held[a], 0), max(-held[a], 0)], _IDS[a], blank=True) for a in CHART if held.get(a)]
    debits, credits_ = sum(max(part, 0) for part in held.values()), sum(max(-part, 0) for part in held.values())
    return _report("TrialBalance", asked, ["Account", "Debit", "Credit"], [*rows, _total(["TOTAL", debits, credits_])])


# --------------------------------------------------------------------------------------------------------- the wire


def _report(name: str, asked: Mapping[str, str], columns: Sequence[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    first, *money = columns
    header: dict[str, Any] = {
        "Time": "2026-11-22T08:51:44-08:00",
        "ReportName": name,
        "Currency": HOME,
        "Option": [{"Name": "NoReportData", "Value": "false"}],
    }
    if not name.startswith("Aged"):
        header["ReportBasis"] = "Accrual"
        header["SummarizeColumnsBy"] = asked.get("summarize_column_by", "Total")
    if "start_date" in asked and "end_date" in asked:
        header |= {"StartPeriod": asked["start_date"], "EndPeriod": asked["end_date"]}
    named = [{"ColTitle": "", "ColType": first}, *({"ColTitle": title, "ColType": "Money"} for title in money)]
    return {"Header": header, "Columns": {"Column": named}, "Rows": {"Row": rows}}


def _data(cells: Sequence[str | int], native: str | None = None, *, blank: bool = False) -> dict[str, Any]:
    data = _cells(cells, blank=blank)
    if native is not None:
        data[0]["id"] = native
    return {"ColData": data, "type": "Data"}


def _total(cells: Sequence[str | int], group: str = "GrandTotal") -> dict[str, Any]:
    return {"Summary": {"ColData": _cells(cells)}, "type": "Section", "group": group}


def _cells(cells: Sequence[str | int], *, blank: bool = False) -> list[dict[str, Any]]:
    """`blank`: nothing is written as nothing."""
    return [
        {"value": cell if isinstance(cell, str) else "" if blank and not cell else text(cell, HOME)} for cell in cells
    ]
