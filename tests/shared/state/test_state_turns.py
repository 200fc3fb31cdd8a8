"""Whose turn it is at a vendor, in one process and for all replicas together."""

from __future__ import annotations

import pytest
from tests.real.valkey import ValkeyServer
from tests.shared.clocks import ManualClock
from tests.shared.state.passing import Passing
from tests.shared.state.replicas import PATIENT

from backoffice_shared.backend import Rate
from backoffice_shared.state.turns import Turns
from backoffice_shared.state.valkey.store import Store
from backoffice_shared.state.valkey.turns import ValkeyTurns

pytestmark = pytest.mark.anyio

RATE = Rate(requests=10, seconds=1, burst=3)
SOON = pytest.approx(0, abs=0.03)  # Valkey's time goes on between two questions


def about(seconds: float) -> object:
    return pytest.approx(seconds, abs=0.03)


async def test_a_burst_goes_at_once_and_what_follows_comes_one_by_one(turns: Turns) -> None:
    taken = [await turns.take("acme", RATE) for _ in range(6)]
    assert taken == [0, 0, 0, about(0.1), about(0.2), about(0.3)]


async def test_a_pause_gives_a_burst_back_and_no_more(turns: Turns, passing: Passing) -> None:
    for _ in range(3):
        await turns.take("acme", RATE)
    await passing.passes(0.5)
    assert [await turns.take("acme", RATE) for _ in range(4)] == [0, 0, 0, about(0.1)]


async def test_a_turn_that_was_not_used_is_the_next_ones(turns: Turns) -> None:
    for _ in range(3):
        await turns.take("acme", RATE)
    first = await turns.take("acme", RATE)
    await turns.give_back("acme", RATE)
    assert await turns.take("acme", RATE) == about(first)


async def test_giving_back_what_was_never_taken_makes_no_larger_burst(turns: Turns) -> None:
    for _ in range(5):
        await turns.give_back("acme", RATE)
    assert [await turns.take("acme", RATE) for _ in range(4)] == [0, 0, 0, about(0.1)]


async def test_what_the_vendor_says_is_left_counts_when_it_is_less(turns: Turns) -> None:
    await turns.learn("acme", RATE, left=1)
    assert [await turns.take("acme", RATE) for _ in range(2)] == [0, about(0.1)]
    await turns.learn("acme", RATE, left=50)
    assert await turns.take("acme", RATE) == about(0.2)


async def test_a_vendor_that_wants_to_be_left_alone_is(turns: Turns, passing: Passing) -> None:
    await turns.learn("acme", RATE, blocked=0.3)
    assert await turns.take("acme", RATE) == about(0.3)
    await turns.learn("acme", RATE, blocked=0.1)
    await passing.passes(0.15)
    assert await turns.take("acme", RATE) == about(0.15)
    await passing.passes(0.2)
    assert await turns.take("acme", RATE) == 0


async def test_vendors_do_not_wait_for_each_other(turns: Turns) -> None:
    for _ in range(5):
        await turns.take("acme", RATE)
    assert await turns.take("other", RATE) == 0


async def test_replicas_take_from_one_bucket_and_from_their_parts_while_it_is_away(valkey: ValkeyServer) -> None:
    clock = ManualClock()
    async with Store(valkey.url, budget=PATIENT).running() as store:
        replicas = [ValkeyTurns(store, replicas=2, clock=clock) for _ in range(2)]
        rate = Rate(requests=10, seconds=1, burst=4)
        shared = [await replicas[number % 2].take("acme", rate) for number in range(6)]
        assert shared == [0, 0, 0, 0, about(0.1), about(0.2)]
        await replicas[0].learn("acme", rate, blocked=5)
        valkey.stop()
        assert [await replicas[1].take("acme", rate) for _ in range(4)] == [
            0,
            0,
            pytest.approx(0.2),
            pytest.approx(0.4),
        ]
        assert await replicas[0].take("acme", rate) == 5
