"""Xero's reports as tables, and how old what is owed is.

A report of Xero's is rows of text: a header, sections with rows, summary rows. Its numbers become minor units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import day, decimal, maybe_day, money
from backoffice_billing.models import Cell, Table
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, exponent, from_decimal, nothing, to_decimal, total

Place = tuple[str, str]
"""A section of a report, and a line in it."""


@dataclass
class Statement:
    """`rows` are amounts by their place, in the report's order; those that add up others are marked in `sums`."""

    title: str
    columns: list[str]
    rows: dict[Place, list[Cell]] = field(default_factory=dict[Place, list[Cell]])
    sums: set[Place] = field(default_factory=set[Place])


def statement(wire: Any, currency: str) -> Statement:
    report = wire["Reports"][0]
    header, *_ = (row for row in report["Rows"] if row["RowType"] == "Header")
    found = Statement(str(report["ReportName"]), [_text(cell) for cell in header["Cells"]][1:])
    for row in report["Rows"]:
        if row["RowType"] == "Section":
            for line in arr(row.get("Rows")):
                _add(found, str(row.get("Title") or ""), line, currency)
        elif row["RowType"] in ("Row", "SummaryRow"):
            _add(found, "", row, currency)
    return found


def _add(found: Statement, section: str, line: dict[str, Any], currency: str) -> None:
    label, *amounts = line["Cells"]
    place = section, _text(label)
    found.rows[place] = [_amount(cell, currency) for cell in amounts]
    if line["RowType"] == "SummaryRow":
        found.sums.add(place)


def _text(cell: Any) -> str:
    return str(obj(cell).get("Value") or "")


def _amount(cell: Any, currency: str) -> Cell:
    text = _text(cell)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return from_decimal(number, currency).amount


def table(found: Statement, currency: str, max_rows: int, *, adds_up: bool) -> Table:
    """`adds_up`: the last sum is of the whole report, and becomes the row of totals."""
    last = next(reversed(found.rows), None)
    totals = last if adds_up and last in found.sums else None
    rows: list[list[Cell]] = [
        [section, label, *amounts] for (section, label), amounts in found.rows.items() if (section, label) != totals
    ]
    return Table(
        system=XERO.name,
        title=found.title,
        currency=currency,
        basis="accrual",
        columns=["section", "account", *found.columns],
        rows=rows[:max_rows],
        totals=None if totals is None else ["", totals[1], *found.rows[totals]],
        truncated_rows=max(0, len(rows) - max_rows) or None,
    )


def side_by_side(months: Sequence[tuple[str, Statement]]) -> Statement:
    """One column for each month. A line that a month does not have was nothing in it."""
    joined = Statement(months[0][1].title, [month for month, _ in months])
    for place in dict.fromkeys(place for _, found in months for place in found.rows):
        joined.rows[place] = [found.rows.get(place, [0])[0] for _, found in months]
    joined.sums = {place for _, found in months for place in found.sums}
    last = next((place for place in reversed(joined.rows) if place in joined.sums), None)
    if last is not None:  # what adds up everything stays at the end, whatever months have lines of their own
        joined.rows[last] = joined.rows.pop(last)
    return joined


# --------------------------------------------------------------------------------------------------------- ageing

BUCKETS = ("not_due", "days_1_30", "days_31_60", "days_61_90", "older")


@dataclass(frozen=True)
class Owed:
    """An invoice, or a bill, as it stood on a day."""

    contact: str
    due: Money
    days: int

    @property
    def bucket(self) -> int:
        return 0 if self.days <= 0 else min(4, 1 + (self.days - 1) // 30)


def owed(wire: Mapping[str, Any], until: date) -> Owed:
    """What was still due at the end of this day: payments and credits that came later are left out of account."""
    currency = str(wire["CurrencyCode"])
    due = money(wire["Total"], currency) - total(_settled(wire, until, currency), currency)
    due_at = maybe_day(wire.get("DueDate")) or day(wire["Date"])
    contact = obj(wire.get("Contact"))
    return Owed(str(contact.get("Name") or contact.get("ContactID") or ""), due, (until - due_at).days)


def _settled(wire: Mapping[str, Any], until: date, currency: str) -> Iterable[Money]:
    for payment in arr(wire.get("Payments")):
        if day(payment["Date"]) <= until:
            yield money(payment["Amount"], currency)
    for name in ("CreditNotes", "Overpayments", "Prepayments"):
        for credit in arr(wire.get(name)):
            if day(credit["Date"]) <= until:
                yield money(credit["AppliedAmount"] if "AppliedAmount" in credit else credit["Total"], currency)


def in_base(amount: Money, rate: object, base: str) -> Money:
    """By the rate that the invoice bears: so much of its currency for one of the organisation's. Rounded to a minor
    unit.

    Raises:
        ValueError: it bears none.
    """
    if amount.currency == base:
        return amount
    if (one_is := decimal(rate)) <= 0:
        raise ValueError(f"no rate: {rate!r}")
    converted = Decimal(to_decimal(amount)) / one_is
    one = Decimal(1).scaleb(-exponent(base))
    return from_decimal(converted.quantize(one, ROUND_HALF_UP), base)


def ageing(entries: Sequence[Owed], currency: str, title: str, *, by_contact: bool, whose: str, max_rows: int) -> Table:
    groups: dict[str, list[Money]] = {}
    for entry in entries:
        sums = groups.setdefault(entry.contact if by_contact else "all", [nothing(currency)] * 5)
        sums[entry.bucket] += entry.due
    rows = sorted(([name, *_cells(sums)] for name, sums in groups.items()), key=lambda row: (-int(row[-1]), row[0]))
    columns = [total((sums[n] for sums in groups.values()), currency) for n in range(5)]
    return Table(
        system=XERO.name,
        title=title,
        currency=currency,
        basis="accrual",
        columns=[whose, *BUCKETS, "total"],
        rows=rows[:max_rows],
        totals=["total", *_cells(columns)],
        truncated_rows=max(0, len(rows) - max_rows) or None,
    )


def _cells(sums: Sequence[Money]) -> list[Cell]:
    return [*(entry.amount for entry in sums), sum(entry.amount for entry in sums)]
