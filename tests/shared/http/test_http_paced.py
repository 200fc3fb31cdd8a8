"""We keep the vendor's limits before the vendor has to."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.acme import ACME, always, read, scripted
from tests.shared.clocks import ManualClock

from backoffice_shared.backend import Rate
from backoffice_shared.deadline import within
from backoffice_shared.errors import RateLimited
from backoffice_shared.http.call import again, call_of
from backoffice_shared.http.paced import Paced
from backoffice_shared.state.memory import MemoryTurns

pytestmark = pytest.mark.anyio

OK = httpx.Response(200)


A_SECOND = Rate(requests=10, seconds=10, burst=3)


def paced(inner: httpx.AsyncBaseTransport, clock: ManualClock, rate: Rate = A_SECOND) -> Paced:
    return Paced(inner, replace(ACME, rate=rate), clock=clock)


async def send(layer: Paced, times: int = 1) -> None:
    for _ in range(times):
        await layer.handle_async_request(read())


async def test_a_burst_goes_at_once_and_what_follows_waits_its_turn(clock: ManualClock) -> None:
    _, inner = always(OK)
    await send(paced(inner, clock), 6)
    assert clock.slept == [1.0, 1.0, 1.0]


async def test_a_pause_fills_the_bucket_to_a_burst_and_no_further(clock: ManualClock) -> None:
    _, inner = always(OK)
    layer = paced(inner, clock)
    await send(layer, 3)
    clock.advance(1000)
    await send(layer, 4)
    assert clock.slept == [1.0]


async def test_who_would_wait_too_long_is_told_so_and_takes_no_turn(clock: ManualClock) -> None:
    route, inner = always(OK)
    layer = paced(inner, clock, Rate(requests=1, seconds=10, burst=1))
    await send(layer)
    for _ in range(5):
        with pytest.raises(RateLimited) as raised:
            await send(layer)
        assert str(raised.value) == "Acme: its request limit is used up for the moment. Try again in 10 s."
    clock.advance(10)
    await send(layer)
    assert (route.call_count, clock.slept) == (2, [])


async def test_nobody_waits_past_the_deadline(clock: ManualClock) -> None:
    route, inner = always(OK)
    layer = paced(inner, clock)
    await send(layer, 3)
    with within(0.5, clock), pytest.raises(RateLimited):
        await send(layer)
    assert (route.call_count, clock.slept) == (3, [])


async def test_after_a_429_everyone_waits_as_long_as_it_asks(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(429, headers={"Retry-After": "1.5"}), OK)
    layer = paced(inner, clock)
    await send(layer, 2)
    assert clock.slept == [1.5]


async def test_after_a_429_that_does_not_say_everyone_waits_a_second(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(429), OK)
    layer = paced(inner, clock)
    await send(layer, 2)
    assert clock.slept == [1.0]


async def test_a_long_pause_is_not_waited_for(clock: ManualClock) -> None:
    route, inner = scripted(httpx.Response(429, headers={"Retry-After": "60"}), OK)
    layer = paced(inner, clock)
    await send(layer)
    with pytest.raises(RateLimited) as raised:
        await send(layer)
    clock.advance(60)
    await send(layer)
    assert (raised.value.retry_after, route.call_count) == (60, 2)


async def test_nothing_left_means_waiting_for_the_next_window(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(200, headers={"X-Left": "0/1.5"}), OK)
    layer = paced(inner, clock)
    await send(layer, 2)
    assert clock.slept == [1.5]


async def test_something_left_means_going_on(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(200, headers={"X-Left": "1/1.5"}), OK)
    await send(paced(inner, clock), 2)
    assert clock.slept == []


async def test_no_more_requests_go_at_once_than_the_vendor_says_are_left(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(200, headers={"X-Left": "1/10"}), OK, OK)
    await send(paced(inner, clock), 3)
    assert clock.slept == [1.0]


async def test_a_hedge_does_not_wait_and_takes_no_turn(clock: ManualClock) -> None:
    route, inner = always(OK)
    layer = paced(inner, clock)
    await send(layer, 3)
    hedge = again(read(), replace(call_of(read()), hedge=True))
    with pytest.raises(RateLimited):
        await layer.handle_async_request(hedge)
    await send(layer)
    assert (route.call_count, clock.slept) == (4, [1.0])


async def test_replicas_that_share_turns_share_the_limit(clock: ManualClock) -> None:
    _, inner = always(OK)
    turns = MemoryTurns(clock=clock)
    one, other = (Paced(inner, replace(ACME, rate=A_SECOND), turns=turns, clock=clock) for _ in range(2))
    for layer in (one, other, one, other):
        await send(layer)
    assert clock.slept == [1.0]


async def test_what_one_replica_is_told_the_others_keep_to(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(429, headers={"Retry-After": "1.5"}), OK)
    turns = MemoryTurns(clock=clock)
    one, other = (Paced(inner, replace(ACME, rate=A_SECOND), turns=turns, clock=clock) for _ in range(2))
    await send(one)
    await send(other)
    assert clock.slept == [1.5]


@given(
    rate=st.builds(Rate, requests=st.integers(1, 50), seconds=st.integers(1, 60), burst=st.integers(1, 20)),
    pauses=st.lists(st.floats(0, 3), max_size=40),
)
def test_no_more_leaves_in_any_time_than_the_burst_and_what_comes_back(rate: Rate, pauses: list[float]) -> None:
    clock, sent = ManualClock(), list[float]()

    def vendor(_request: httpx.Request) -> httpx.Response:
        sent.append(clock.now())
        return OK

    async def main() -> None:
        layer = paced(httpx.MockTransport(vendor), clock, rate)
        for pause in pauses:
            clock.advance(pause)
            await asyncio.gather(layer.handle_async_request(read()), return_exceptions=True)

    asyncio.run(main())
    for first, begin in enumerate(sent):
        for last, end in enumerate(sent[first:], first):
            assert last - first + 1 <= rate.burst + (end - begin) * rate.requests / rate.seconds + 1e-6
