"""A provider that lists invoices as they were made: none is lost, and none told twice, whatever date it bears."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.billing.books import TODAY, Office, System, complete

from backoffice_billing.models import Reconciliation
from backoffice_billing.surveying import MOST

pytestmark = pytest.mark.anyio

SINCE = TODAY - timedelta(days=60)


def office() -> Office:
    return Office(
        stripe=System("stripe", largest=100, as_made=True),
        xero=System("xero", "contact", largest=100),
        quickbooks=System("quickbooks", largest=100),
    )


def bill(at: Office, number: str, on: date, *, kept: bool = True) -> None:
    at.stripe.bill(number, 100, on=on)
    if kept:
        at.xero.bill(number, 100, on=on)


async def walked(at: Office, *, since: date = SINCE, until: date = TODAY) -> list[Reconciliation]:
    pages = [await at.compared(since=since, until=until)]
    while (cursor := pages[-1].page.next_cursor) is not None:
        assert len(pages) < 100
        pages.append(await at.compared(since=since, until=until, cursor=cursor))
    return pages


def missing(pages: list[Reconciliation]) -> list[str]:
    found = [difference for page in pages for difference in page.items]
    assert {difference.kind for difference in found} <= {"missing_in_ledger"}
    return sorted(difference.reference for difference in found)


def not_looked_for(pages: list[Reconciliation]) -> bool:
    return any("not looked for" in note for page in pages for note in page.notes)


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


async def test_one_backdated_invoice_takes_no_day_with_it():
    at = office()
    for n in range(12):
        bill(at, f"LOST-{n:02}", days_ago(10), kept=False)
    for n in range(MOST - 1):
        bill(at, f"NW-{n}", days_ago(5 - 5 * n // MOST))
        if n == MOST // 2:
            bill(at, "BACKDATED", days_ago(25))
    pages = await walked(at)
    assert missing(pages) == [f"LOST-{n:02}" for n in range(12)]
    assert sum(page.matched_count for page in pages) == MOST
    assert not not_looked_for(pages)


async def test_an_invoice_that_was_drafted_early_and_issued_late_is_told_where_it_is_listed():
    at = office()
    bill(at, "LATE", TODAY, kept=False)
    bill(at, "LATER", days_ago(1))
    for n in range(2 * MOST):
        bill(at, f"NW-{n}", days_ago(50 - n // 12))
    pages = await walked(at)
    assert missing(pages) == ["LATE"]
    assert sum(page.matched_count for page in pages) == 2 * MOST + 1
    assert [complete(page)["stripe"] for page in pages][:-1] == [False] * (len(pages) - 1)


async def test_days_long_ago_are_found_behind_all_that_was_made_since():
    at = office()
    for n in range(1_500):
        bill(at, f"NW-{n:04}", days_ago(150 - n // 10), kept=bool(n % 50))
    since, until = days_ago(140), days_ago(131)
    pages = await walked(at, since=since, until=until)
    assert missing(pages) == ["NW-0100", "NW-0150"]
    assert sum(page.matched_count for page in pages) == 98
    assert pages[0].notes == ["stripe: more records than one call compares; page.next_cursor goes on"]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), strays=st.integers(0, 9), lists=st.integers(MOST + 1, 700))
async def test_in_whatever_order_they_were_made_each_is_told_once_or_said_not_to_have_been_looked_for(
    seed: int, strays: int, lists: int
):
    random = Random(seed)
    at = office()
    lacking: set[str] = set()
    for n in range(lists):
        made = 60 - 60 * n // lists
        day = (
            random.randint(0, 60) if random.random() * lists < strays else max(0, min(60, made + random.randint(-1, 1)))
        )
        if random.random() < 0.02:
            lacking.add(f"NW-{n}")
        bill(at, f"NW-{n}", days_ago(day), kept=f"NW-{n}" not in lacking)
    pages = await walked(at)
    told = missing(pages)
    assert len(told) == len(set(told))
    assert set(told) <= lacking
    if not not_looked_for(pages):
        assert set(told) == lacking
        assert sum(page.matched_count for page in pages) == lists - len(lacking)
    else:
        assert not all(all(complete(page).values()) for page in pages)
