"""Too much to do: how many may be under way, who waits, and who is refused first."""

from __future__ import annotations

import asyncio

import pytest
from mcp.shared.exceptions import MCPError
from tests.foundation import foundation
from tests.shared.clocks import settle
from tests.shared.mcp.till import Held, till

from backoffice_shared.mcp.shed import BEATS, LATE, LEAST, MOST, OVERLOADED, START, Load

pytestmark = pytest.mark.anyio


def beats(load: Load, late: float, times: int = 1) -> None:
    for _ in range(BEATS * times):
        load.beat(late)


async def filled(load: Load) -> None:
    while load.under_way < load.limit:
        assert await load.enter("read")


def test_a_process_that_runs_late_takes_fewer_calls_and_more_again_when_it_does_not():
    load = Load("test")
    load.under_way = START
    beats(load, 2 * LATE)
    assert load.limit == int(0.9 * START)
    beats(load, 2 * LATE, 100)
    assert load.limit >= LEAST
    load.under_way = 0
    beats(load, 0, 200)
    assert START <= load.limit <= 1.05 * START
    load.under_way = MOST
    beats(load, 0, 200)
    assert load.limit == MOST


def test_calls_that_wait_for_a_slow_backend_do_not_lower_the_limit():
    load = Load("test")
    load.under_way = START - 1
    beats(load, 0.0, 50)
    assert load.limit >= START


async def test_when_a_place_becomes_free_the_newest_of_the_most_important_has_it():
    load = Load("test")
    load.limit = 4
    await filled(load)
    order: list[str] = []

    async def wait(name: str, kind: str) -> None:
        if await load.enter(kind):
            order.append(name)

    waiting = [asyncio.create_task(wait(*who)) for who in (("write", "write"), ("money", "critical"))]
    await settle()
    load.leave()
    await settle()
    assert order == ["money"]
    load.leave()
    await asyncio.gather(*waiting)
    assert order == ["money", "write"]


async def test_when_the_queue_is_full_the_least_important_goes_first():
    load = Load("test")
    load.limit = 2
    await filled(load)
    write = asyncio.create_task(load.enter("write"))
    await settle()
    money = asyncio.create_task(load.enter("critical"))
    assert await write is False
    assert await load.enter("write") is False
    load.leave()
    assert await money is True


async def test_who_gives_up_waiting_leaves_no_place_taken():
    load = Load("test")
    load.limit = 2
    await filled(load)
    waiting = asyncio.create_task(load.enter("read"))
    await settle()
    load.leave()  # the place is given in the same moment as the caller goes away
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert load.under_way == 1


async def test_who_is_refused_learns_when_to_come_back_and_that_nothing_was_done():
    on = foundation()
    on.load.limit = 1
    async with till(on) as at:
        at.drawer.before = held = Held()
        first = asyncio.create_task(at.call("list_notes"))
        await held.reached.wait()
        with pytest.raises(MCPError) as refused:
            await at.call("get_caller")
        assert refused.value.error.code == OVERLOADED
        assert refused.value.error.data["code"] == "overloaded"
        assert 1000 <= refused.value.error.data["retryAfterMs"] <= 3000
        held.open.set()
        assert not (await first).is_error
        assert not (await at.call("get_caller")).is_error
        assert at.audit.told("tool", "decision") == [
            ("get_caller", "shed"),
            ("list_notes", "allow"),
            ("get_caller", "allow"),
        ]
