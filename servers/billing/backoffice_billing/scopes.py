"""What is to be compared: everything of a period, or of one customer, one invoice, one order or one payment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from backoffice_billing.directory import Directory, is_email
from backoffice_billing.models import InvoiceRow
from backoffice_shared.errors import InvalidInput
from backoffice_shared.refs import Ref, parse_ref

_USUAL = timedelta(days=30)
"""Before its last day: how far a period without a first day goes back."""


@dataclass(frozen=True, slots=True)
class Customer:
    customer_id: str


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both included; None is without bound."""

    since: date | None
    until: date | None

    @property
    def is_empty(self) -> bool:
        return self.since is not None and self.until is not None and self.until < self.since

    def holds(self, day: date) -> bool:
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True)
class Window:
    """The days of the ledgers and of payments that are compared now, of the whole `period`. What belongs to another
    window is left to it. Of providers, the invoices that were listed now are compared, whatever their date; `in_parts`:
    they list others in other calls, which are `of` these customers (systems and native ids; None is anybody)."""

    days: Period = Period(None, None)
    period: Period = Period(None, None)
    in_parts: bool = False
    of: frozenset[tuple[str, str]] | None = None

    def is_for(self, day: date) -> bool:
        """Whether what is of this day belongs here: what is of no window at all belongs to every one that finds it."""
        return self.days.holds(day) or not self.period.holds(day)

    def leaves(self, row: InvoiceRow) -> bool:
        """Whether this invoice of a provider, which was not listed now, is compared where it is."""
        if not self.in_parts or not self.period.holds(row.issued_at):
            return False
        return (
            self.of is None or (row.invoice_id.partition(":")[0], (row.customer_id or "").rpartition(":")[2]) in self.of
        )


@dataclass(frozen=True, slots=True)
class Order:
    """`shop` is given by an id, whose `reference` is native; a number may be of any."""

    reference: str
    shop: str | None = None


Scope = Customer | Order | Ref | None
"""A Ref is that of an invoice or a payment. None is everything."""


def scope_of(
    text: str | None,
    directory: Directory,
    *,
    invoices: Mapping[str, object],
    payments: Mapping[str, object],
    shops: Mapping[str, object],
) -> Scope:
    """
    Raises:
        InvalidInput: it is nothing that can be compared; the sentence names what can.
    """
    if text is None:
        return None
    stripped = text.strip()
    kind = stripped.split(":", 2)[1] if stripped.count(":") >= 2 else ""
    if kind == "invoice":
        return parse_ref(stripped, dict.fromkeys(invoices, "invoice"))
    if kind == "payment":
        return parse_ref(stripped, dict.fromkeys(payments, "payment"))
    if kind == "order":
        ref = parse_ref(stripped, dict.fromkeys(shops, "order"))
        return Order(ref.native, ref.backend)
    if kind in {accounts.account_kind for accounts in directory.systems.values()} or is_email(stripped):
        return Customer(stripped)
    if re.fullmatch(r"#?[0-9]{1,12}", stripped) and shops:
        return Order(stripped)
    raise InvalidInput(
        "",
        f"scope_ref: {text[:80]!r} is nothing that can be compared",
        hint="Give a customer's id or e-mail address, the id of an invoice, a payment or an order, or an "
        "order's number (#1042); or leave it out to compare everything of the period",
    )


def period_of(scope: Scope, from_date: date | None, to_date: date | None, today: date) -> Period:
    """Without dates: the 31 days up to today where everything is compared, and all that there is of one customer.

    Raises:
        InvalidInput: it ends before it begins.
    """
    if scope is not None:
        period = Period(from_date, to_date)
    elif from_date is None:
        last = to_date or today
        period = Period(last - _USUAL, last)
    else:
        period = Period(from_date, to_date or max(today, from_date))
    if period.since is not None and period.until is not None and period.since > period.until:
        raise InvalidInput("", f"from_date {period.since} is after to_date {period.until}")
    return period
