"""What keeps failing is left alone for a while."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, Held, Step, always, read, scripted
from tests.shared.clocks import ManualClock, settle

from backoffice_shared.errors import CircuitOpen, RateLimited
from backoffice_shared.http.guarded import Guarded

pytestmark = pytest.mark.anyio

OK = httpx.Response(200)
FAILED = httpx.Response(500)


def guarded(inner: httpx.AsyncBaseTransport, clock: ManualClock) -> Guarded:
    """With no jitter on the time that a circuit stays open."""
    return Guarded(inner, ACME, clock=clock, jitter=lambda: 0.5)


async def outcome(layer: httpx.AsyncBaseTransport, request: httpx.Request | None = None) -> str:
    try:
        response = await layer.handle_async_request(request or read())
    except CircuitOpen as error:
        return f"open, {error.retry_after:g} s"
    except (httpx.TransportError, RateLimited) as error:
        return type(error).__name__
    return str(response.status_code)


async def opened(clock: ManualClock, *then: Step) -> Guarded:
    """A circuit that has just opened. What the vendor does `then`."""
    _, inner = scripted(*[FAILED] * 20, *then)
    layer = guarded(inner, clock)
    for _ in range(20):
        await outcome(layer)
    return layer


async def test_half_of_twenty_calls_failing_opens_the_circuit(clock: ManualClock) -> None:
    route, inner = scripted(*[OK, FAILED] * 10)
    layer = guarded(inner, clock)
    outcomes = [await outcome(layer) for _ in range(21)]
    assert (outcomes, route.call_count) == (["200", "500"] * 10 + ["open, 1 s"], 20)


async def test_fewer_failures_than_half_leave_it_closed(clock: ManualClock) -> None:
    _, inner = scripted(*[OK, FAILED, OK] * 10)
    layer = guarded(inner, clock)
    assert [await outcome(layer) for _ in range(30)] == ["200", "500", "200"] * 10


async def test_fewer_calls_than_twenty_leave_it_closed(clock: ManualClock) -> None:
    _, inner = scripted(*[FAILED] * 19, OK)
    layer = guarded(inner, clock)
    assert [await outcome(layer) for _ in range(20)] == ["500"] * 19 + ["200"]


async def test_failures_of_half_a_minute_ago_are_forgotten(clock: ManualClock) -> None:
    _, inner = scripted(*[FAILED] * 19, *[OK] * 19, FAILED)
    layer = guarded(inner, clock)
    for _ in range(19):
        await outcome(layer)
    clock.advance(30)
    assert [await outcome(layer) for _ in range(20)] == ["200"] * 19 + ["500"]


async def test_five_failed_connections_in_a_row_open_the_circuit(clock: ManualClock) -> None:
    route, inner = always(httpx.ConnectError)
    layer = guarded(inner, clock)
    outcomes = [await outcome(layer) for _ in range(6)]
    assert (outcomes, route.call_count) == (["ConnectError"] * 5 + ["open, 1 s"], 5)


async def test_an_answer_between_failed_connections_starts_the_count_again(clock: ManualClock) -> None:
    _, inner = scripted(*[httpx.ConnectError] * 4, OK, *[httpx.ConnectError] * 4, OK)
    layer = guarded(inner, clock)
    assert [await outcome(layer) for _ in range(10)] == [*["ConnectError"] * 4, "200"] * 2


class Slow(httpx.AsyncBaseTransport):
    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._clock.sleep(self._seconds)
        return httpx.Response(200, request=request)


async def test_calls_that_nearly_time_out_open_the_circuit(clock: ManualClock) -> None:
    layer = guarded(Slow(clock, 8.1), clock)
    await asyncio.gather(*[outcome(layer) for _ in range(20)])
    assert (await outcome(layer)).startswith("open")


async def test_calls_that_take_a_while_leave_it_closed(clock: ManualClock) -> None:
    layer = guarded(Slow(clock, 0.3), clock)
    assert [await outcome(layer) for _ in range(30)] == ["200"] * 30


@pytest.mark.parametrize("step", [httpx.Response(400), httpx.Response(401), httpx.Response(404), httpx.Response(429)])
async def test_refusals_and_throttling_are_not_failures(clock: ManualClock, step: httpx.Response) -> None:
    _, inner = always(step)
    layer = guarded(inner, clock)
    assert [await outcome(layer) for _ in range(30)] == [str(step.status_code)] * 30


async def test_what_our_own_layers_refuse_is_not_a_failure(clock: ManualClock) -> None:
    route, inner = always(RateLimited)
    route.mock(side_effect=RateLimited("Acme", "its request limit is used up"))
    layer = guarded(inner, clock)
    assert [await outcome(layer) for _ in range(30)] == ["RateLimited"] * 30


async def test_cancelled_calls_are_not_failures(clock: ManualClock) -> None:
    vendor = Held()
    layer = guarded(vendor, clock)
    for number in range(30):
        task = asyncio.create_task(outcome(layer))
        await settle()
        assert len(vendor.requests) == number + 1
        task.cancel()
        await settle()
    assert vendor.cancelled == 30


async def test_one_group_of_operations_does_not_close_another(clock: ManualClock) -> None:
    layer = await opened(clock, OK)
    assert (await outcome(layer), await outcome(layer, read(operation="search.things"))) == ("open, 1 s", "200")


async def test_three_successful_probes_close_the_circuit(clock: ManualClock) -> None:
    layer = await opened(clock, *[OK] * 3, *[FAILED] * 19, OK)
    clock.advance(1)
    assert [await outcome(layer) for _ in range(23)] == ["200"] * 3 + ["500"] * 19 + ["200"]


async def test_while_it_is_open_one_call_a_second_goes_through(clock: ManualClock) -> None:
    layer = await opened(clock, *[FAILED] * 5)
    passed: list[str] = []
    for _ in range(5 * 64):
        clock.advance(1 / 64)
        passed.append(await outcome(layer))
    assert Counter(passed)["500"] == 5


async def test_the_pauses_are_a_twentieth_of_the_outage_and_fifteen_seconds_at_most(clock: ManualClock) -> None:
    layer = await opened(clock, *[FAILED] * 4)
    pauses: list[str] = []
    for seconds in (20, 40, 100, 10_000):
        clock.advance(seconds)
        await outcome(layer)
        pauses.append(await outcome(layer))
    assert pauses == ["open, 1 s", "open, 3 s", "open, 8 s", "open, 15 s"]


async def test_once_closed_it_opens_for_a_second_again(clock: ManualClock) -> None:
    layer = await opened(clock, FAILED, *[OK] * 3, *[FAILED] * 20)
    clock.advance(200)
    await outcome(layer)
    clock.advance(20)
    for _ in range(23):
        await outcome(layer)
    assert await outcome(layer) == "open, 1 s"


async def test_a_second_failure_while_it_closes_opens_it_again(clock: ManualClock) -> None:
    layer = await opened(clock, OK, FAILED)
    clock.advance(1)
    assert [await outcome(layer) for _ in range(3)] == ["200", "500", "open, 1 s"]


async def test_processes_do_not_probe_in_step(clock: ManualClock) -> None:
    waits: list[float] = []
    for chance in (0.0, 1.0):
        layer = Guarded(always(FAILED)[1], ACME, clock=clock, jitter=lambda chance=chance: chance)
        for _ in range(20):
            await outcome(layer)
        with pytest.raises(CircuitOpen) as refused:
            await layer.handle_async_request(read())
        waits.append(refused.value.retry_after or 0)
    assert waits == [pytest.approx(0.8), pytest.approx(1.2)]


async def opened_over(vendor: Held, clock: ManualClock) -> Guarded:
    layer = guarded(vendor, clock)
    calls = [asyncio.create_task(outcome(layer)) for _ in range(20)]
    await settle()
    for number in range(20):
        vendor.answer(number, FAILED)
    await asyncio.gather(*calls)
    clock.advance(1)
    return layer


async def test_a_probe_that_hangs_does_not_hold_the_next_one_back(clock: ManualClock) -> None:
    vendor = Held()
    layer = await opened_over(vendor, clock)
    hanging = asyncio.create_task(outcome(layer))
    await settle()
    assert await outcome(layer) == "open, 1 s"
    clock.advance(1)
    probe = asyncio.create_task(outcome(layer))
    await settle()
    vendor.answer(21, OK)
    assert await probe == "200"
    vendor.answer(20, httpx.ReadTimeout("no answer"))
    assert await hanging == "ReadTimeout"
    closing = asyncio.create_task(outcome(layer))  # what was sent before it was well again changes nothing
    await settle()
    vendor.answer(22, OK)
    assert await closing == "200"


async def test_the_probes_that_close_it_go_one_at_a_time(clock: ManualClock) -> None:
    vendor = Held()
    layer = await opened_over(vendor, clock)
    probe = asyncio.create_task(outcome(layer))
    await settle()
    vendor.answer(20, OK)
    await probe
    second = asyncio.create_task(outcome(layer))
    await settle()
    assert await outcome(layer) == "open, 1 s"
    vendor.answer(21, OK)
    assert await second == "200"


@pytest.mark.parametrize("left", ["throttled", "cancelled"])
async def test_a_probe_that_says_nothing_about_health_makes_room_for_the_next(clock: ManualClock, left: str) -> None:
    vendor = Held()
    layer = await opened_over(vendor, clock)
    first = asyncio.create_task(outcome(layer))
    await settle()
    vendor.answer(20, OK)
    await first
    probe = asyncio.create_task(outcome(layer))
    await settle()
    if left == "cancelled":
        probe.cancel()
    else:
        vendor.answer(21, httpx.Response(429))
    await settle()
    following = asyncio.create_task(outcome(layer))
    await settle()
    vendor.answer(22, OK)
    assert await following == "200"


async def test_the_metrics_say_whether_it_is_open_and_how_often_it_opened(clock: ManualClock) -> None:
    backend = replace(ACME, name="measured circuit")
    _, inner = scripted(*[FAILED] * 20, *[OK] * 3)
    layer = Guarded(inner, backend, clock=clock, jitter=lambda: 0.5)
    labels = {"upstream": backend.name, "group": "things"}
    states: list[float | None] = []
    for calls in (19, 1, 1, 2):
        for _ in range(calls):
            await outcome(layer)
        states.append(REGISTRY.get_sample_value("mcp_circuit_breaker_state", labels))
        clock.advance(1)
    assert states == [0, 2, 1, 0]
    assert REGISTRY.get_sample_value("mcp_circuit_breaker_opened_total", labels) == 1


async def test_calls_under_way_when_it_opens_do_not_open_it_again(clock: ManualClock) -> None:
    vendor = Held()
    layer = guarded(vendor, clock)
    calls = [asyncio.create_task(outcome(layer)) for _ in range(10)]
    await settle()
    for number in range(10):
        vendor.answer(number, httpx.ConnectError("refused"))
    await asyncio.gather(*calls)
    assert await outcome(layer) == "open, 1 s"


async def test_a_call_from_before_it_opened_is_no_probe(clock: ManualClock) -> None:
    vendor = Held()
    layer = guarded(vendor, clock)
    calls = [asyncio.create_task(outcome(layer)) for _ in range(21)]
    await settle()
    for number in range(20):
        vendor.answer(number, FAILED)
    await asyncio.gather(*calls[:20])
    vendor.answer(20, OK)  # the straggler: it was sent before
    await calls[20]
    assert await outcome(layer) == "open, 1 s"
