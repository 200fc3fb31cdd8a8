"""A company of any size: what is asked costs what is answered, not what there is. `--soak` takes 100,000 customers."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from tests.customer.office import office, said
from tests.customer.test_sizes import tokens
from tests.fuzz.enduring import resident

from backoffice_shared.sandbox.company import KEY_ACCOUNT

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

ROSA = f"hubspot:contact:{100001 + KEY_ACCOUNT}"

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("find_customers", {"query": "maria garcia", "limit": 50}),
    ("get_customers", {"customer_ids": [f"hubspot:contact:{100001 + n}" for n in range(9)], "include": ["counts"]}),
    ("get_customer_timeline", {"customer_id": ROSA, "limit": 50}),
    ("search_tickets", {"query": "delivery", "limit": 50}),
    ("search_orders", {"payment_status": ["paid"], "limit": 50}),
    ("search_knowledge", {"query": "refund", "limit": 50}),
]


async def test_every_answer_fits_however_large_the_company_is(soak: bool):
    customers = 100_000 if soak else 2_000
    async with office(customers=customers, deadline=120) as at:
        for tool, arguments in QUESTIONS:
            result = await at.call(tool, **arguments)
            assert not result.is_error, said(result)
            assert tokens(said(result)) <= 6_000
        last = at.company.people[-1]
        found = await at.ask("find_customers", identifiers=[last.email])
        assert [row["match"]["confidence"] for row in found["items"]] == [1.0]


async def test_memory_stays_flat_while_an_agent_pages_through_all_orders(soak: bool):
    """What is kept of answers is bounded: the second half adds nothing to the first."""
    async with office(customers=100_000 if soak else 1_000, deadline=120, hurried=False) as at:
        whole = len(at.company.orders)
        seen, cursor, held = 0, dict[str, str](), list[tuple[int, int]]()
        while True:
            page = await at.ask("search_orders", limit=50, **cursor)
            seen += len(page["items"])
            if seen * 4 // whole > len(held):
                at.forget()
                gc.collect()
                held.append((sys.getallocatedblocks(), resident()))
            if not page["page"]["has_more"]:
                break
            cursor = {"cursor": page["page"]["next_cursor"]}
        table = "".join(f"\n  {objects:,}  {size / 1e6:.1f}" for objects, size in held)
        print(f"{seen:,} orders; after each quarter, objects and resident MB:{table}")
        assert seen == whole
        (half, _), (end, _) = held[1], held[-1]
        assert end <= half * 1.02
