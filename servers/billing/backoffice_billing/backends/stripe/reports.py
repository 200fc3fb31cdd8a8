"""What Stripe took, gave back, and moved in some days, as small tables.

Sources: https://docs.stripe.com/api/charges/list, https://docs.stripe.com/api/refunds/list,
https://docs.stripe.com/api/balance_transactions/list, https://docs.stripe.com/reports/reporting-categories
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from backoffice_billing.backends.stripe.access import STRIPE
from backoffice_billing.backends.stripe.amounts import money_in
from backoffice_billing.backends.stripe.lists import every
from backoffice_billing.backends.stripe.paymentwire import GONE
from backoffice_billing.backends.stripe.wire import Wire, end_of, id_in, moment, start_of
from backoffice_billing.models import Cell, ReportName, Table
from backoffice_billing.ports import ReportQuery
from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.client import BackendClient
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sources import at_once

_FRESH = 300.0
_CASH = ("charges", "refunds", "disputes", "other", "fees", "net")
_CATEGORIES = {
    "charge": "charges",
    "refund": "refunds",
    "refund_failure": "refunds",
    "partial_capture_reversal": "refunds",
    "charge_failure": "charges",
    "dispute": "disputes",
    "dispute_reversal": "disputes",
}

Amounts = tuple[int, ...]
Entry = tuple[str, str, Amounts]
"""A currency, a group, and what is to be added up there, in minor units."""


class StripeReports:
    """Days are UTC. A table has one currency; without one in the query there must be only one in those days.

    revenue   what was charged, less what was given back, both on these days
    refunds   what was given back, without what failed
    cash      what the balance at Stripe changed by, without payouts to the bank; in the currency that Stripe settles in
    """

    reports: frozenset[ReportName] = frozenset({"revenue", "refunds", "cash"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def report(self, query: ReportQuery) -> Table:
        match query.name:
            case "revenue":
                charged, refunded = await at_once(self._charged(query), self._refunded(query))
                entries = [*charged, *((currency, group, (0, 0, -a, -a)) for currency, group, (_, a) in refunded)]
                return _table(query, "Revenue", ("payments", "charged", "refunded", "net"), entries)
            case "refunds":
                return _table(query, "Refunds", ("refunds", "amount"), await self._refunded(query))
            case "cash" if query.group_by == "customer":
                raise InvalidInput(
                    STRIPE.title,
                    "cash cannot be grouped by customer",
                    hint="Group revenue by customer, or cash by month",
                )
            case "cash":
                return _table(query, "Cash at Stripe", _CASH, await self._moved(query))
            case _:
                raise InvalidInput(
                    STRIPE.title, f"there is no report {query.name!r}", hint="It has cash, refunds, revenue"
                )

    async def _charged(self, query: ReportQuery) -> list[Entry]:
        charges = await every(self._http, "charges.list", _days(query), fresh_for=_FRESH, tags=("payments",))
        return [
            _entry(each, _grouped(query, each, each), (1, amount, 0, amount))
            for each in charges
            if each.get("captured") and each.get("status") == "succeeded"
            for amount in (money_in(each, "amount_captured").amount,)
        ]

    async def _refunded(self, query: ReportQuery) -> list[Entry]:
        asked = {**_days(query), "expand[]": ["data.charge"]}
        refunds = await every(self._http, "refunds.list", asked, fresh_for=_FRESH, tags=("payments",))
        return [
            _entry(each, _grouped(query, each, obj(each.get("charge"))), (1, money_in(each, "amount").amount))
            for each in refunds
            if each.get("status") in GONE
        ]

    async def _moved(self, query: ReportQuery) -> list[Entry]:
        asked = dict(_days(query))
        if query.currency is not None:
            asked["currency"] = query.currency.lower()
        moves = await every(self._http, "balance_transactions.list", asked, fresh_for=_FRESH, tags=("payments",))
        return [
            _entry(each, _grouped(query, each, each), _cash(each))
            for each in moves
            if each.get("reporting_category") not in ("payout", "payout_reversal")
        ]


def _days(query: ReportQuery) -> dict[str, str | int | bool | list[str]]:
    return {"created[gte]": start_of(query.since or query.until), "created[lte]": end_of(query.until)}


def _entry(wire: Wire, group: str, amounts: Amounts) -> Entry:
    return str(wire["currency"]).upper(), group, amounts


def _grouped(query: ReportQuery, wire: Wire, whose: Wire) -> str:
    match query.group_by:
        case "month":
            return f"{moment(wire['created']):%Y-%m}"
        case "customer":
            customer = id_in(whose.get("customer"))
            return f"stripe:customer:{customer}" if customer else "no customer"
        case "none":
            return "all"


def _cash(wire: Wire) -> Amounts:
    amount, fee, net = (money_in(wire, field).amount for field in ("amount", "fee", "net"))
    category = _CATEGORIES.get(str(wire.get("reporting_category")), "other")
    return (*(amount if column == category else 0 for column in _CASH[:4]), -fee, net)


# ------------------------------------------------------------------------------------------------------------- tables


def _table(query: ReportQuery, title: str, columns: Sequence[str], entries: Iterable[Entry]) -> Table:
    """Months in their order; customers with the largest last column first."""
    known = list(entries)
    currency = query.currency or _only({entry[0] for entry in known})
    mine = [(group, amounts) for code, group, amounts in known if code == currency]
    groups: dict[str, Amounts] = {}
    for group, amounts in mine:
        groups[group] = _plus(groups.get(group, (0,) * len(columns)), amounts)
    rows = sorted(groups.items(), key=_order(query))
    totals: Amounts = (0,) * len(columns)
    for amounts in groups.values():
        totals = _plus(totals, amounts)
    shown = rows[: query.max_rows]
    left_out = len(rows) - len(shown)
    label = "all" if query.group_by == "none" else query.group_by
    return Table(
        system=STRIPE.name,
        title=title,
        currency=currency,
        basis="cash",
        columns=[label, *columns],
        rows=[_cells(group, amounts) for group, amounts in shown],
        totals=None if query.group_by == "none" else _cells("total", totals),
        truncated_rows=left_out or None,
    )


def _cells(group: str, amounts: Amounts) -> list[Cell]:
    return [group, *amounts]


def _order(query: ReportQuery) -> Callable[[tuple[str, Amounts]], tuple[int, str]]:
    return lambda row: (-row[1][-1] if query.group_by == "customer" else 0, row[0])


def _plus(one: Amounts, other: Amounts) -> Amounts:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _only(currencies: set[str]) -> str:
    """
    Raises:
        InvalidInput: there are several.
    """
    if len(currencies) > 1:
        raise InvalidInput(
            STRIPE.title, f"there is money in {', '.join(sorted(currencies))}", hint="Name one of them as currency"
        )
    return next(iter(currencies), "USD")
