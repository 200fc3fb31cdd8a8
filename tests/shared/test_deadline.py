"""How long the current call may still take."""

from __future__ import annotations

import asyncio

import pytest
from tests.shared.clocks import ManualClock

from backoffice_shared.deadline import remaining, within

pytestmark = pytest.mark.anyio


def test_without_a_deadline_there_is_all_the_time() -> None:
    assert remaining() == float("inf")


def test_time_that_passes_is_gone(clock: ManualClock) -> None:
    with within(10, clock):
        clock.advance(4)
        assert remaining() == 6


def test_an_outer_deadline_that_is_sooner_stays_in_force(clock: ManualClock) -> None:
    with within(10, clock), within(60, clock):
        assert remaining() == 10


def test_an_inner_deadline_that_is_sooner_ends_with_its_block(clock: ManualClock) -> None:
    with within(10, clock):
        with within(2, clock):
            clock.advance(1)
            inner = remaining()
        assert (inner, remaining()) == (1, 9)


def test_a_deadline_that_has_passed_is_negative(clock: ManualClock) -> None:
    with within(1, clock):
        clock.advance(3)
        assert remaining() == -2


def test_a_block_that_fails_takes_its_deadline_with_it(clock: ManualClock) -> None:
    with pytest.raises(ZeroDivisionError), within(1, clock):
        raise ZeroDivisionError
    assert remaining() == float("inf")


async def test_it_travels_to_the_tasks_that_a_call_starts(clock: ManualClock) -> None:
    async def left() -> float:
        return remaining()

    with within(10, clock):
        task = asyncio.create_task(left())
    assert (await task, remaining()) == (10, float("inf"))
