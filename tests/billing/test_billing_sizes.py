"""How large results are, and how what was left out is had."""

from __future__ import annotations

from typing import Any

import pytest
from tests.billing.counter import Office, counter, said
from tests.billing.people import Hand, ids, payer
from tests.customer.test_sizes import tokens

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.books import KEY_ACCOUNT

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

ROWS: list[tuple[str, dict[str, Any], int]] = [
    ("search_invoices", {}, 1_350),
    ("search_invoices", {"status": ["overdue"]}, 1_350),
    ("search_payments", {}, 1_550),
    ("reconcile", {"from_date": "2026-01-01"}, 2_000),
    ("get_report", {"report": "ar_aging", "to_date": "2026-11-01", "group_by": "customer", "max_rows": 10}, 1_100),
]
"""Lists, and how many tokens ten rows of each may be: an id of a payment provider's or a ledger's alone is twenty or more."""
ALL_OF_AN_INVOICE = ["lines", "payments", "credit_notes", "links", "accounting"]
ALL_OF_AN_ACCOUNT = ["balance", "overdue", "credit", "methods", "subscriptions"]


@pytest.mark.parametrize(("tool", "arguments", "most"), ROWS)
async def test_a_page_of_ten_rows_is_small(tool: str, arguments: dict[str, Any], most: int):
    async with counter(customers=200, hurried=False) as at:
        result = await at.call(tool, **arguments)
        answer = obj(result.structured_content)
        assert not result.is_error, said(result)
        assert len(arr(answer.get("items")) or arr(answer["tables"][-1]["rows"])) in range(8, 11)
        print(f"{tool}: {tokens(said(result))} tokens")
        assert tokens(said(result)) <= most


@pytest.mark.parametrize(("tool", "arguments"), [row[:2] for row in ROWS])
async def test_fifty_rows_are_at_most_6000_tokens(tool: str, arguments: dict[str, Any]):
    async with counter(customers=200, hurried=False) as at:
        most = {"max_rows": 50} if tool == "get_report" else {"limit": 50}
        result = await at.call(tool, **{**arguments, **most})
        assert not result.is_error, said(result)
        print(f"{tool}: {tokens(said(result))} tokens")
        assert tokens(said(result)) <= 6000


async def test_whole_accounts_and_invoices_are_at_most_6000_tokens():
    async with counter(customers=200, hurried=False) as at:
        people = [payer(at.company, nth=n).email for n in range(20)]
        accounts = await at.call("get_billing_account", customer_ids=people, include=ALL_OF_AN_ACCOUNT)
        assert not accounts.is_error, said(accounts)
        assert tokens(said(accounts)) <= 6000
        rows = await at.ask("search_invoices", limit=50)
        latest = [row["invoice_id"] for row in rows["items"]][:20]
        invoices = await at.call("get_invoices", invoice_ids=latest, include=ALL_OF_AN_INVOICE)
        assert not invoices.is_error, said(invoices)
        assert tokens(said(invoices)) <= 6000


async def test_an_invoice_of_a_hundred_lines_is_at_most_6000_tokens_and_says_that_it_was_cut():
    async with counter(hurried=False) as at:
        hand = Hand(at)
        customer = (await ids(at, payer(at.company, ledger="eu")))["stripe"]
        lines = [{"description": f"Line {n}: {'ünïcode ' * 50}"[:400], "unit_amount": 100 + n} for n in range(100)]
        new = {"customer_id": customer, "currency": "EUR", "lines": lines, "idempotency_key": hand.key()}
        made = await at.call("create_invoice", **new)
        assert not made.is_error, said(made)
        assert tokens(said(made)) <= 6000
        total = sum(100 + n for n in range(100))
        assert obj(made.structured_content)["total"]["amount"] == total
        read = await at.call("get_invoices", invoice_ids=[obj(made.structured_content)["invoice_id"]])
        assert tokens(said(read)) <= 6000
        [invoice] = obj(read.structured_content)["items"]
        assert invoice["total"]["amount"] == total


async def pages(at: Office, tool: str, **asked: Any) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await at.ask(tool, limit=50, **asked, **cursor)
        at.forget()
        found += page["items"]
        if not page["page"]["has_more"]:
            return found
        cursor = {"cursor": page["page"]["next_cursor"]}


async def test_paging_through_all_invoices_of_a_large_company_gives_each_once_and_in_order():
    async with counter(customers=600, hurried=False, deadline=120) as at:
        rows = await pages(at, "search_invoices")
        billed = at.company.books.invoices
        wanted = sum(1 for invoice in billed if invoice.billed)
        kept = [
            i for i in billed if i.drift != "missing" and not (i.ledger == "us" and i.billed and i.status == "draft")
        ]
        print(f"{len(rows):,} rows of {len(billed):,} invoices")
        assert len({row["invoice_id"] for row in rows}) == len(rows)
        by_system = {name: sum(row["invoice_id"].startswith(f"{name}:") for row in rows) for name in at.sandboxes}
        assert by_system["stripe"] == wanted
        assert by_system["xero"] + by_system["quickbooks"] == len(kept)
        assert len(rows) > 1_800
        days = [row["issued_at"] for row in rows]
        assert days == sorted(days, reverse=True)


async def test_a_customer_with_very_many_invoices_is_paged_through_too():
    async with counter(customers=200, hurried=False, deadline=120) as at:
        person = at.company.people[KEY_ACCOUNT]
        theirs = [invoice for invoice in at.company.books.invoices if invoice.person == KEY_ACCOUNT]
        rows = await pages(at, "search_invoices", customer_id=person.email)
        names = [row.get("number") for row in rows]
        assert len({row["invoice_id"] for row in rows}) == len(rows)
        assert {invoice.name for invoice in theirs if invoice.status != "draft"} <= set(names)
        assert len(rows) > len(theirs)
