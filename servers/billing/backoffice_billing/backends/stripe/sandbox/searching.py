"""Stripe's search: its query language, over the fields that a company's tools use.

Source: https://docs.stripe.com/search#search-query-language. Values are matched whole, whatever the case of their
letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from backoffice_billing.backends.stripe.sandbox import invoicing, people, rendering
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import Asked
from backoffice_billing.backends.stripe.sandbox.objects import Intent, Invoice, Thing
from backoffice_billing.backends.stripe.sandbox.records import Record
from backoffice_billing.backends.stripe.sandbox.refusals import malformed

KNOWN = ("query", "limit", "page", "expand[]")
_CLAUSE = re.compile(
    r"""\s*(?P<field>[a-z_]+)(?:\[(?P<quote>["'])(?P<name>[^"']+)(?P=quote)\])?\s*:\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*"""
)
_AND = re.compile(r"and\s", re.IGNORECASE)

Clause = tuple[str, str]
"""A field, or `metadata.name`, and what it is to be."""


def clauses(query: str) -> list[Clause]:
    """
    Raises:
        Refused: it is no query of Stripe's, or of a kind that this sandbox does not know.
    """
    found: list[Clause] = []
    place = 0
    while place < len(query):
        match = _CLAUSE.match(query, place)
        if match is None:
            raise malformed(f"We were unable to parse your search query: {query[:100]}", None, "query")
        field = f"metadata.{match['name']}" if match["field"] == "metadata" else match["field"]
        found.append((field, re.sub(r"\\(.)", r"\1", match["value"][1:-1])))
        place = match.end()
        if joined := _AND.match(query, place):
            place = joined.end()
    if not found:
        raise malformed("We were unable to parse your search query.", None, "query")
    return found


def customers(account: Account, asked: Asked, *, stale: bool) -> Record:
    wanted = clauses(asked.required("query"))
    email = _only(wanted, "email")
    rows = [row for spelling in account.spellings(email) for row in account.customers.having(email=spelling)]
    return _answer("/v1/customers/search", rows, asked, lambda row: people.customer(account, row), stale=stale)


def invoices(account: Account, asked: Asked, *, stale: bool) -> Record:
    number = _only(clauses(asked.required("query")), "number")
    row: Invoice | None = account.invoices.get(account.numbers.get(number.casefold()))
    rows = [row] if row is not None else []
    return _answer("/v1/invoices/search", rows, asked, lambda row: invoicing.invoice(account, row), stale=stale)


def intents(account: Account, asked: Asked, *, stale: bool) -> Record:
    order = _only(clauses(asked.required("query")), "metadata.order")
    rows: list[Intent] = [account.intents[native] for native in account.orders.get(order, [])]
    return _answer("/v1/payment_intents/search", rows, asked, lambda row: rendering.intent(account, row), stale=stale)


def _only(wanted: list[Clause], field: str) -> str:
    """This sandbox has an index of one field for each of its searches; what another asks for it cannot answer."""
    for name, _ in wanted:
        if name != field:
            raise malformed(f"Field `{name}` is an unsupported search field for this resource.", None, "query")
    values = {value for _, value in wanted}
    return values.pop() if len(values) == 1 else "\0"  # nothing is two things at once


def _answer(url: str, rows: list[Any], asked: Asked, render: Callable[[Any], Record], *, stale: bool) -> Record:
    """`stale`: without what was written."""
    seen: list[Thing] = [row for row in rows if not (stale and row.written)]
    most, start = asked.limit(), int(asked.text("page") or 0)
    shown = seen[start : start + most]
    more = start + most < len(seen)
    return {
        "object": "search_result",
        "data": [render(row) for row in shown],
        "has_more": more,
        "next_page": str(start + most) if more else None,
        "url": url,
    }
