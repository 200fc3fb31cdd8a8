"""What was given to somebody in a day is counted once for each act, and never beyond what is allowed."""

from __future__ import annotations

import asyncio

import pytest

from backoffice_shared.state.database import Database
from backoffice_shared.state.totals import StoredTotals, Total

pytestmark = pytest.mark.anyio

AGENT = Total("agent", 60, 3600.0, most=100)
CUSTOMER = Total("customer", 60, 3600.0, most=1000)


async def test_what_fits_is_counted_and_what_does_not_is_not_counted_at_all(database: Database):
    totals = StoredTotals(database)
    assert await totals.count("first", [CUSTOMER, AGENT])
    assert not await totals.count("second", [CUSTOMER, AGENT])
    assert await totals.used(["agent", "customer", "nobody"]) == [60, 60, 0]


async def test_one_act_is_counted_once_however_often_it_is_tried(database: Database):
    totals = StoredTotals(database)
    assert [await totals.count("first", [AGENT]) for _ in range(3)] == [True, True, True]
    assert await totals.used(["agent"]) == [60]


async def test_what_a_human_agreed_to_is_counted_whatever_it_comes_to(database: Database):
    totals = StoredTotals(database)
    assert await totals.count("first", [AGENT])
    assert await totals.count("second", [Total("agent", 500, 3600.0)])
    assert await totals.used(["agent"]) == [560]


async def test_what_did_not_happen_is_given_back_once(database: Database):
    totals = StoredTotals(database)
    await totals.count("first", [AGENT])
    await totals.count("second", [Total("agent", 40, 3600.0, most=100)])
    await totals.give_back("first", [AGENT])
    await totals.give_back("first", [AGENT])
    await totals.give_back("never counted", [AGENT])
    assert await totals.used(["agent"]) == [40]
    assert await totals.count("third", [AGENT])


async def test_an_amount_beyond_the_most_is_refused_also_as_the_first_of_a_day(database: Database):
    totals = StoredTotals(database)
    assert not await totals.count("first", [Total("agent", 101, 3600.0, most=100)])
    assert await totals.count("second", [Total("agent", 100, 3600.0, most=100)])


async def test_a_day_that_is_over_counts_for_nothing(database: Database):
    totals = StoredTotals(database)
    await totals.count("first", [Total("agent", 100, -1.0, most=100)])
    assert await totals.used(["agent"]) == [0]
    assert await totals.count("second", [AGENT])
    assert await totals.used(["agent"]) == [60]


async def test_of_many_at_once_no_more_than_fit_are_counted(database: Database):
    totals = StoredTotals(database)
    counted = await asyncio.gather(
        *(totals.count(f"act {n}", [Total("agent", 30, 3600.0, most=100), CUSTOMER]) for n in range(12))
    )
    assert sum(counted) == 3
    assert await totals.used(["agent", "customer"]) == [90, 180]
