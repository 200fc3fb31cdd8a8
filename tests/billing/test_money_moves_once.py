"""Whatever is killed when, and whoever repeats the call: each effect happens once, and the books balance.

In a schedule one call is made again and again, by this replica and by another, while processes die and connections break at
chosen moments, until it answers. Then its effect must be there once, in the payment provider, the shop and the ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from tests.billing.books_balance import must_balance
from tests.billing.deeds import Deed, Doing
from tests.billing.generous import generous_policy
from tests.billing.mortal import AFTER_ANY_LEASE, Replica, World, fated
from tests.office import said

from backoffice_shared.jsonvalues import obj

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3_000)]

Prepare = Callable[[Doing], Awaitable[Deed]]

DEEDS: dict[str, Prepare] = {
    "create an invoice at Stripe": lambda doing: doing.create("stripe"),
    "create an invoice in Xero": lambda doing: doing.create("xero"),
    "create an invoice in QuickBooks": lambda doing: doing.create("quickbooks"),
    "issue an invoice of Stripe's": lambda doing: doing.issue("stripe"),
    "issue an invoice of Xero's": lambda doing: doing.issue("xero"),
    "issue an invoice of QuickBooks'": lambda doing: doing.issue("quickbooks"),
    "void an invoice of Stripe's": lambda doing: doing.void("stripe"),
    "void an invoice of Xero's": lambda doing: doing.void("xero"),
    "void an invoice of QuickBooks'": lambda doing: doing.void("quickbooks"),
    "collect a payment": lambda doing: doing.collect("stripe"),
    "credit an invoice of Stripe's": lambda doing: doing.credit("stripe"),
    "credit an invoice of Xero's": lambda doing: doing.credit("xero"),
    "credit an invoice of QuickBooks'": lambda doing: doing.credit("quickbooks"),
    "refund a payment": lambda doing: doing.refund("stripe"),
    "refund an order by the shop": lambda doing: doing.refund_by_the_shop(),
}
MOST_TRIES = 7
AGO = (MOST_TRIES * AFTER_ANY_LEASE, 3_600.0, 90_000.0)
"""Seconds: while every vendor knows its keys, when some have forgotten them, and when all have."""


async def played(world: World, doing: Doing, deed: Deed, replicas: list[Replica], chance: Random) -> None:
    """Make the call until it is answered for good. After some tries nothing happens to it any more."""
    answers: list[str] = []
    for attempt in range(MOST_TRIES):
        replica = chance.choice(replicas)
        if attempt < chance.choice((1, 2, 3)):
            fated(chance, replica.fate)
        result = await replica.call(deed.tool, **deed.arguments)
        for each in replicas:
            each.fate.spared()
        world.time_passes()
        answers.append("died" if result is None else said(result))
        if result is not None and not result.is_error and not obj(result.structured_content).get("unfinished"):
            break
    else:
        raise AssertionError("\n".join((f"{deed.tool} was never answered for good:", *answers)))
    assert await deed.measure() == deed.done
    again = await chance.choice(replicas).ask(deed.tool, **deed.arguments)
    assert again["replayed"] is True
    assert await deed.measure() == deed.done


@pytest.mark.parametrize("name", DEEDS)
async def test_it_happens_once(name: str, soak: bool, tmp_path: Path):
    """With --soak, 1,080 schedules in all."""
    seed, count = sorted(DEEDS).index(name), 72 if soak else 8
    chance = Random(seed)
    for start in range(0, count, 24):
        world = World(policy=generous_policy(tmp_path))
        async with world.replicas(3) as [healthy, *replicas]:
            doing = Doing(world, healthy, chance)
            for number in range(start, min(start + 24, count)):
                world.began(chance.choice(AGO))
                deed = await DEEDS[name](doing)
                try:
                    await played(world, doing, deed, replicas, chance)
                except Exception as error:
                    error.add_note(f"schedule {number}: {deed.arguments}")
                    raise
        must_balance(world.sandboxes)
