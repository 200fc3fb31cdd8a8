"""Reports from the journal, in the organisation's base currency: each account's amounts are converted at the
sandbox's fixed rates. What that rounds off is an account of its own, as in Xero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from backoffice_billing.backends.xero.sandbox.org import Org
from backoffice_billing.backends.xero.sandbox.records import BASE, PAYABLE, RATES
from backoffice_billing.backends.xero.sandbox.wire import Record, code_id, written
from backoffice_shared.money import Money, exponent, to_decimal
from backoffice_shared.sandbox.books import BANK, CHART, CLEARING, RECEIVABLE, TAX, LedgerAccount

ROUNDING = LedgerAccount("860", "Rounding", "expense")
EARNINGS = LedgerAccount("960", "Current Year Earnings", "equity")

Balances = Mapping[LedgerAccount, int]
"""Debits less credits, in minor units of the base currency."""


def balances(org: Org, *, until: date, since: date | None = None) -> Balances:
    sums: defaultdict[LedgerAccount, int] = defaultdict(int)
    for (account, currency), amount in org.journal.balances(until=until, since=since).items():
        sums[account] += _in_base(amount.amount, currency)
    if rounded := sum(sums.values()):
        sums[ROUNDING] -= rounded
    return sums


def _in_base(minor: int, currency: str) -> int:
    exact = Decimal(minor).scaleb(-exponent(currency)) / RATES[currency]
    return int(exact.scaleb(exponent(BASE)).quantize(Decimal(1), ROUND_HALF_UP))


def profit_and_loss(org: Org, since: date, until: date) -> Record:
    found = balances(org, until=until, since=since)
    income = [(account, -found[account]) for account in _of(found, "revenue")]
    costs = [(account, found[account]) for account in _of(found, "expense")]
    earned, spent = sum(amount for _, amount in income), sum(amount for _, amount in costs)
    rows = [
        _section("Income", income, "Total Income", earned),
        _section("Less Operating Expenses", costs, "Total Operating Expenses", spent),
        {"RowType": "Section", "Title": "", "Rows": [_sum("Net Profit", earned - spent)]},
    ]
    title = f"{since:%-d %B %Y} to {until:%-d %B %Y}"
    return _report(org, "Profit and Loss", "ProfitAndLoss", title, ["", f"{until:%-d %b %y}"], rows)


def balance_sheet(org: Org, until: date) -> Record:
    found = balances(org, until=until)
    bank = [(BANK, found[BANK])] if found.get(BANK) else []
    assets = [(account, found[account]) for account in (CLEARING, RECEIVABLE) if found.get(account)]
    owed = [(account, -found[account]) for account in (TAX, PAYABLE) if found.get(account)]
    earnings = -sum(found[account] for account in (*_of(found, "revenue"), *_of(found, "expense")))
    has, owes = sum(a for _, a in (*bank, *assets)), sum(a for _, a in owed)
    nothing: list[Record] = []
    rows: list[Record] = [
        {"RowType": "Section", "Title": "Assets", "Rows": nothing},
        _section("Bank", bank, "Total Bank", sum(a for _, a in bank)),
        _section("Current Assets", assets, "Total Current Assets", sum(a for _, a in assets)),
        {"RowType": "Section", "Title": "", "Rows": [_sum("Total Assets", has)]},
        {"RowType": "Section", "Title": "Liabilities", "Rows": nothing},
        _section("Current Liabilities", owed, "Total Current Liabilities", owes),
        {"RowType": "Section", "Title": "", "Rows": [_sum("Total Liabilities", owes)]},
        {"RowType": "Section", "Title": "", "Rows": [_sum("Net Assets", has - owes)]},
        _section("Equity", [(EARNINGS, earnings)], "Total Equity", earnings),
    ]
    heading = f"{until:%-d %b %Y}"
    return _report(org, "Balance Sheet", "BalanceSheet", f"As at {until:%-d %B %Y}", ["", heading], rows)


def trial_balance(org: Org, until: date) -> Record:
    """Of the month until that day, and of the year."""
    month, year = (
        balances(org, until=until, since=until.replace(day=1)),
        balances(org, until=until),
    )
    groups = (("Revenue", "revenue"), ("Expenses", "expense"), ("Assets", "asset"), ("Liabilities", "liability"))
    rows: list[Record] = []
    for title, kind in groups:
        lines = [
            _row(account, f"{account.name} ({account.code})", *_sides(month.get(account, 0)), *_sides(year[account]))
            for account in _of(year, kind)
        ]
        rows.append({"RowType": "Section", "Title": title, "Rows": lines})
    sums = [_side(found.values(), sign) for found in (month, year) for sign in (1, -1)]
    rows.append({"RowType": "Section", "Title": "", "Rows": [_cells("SummaryRow", ["Total", *map(_text, sums)])]})
    header = ["Account", "Debit", "Credit", "YTD Debit", "YTD Credit"]
    return _report(org, "Trial Balance", "TrialBalance", f"As at {until:%-d %B %Y}", header, rows)


def aged(org: Org, contact: str, kind: str, until: date) -> Record:
    """One contact's open invoices, or bills, of that day."""
    name = "Aged Receivables By Contact" if kind == "ACCREC" else "Aged Payables By Contact"
    header = ["Date", "Number", "Due Date", "", "Total", "Paid", "Credited", "Due"]
    open_ = [
        document
        for document in (org.documents[one] for one in org.documents_of.get(contact, ()))
        if document.type == kind and document.status == "AUTHORISED" and document.date <= until
    ]
    lines = [
        _cells(
            "Row",
            [
                f"{document.date}T00:00:00",
                document.number,
                f"{document.due}T00:00:00" if document.due else "",
                f"{(until - document.due).days} days overdue" if document.due and document.due < until else "",
                *(
                    to_decimal(Money(amount=amount, currency=document.currency))
                    for amount in (document.total, org.settled(document), org.applied(document), org.due(document))
                ),
            ],
        )
        for document in sorted(open_, key=lambda document: document.date)
    ]
    rows: list[Record] = [{"RowType": "Section", "Title": "", "Rows": lines}]
    return _report(org, name, name.replace(" ", ""), f"Showing payments to {until:%-d %B %Y}", header, rows)


# ------------------------------------------------------------------------------------------------------------ rows


def _of(found: Balances, kind: str) -> list[LedgerAccount]:
    return [account for account in (*CHART, PAYABLE, ROUNDING) if account.kind == kind and found.get(account)]


def _section(title: str, lines: Iterable[tuple[LedgerAccount, int]], label: str, amount: int) -> Record:
    rows = [_row(account, account.name, _text(part)) for account, part in lines]
    return {"RowType": "Section", "Title": title, "Rows": [*rows, _sum(label, amount)]}


def _row(account: LedgerAccount, *texts: str) -> Record:
    attributes = [{"Value": code_id(account.code), "Id": "account"}]
    return {"RowType": "Row", "Cells": [{"Value": text, "Attributes": attributes} for text in texts]}


def _sum(label: str, amount: int) -> Record:
    return _cells("SummaryRow", [label, _text(amount)])


def _cells(kind: str, texts: Iterable[str]) -> Record:
    return {"RowType": kind, "Cells": [{"Value": text} for text in texts]}


def _text(minor: int) -> str:
    return to_decimal(Money(amount=minor, currency=BASE))


def _sides(amount: int) -> tuple[str, str]:
    """Debit and credit, one of them empty."""
    return ("", _text(-amount)) if amount < 0 else (_text(amount), "")


def _side(amounts: Iterable[int], sign: int) -> int:
    return sum(sign * amount for amount in amounts if sign * amount > 0)


def _report(org: Org, name: str, kind: str, period: str, header: list[str], rows: list[Record]) -> Record:
    return {
        "ReportID": kind,
        "ReportName": name,
        "ReportType": kind,
        "ReportTitles": [name, org.company.name, period],
        "ReportDate": f"{org.today:%-d %B %Y}",
        "UpdatedDateUTC": written(org.now),
        "Fields": [],
        "Rows": [_cells("Header", header), *rows],
    }
