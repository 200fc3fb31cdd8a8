"""How often somebody may do something, in one process and for all replicas together."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.real.valkey import ValkeyServer
from tests.shared.clocks import ManualClock
from tests.shared.state.passing import Passing
from tests.shared.state.replicas import PATIENT
from tests.shared.state.windows import Span, worst_window

from backoffice_shared.state.limits import Ask, Limit, Limits
from backoffice_shared.state.memory import MemoryLimits
from backoffice_shared.state.valkey.limits import ValkeyLimits
from backoffice_shared.state.valkey.store import Store

pytestmark = pytest.mark.anyio

THREE = Limit(3, 0.4)


async def granted(limits: Limits, ask: Ask, times: int) -> list[bool]:
    return [(await limits.take([ask])).allowed for _ in range(times)]


async def test_what_fits_is_granted_and_then_nothing_until_it_fits_again(limits: Limits, passing: Passing) -> None:
    assert await granted(limits, Ask("k", THREE), 3) == [True] * 3
    refused = await limits.take([Ask("k", THREE)])
    assert refused.refused_by == 0
    assert 0.3 < refused.retry_after < 0.41
    await passing.passes(refused.retry_after + 0.005)
    assert await granted(limits, Ask("k", THREE), 4) == [True, True, True, False]


async def test_the_window_moves_with_what_was_granted(limits: Limits, passing: Passing) -> None:
    await granted(limits, Ask("k", THREE), 1)
    await passing.passes(0.25)
    await granted(limits, Ask("k", THREE), 2)
    await passing.passes(0.2)
    assert await granted(limits, Ask("k", THREE), 2) == [True, False]


async def test_several_limits_are_taken_together_or_not_at_all(limits: Limits) -> None:
    wide, narrow = Ask("wide", Limit(5, 60)), Ask("narrow", Limit(2, 60))
    taken = [(await limits.take([wide, narrow])).refused_by for _ in range(4)]
    assert taken == [None, None, 1, 1]
    assert await granted(limits, wide, 4) == [True, True, True, False]


async def test_the_first_that_does_not_fit_is_named(limits: Limits) -> None:
    asks = [Ask(name, Limit(1, 60)) for name in ("a", "b", "c")]
    await limits.take(asks[1:])
    assert (await limits.take(asks)).refused_by == 1


async def test_what_costs_more_uses_up_more_and_what_costs_too_much_never_fits(limits: Limits) -> None:
    assert await granted(limits, Ask("k", Limit(5, 60), cost=2), 3) == [True, True, False]
    assert await granted(limits, Ask("k", Limit(5, 60)), 2) == [True, False]
    never = await limits.take([Ask("other", Limit(5, 60), cost=6)])
    assert (never.refused_by, never.retry_after) == (0, 60)


async def test_one_key_knows_nothing_of_another(limits: Limits) -> None:
    assert await granted(limits, Ask("a", THREE), 4) == [True, True, True, False]
    assert await granted(limits, Ask("b", THREE), 1) == [True]


async def test_of_many_at_once_exactly_as_many_as_fit_are_granted(limits: Limits) -> None:
    asked = [limits.take([Ask("k", Limit(40, 60))]) for _ in range(100)]
    assert sum(verdict.allowed for verdict in await asyncio.gather(*asked)) == 40


Steps = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from("ab"), st.integers(1, 4), st.sampled_from([Limit(4, 2.0), Limit(7, 5)])),
    max_size=60,
)


@given(steps=Steps)
@example(
    steps=[
        (1.0190886490906754, "a", 1, Limit(4, 2.0)),
        (1.7385786130488294, "a", 1, Limit(4, 2.0)),
        (0.1642834164542047, "a", 1, Limit(4, 2.0)),
        (0.0, "a", 4, Limit(4, 2.0)),
    ]
)
def test_a_process_alone_grants_exactly_what_a_moving_window_allows(
    steps: Sequence[tuple[float, str, int, Limit]],
) -> None:
    async def compare() -> None:
        clock, kept = ManualClock(), dict[str, list[tuple[float, int]]]()
        limits = MemoryLimits(clock=clock)
        for pause, key, cost, limit in steps:
            clock.advance(pause)
            ask = Ask(f"{key}:{limit.seconds:g}", limit, cost)
            counts = kept.setdefault(ask.key, [])
            used = sum(spent for at, spent in counts if at > clock.now() - limit.seconds)
            verdict = await limits.take([ask])
            assert verdict.allowed == (used + cost <= limit.count)
            if verdict.allowed:
                counts.append((clock.now(), cost))
            else:
                assert 0 < verdict.retry_after <= limit.seconds

    asyncio.run(compare())


async def test_a_large_limit_takes_no_more_memory_than_a_small_one(clock: ManualClock) -> None:
    limits, ask = MemoryLimits(clock=clock), Ask("k", Limit(100_000, 86_400))
    tracemalloc.start()
    fitted = 0
    for _ in range(60_000):
        clock.advance(0.5)
        fitted += (await limits.take([ask])).allowed
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert fitted == 60_000
    assert kept < 500_000
    clock.advance(86_400 - 30_000 + 1)
    taken = [(await limits.take([Ask("k", Limit(100_000, 86_400), cost=40_000)])).allowed for _ in range(2)]
    assert taken == [True, False], "what was taken half a day ago still counts"
    clock.advance(30_100)
    assert (await limits.take([Ask("k", Limit(100_000, 86_400), cost=60_000)])).allowed


Bursts = st.lists(st.tuples(st.integers(1, 30), st.floats(0, 0.15)), min_size=4, max_size=10)


@settings(max_examples=5, deadline=None)
@given(bursts=Bursts)
def test_however_calls_fall_no_window_of_the_shared_limit_holds_more(
    the_valkey: ValkeyServer, bursts: Sequence[tuple[int, float]]
) -> None:
    limit = Limit(12, 0.3)
    the_valkey.ask("FLUSHALL")

    async def spans() -> list[Span]:
        found: list[Span] = []
        async with Store(the_valkey.url, budget=PATIENT).running() as store:
            replicas = [ValkeyLimits(store, replicas=2) for _ in range(2)]
            for number, (calls, pause) in enumerate(bursts):
                for _ in range(calls):
                    begun = time.monotonic()
                    if (await replicas[number % 2].take([Ask("k", limit)])).allowed:
                        found.append((begun, time.monotonic()))
                await asyncio.sleep(pause)
        return found

    assert worst_window(asyncio.run(spans()), limit.seconds) <= limit.count
