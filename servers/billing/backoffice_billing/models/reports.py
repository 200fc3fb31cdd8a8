"""Accounting reports, and what a comparison found."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

from backoffice_shared.envelope import Answer, Listing
from backoffice_shared.money import Money

ReportName = Literal[
    "ar_aging",
    "ap_aging",
    "profit_and_loss",
    "balance_sheet",
    "trial_balance",
    "revenue",
    "refunds",
    "cash",
]
Grouping = Literal["none", "month", "customer"]
Cell = str | int
DifferenceKind = Literal[
    "missing_in_ledger",
    "missing_in_provider",
    "doubled_in_ledger",
    "total_differs",
    "payment_missing_in_ledger",
    "payment_missing_in_provider",
    "refund_missing_in_ledger",
    "refund_missing_in_provider",
    "credit_differs",
    "status_differs",
    "order_differs",
]


class Table(BaseModel):
    """One system's answer. Cells are text, or integers: minor units of `currency`, or days, counts. `totals` is a last row."""

    system: str
    title: str
    currency: str
    basis: Literal["accrual", "cash"] | None = None
    columns: list[str]
    rows: list[list[Cell]]
    totals: list[Cell] | None = None
    truncated_rows: int | None = None


class Report(Answer):
    report: ReportName
    from_date: date | None = None
    to_date: date
    tables: list[Table]


class Side(BaseModel):
    """What one system has."""

    system: str
    id: str | None = None
    amount: Money | None = None
    status: str | None = None


class Difference(BaseModel):
    kind: DifferenceKind
    reference: str
    left: Side
    right: Side
    delta: Money | None = None
    suggested_fix: str


class Coverage(BaseModel):
    """What was compared: so many of a system's records, of these days. `complete`: all that there are."""

    system: str
    compared: int
    complete: bool


class Reconciliation(Listing[Difference]):
    matched_count: int = 0
    coverage: list[Coverage] = []
