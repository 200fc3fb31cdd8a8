"""Three attempts, never past the deadline, and never a second one that could do something twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, Step, always, read, scripted, write
from tests.shared.clocks import ManualClock

from backoffice_shared.deadline import within
from backoffice_shared.errors import CircuitOpen, DeadlineExceeded
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.retrying import Retrying
from backoffice_shared.http.translated import Translated

pytestmark = pytest.mark.anyio


def retrying(inner: httpx.AsyncBaseTransport, clock: ManualClock) -> Retrying:
    """With the longest waits that jitter allows."""
    return Retrying(inner, ACME, clock=clock, jitter=lambda: 1.0)


@pytest.mark.parametrize("step", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout, httpx.Response(502)])
async def test_a_read_is_tried_three_times(clock: ManualClock, step: Step) -> None:
    route, inner = scripted(step, step, httpx.Response(200))
    response = await retrying(inner, clock).handle_async_request(read())
    assert (response.status_code, route.call_count, clock.slept) == (200, 3, [0.05, 0.1])


async def test_the_third_failure_is_the_answer(clock: ManualClock) -> None:
    route, inner = always(httpx.ConnectError)
    with pytest.raises(httpx.ConnectError):
        await retrying(inner, clock).handle_async_request(read())
    assert route.call_count == 3


async def test_the_third_refusal_is_the_answer(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(502, text="bad gateway"))
    response = await retrying(inner, clock).handle_async_request(read())
    assert (response.text, route.call_count) == ("bad gateway", 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_that_asking_again_does_not_change_is_not_repeated(clock: ManualClock, status: int) -> None:
    route, inner = always(httpx.Response(status))
    response = await retrying(inner, clock).handle_async_request(read())
    assert (response.status_code, route.call_count) == (status, 1)


@pytest.mark.parametrize("step", [httpx.ReadError, httpx.ReadTimeout, httpx.WriteError])
async def test_a_write_without_a_key_is_never_sent_twice(clock: ManualClock, step: type[Exception]) -> None:
    route, inner = always(step)
    with pytest.raises(step):
        await retrying(inner, clock).handle_async_request(write())
    assert route.call_count == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_write_without_a_key_is_not_repeated_after_a_failure_behind_the_gateway(
    clock: ManualClock, status: int
) -> None:
    route, inner = always(httpx.Response(status))
    response = await retrying(inner, clock).handle_async_request(write())
    assert (response.status_code, route.call_count) == (status, 1)


@pytest.mark.parametrize("step", [httpx.ReadError, httpx.Response(502)])
async def test_a_write_with_a_key_is_repeated(clock: ManualClock, step: Step) -> None:
    route, inner = scripted(step, httpx.Response(201))
    response = await retrying(inner, clock).handle_async_request(write(key="k-1"))
    assert (response.status_code, route.call_count) == (201, 2)


@pytest.mark.parametrize("step", [httpx.ConnectError, httpx.ConnectTimeout, httpx.Response(429)])
async def test_a_write_that_cannot_have_happened_is_repeated_without_a_key(clock: ManualClock, step: Step) -> None:
    route, inner = scripted(step, httpx.Response(201))
    response = await retrying(inner, clock).handle_async_request(write())
    assert (response.status_code, route.call_count) == (201, 2)


async def test_the_vendor_is_left_alone_for_as_long_as_it_asks(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200))
    await retrying(inner, clock).handle_async_request(read())
    assert clock.slept == [8.0]  # its seven, and a second of jitter


async def test_throttling_without_a_time_waits_a_second_then_two(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(429), httpx.Response(429), httpx.Response(200))
    await retrying(inner, clock).handle_async_request(read())
    assert clock.slept == [1.0, 2.0]


async def test_no_wait_goes_past_the_deadline(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(429, headers={"Retry-After": "7"}))
    with within(5.0, clock):
        response = await retrying(inner, clock).handle_async_request(read())
    assert (response.status_code, route.call_count, clock.slept) == (429, 1, [])


async def test_without_time_left_the_vendor_is_not_asked(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(200))
    with within(0.04, clock), pytest.raises(DeadlineExceeded) as raised:
        await retrying(inner, clock).handle_async_request(read())
    assert (str(raised.value), route.call_count) == (
        "Acme: was not asked: the call has too little time left.",
        0,
    )


def usually(clock: ManualClock, seconds: float) -> Latencies:
    """What a backend is known by that takes this long for `things.get`."""
    latencies = Latencies(clock)
    for _ in range(20):
        latencies.note("things.get", seconds)
    return latencies


@pytest.mark.parametrize(("left", "asked"), [(1.9, 0), (2.1, 1)])
async def test_a_vendor_that_would_answer_too_late_is_not_asked(clock: ManualClock, left: float, asked: int) -> None:
    route, inner = always(httpx.Response(200))
    layer = Retrying(inner, ACME, latencies=usually(clock, 2.0), clock=clock)
    with within(left, clock):
        await asyncio.gather(layer.handle_async_request(read()), return_exceptions=True)
    assert route.call_count == asked


async def test_a_repetition_that_would_come_too_late_is_not_made(clock: ManualClock) -> None:
    route, inner = always(httpx.ReadError)
    layer = Retrying(inner, ACME, latencies=usually(clock, 2.0), clock=clock, jitter=lambda: 1.0)
    with within(2.04, clock), pytest.raises(httpx.ReadError):
        await layer.handle_async_request(read())
    assert (route.call_count, clock.slept) == (1, [])


@pytest.mark.parametrize(("seconds", "expected"), [(100.0, 10.0), (4.0, 3.8), (0.5, 0.45)])
async def test_an_attempt_has_the_vendors_timeout_or_what_the_call_has_left(
    clock: ManualClock, seconds: float, expected: float
) -> None:
    route, inner = always(httpx.Response(200))
    with within(seconds, clock):
        await retrying(inner, clock).handle_async_request(read())
    assert route.calls.last.request.extensions["timeout"] == {
        "connect": pytest.approx(min(expected, 5.0)),
        "read": pytest.approx(expected),
        "write": pytest.approx(expected),
        "pool": pytest.approx(expected),
    }


async def test_an_attempt_without_a_deadline_has_the_vendors_timeout(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(200))
    await retrying(inner, clock).handle_async_request(read())
    assert route.calls.last.request.extensions["timeout"]["read"] == ACME.timeout


async def test_an_outage_is_not_multiplied_for_ever(clock: ManualClock) -> None:
    route, inner = always(httpx.ConnectError)
    layer = retrying(inner, clock)
    for _ in range(100):
        with pytest.raises(httpx.ConnectError):
            await layer.handle_async_request(read())
    assert route.call_count == 100 + 500 // 14


async def test_success_fills_the_retry_budget_again(clock: ManualClock) -> None:
    _, inner = scripted(httpx.ConnectError, httpx.Response(200), httpx.ConnectError, httpx.ConnectError)
    layer = retrying(inner, clock)
    await layer.handle_async_request(read())
    refunded = layer.budget.tokens
    layer.budget.tokens = 13
    with pytest.raises(httpx.ConnectError):
        await layer.handle_async_request(read())
    assert (refunded, layer.budget.tokens) == (500, 13)


async def test_a_clean_success_earns_one_token(clock: ManualClock) -> None:
    _, inner = always(httpx.Response(200))
    layer = retrying(inner, clock)
    layer.budget.tokens = 20
    await layer.handle_async_request(read())
    assert layer.budget.tokens == 21


async def test_the_metrics_say_what_is_left_of_the_budget(clock: ManualClock) -> None:
    _, inner = always(httpx.ConnectError)
    with pytest.raises(httpx.ConnectError):
        await Retrying(inner, replace(ACME, name="measured budget"), clock=clock).handle_async_request(read())
    assert REGISTRY.get_sample_value("mcp_retry_budget_tokens", {"upstream": "measured budget"}) == 500 - 2 * 14


async def test_a_refusal_of_our_own_is_not_repeated(clock: ManualClock) -> None:
    route, inner = always(CircuitOpen)
    route.mock(side_effect=CircuitOpen("Acme", "is left alone"))
    with pytest.raises(CircuitOpen):
        await retrying(inner, clock).handle_async_request(read())
    assert route.call_count == 1


@pytest.mark.parametrize(
    "second",
    [
        pytest.param((httpx.ConnectError, httpx.ConnectError), id="no connection any more"),
        pytest.param((CircuitOpen("Acme", "is left alone"),), id="circuit opened meanwhile"),
        pytest.param((httpx.Response(429), httpx.Response(429)), id="throttled meanwhile"),
    ],
)
async def test_a_write_whose_answer_was_lost_stays_unknown_when_its_repetition_fails(
    clock: ManualClock, second: tuple[Step, ...]
) -> None:
    _, inner = scripted(httpx.ReadError, *second)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the code is asserted below
        await Translated(retrying(inner, clock), ACME).handle_async_request(write(key="k-1"))
    assert getattr(raised.value, "code", "") == "outcome_unknown"
