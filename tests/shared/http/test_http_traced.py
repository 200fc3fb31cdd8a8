"""Every attempt is measured, under names of our own only."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, Held, Step, read, scripted, write
from tests.shared.clocks import ManualClock, settle

from backoffice_shared.account import accounting
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import TooLarge
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.traced import Traced

pytestmark = pytest.mark.anyio


def measured(upstream: str) -> dict[tuple[str, str], float]:
    """How many attempts were counted, by operation and outcome."""
    return {
        (sample.labels["operation"], sample.labels["outcome"]): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "mcp_upstream_request_duration_seconds_count" and sample.labels["upstream"] == upstream
    }


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (httpx.Response(200), "ok"),
        (httpx.Response(404), "permanent"),
        (httpx.Response(401), "auth"),
        (httpx.Response(429), "throttled"),
        (httpx.Response(503, headers={"Retry-After": "1"}), "throttled"),
        (httpx.Response(503), "ambiguous"),
        (httpx.Response(408), "ambiguous"),
        (httpx.ConnectError, "transient"),
        (httpx.ConnectTimeout, "transient"),
        (httpx.ReadError, "ambiguous"),
        (httpx.ReadTimeout, "ambiguous"),
        (httpx.UnsupportedProtocol, "permanent"),
        (MissingCredential("Acme", "has no credential configured"), "permission_denied"),
    ],
)
async def test_an_attempt_is_counted_under_what_became_of_it(
    step: Step, outcome: str, request: pytest.FixtureRequest
) -> None:
    upstream = request.node.name
    _, inner = scripted(step)
    await asyncio.gather(
        Traced(inner, replace(ACME, name=upstream)).handle_async_request(read()), return_exceptions=True
    )
    assert measured(upstream) == {("things.get", outcome): 1.0}


async def test_a_cancelled_attempt_is_counted_as_cancelled() -> None:
    task = asyncio.create_task(Traced(Held(), replace(ACME, name="cancelling")).handle_async_request(write()))
    await settle()
    task.cancel()
    await settle()
    assert measured("cancelling") == {("things.add", "cancelled"): 1.0}


async def account_of(*steps: Step) -> dict[str, tuple[int, int]]:
    """What the call's account says of its attempts, and the last status."""
    _, inner = scripted(*steps)
    layer = Traced(inner, ACME)
    with accounting() as account:
        for _ in steps:
            await asyncio.gather(layer.handle_async_request(read()), return_exceptions=True)
    return account.upstream


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([httpx.Response(200)], (1, 200)),
        ([httpx.Response(502), httpx.Response(404)], (2, 404)),
        ([httpx.ConnectError], (1, 0)),
        ([TooLarge("Acme", "answered more than we carry")], (1, 0)),
    ],
)
async def test_the_calls_account_has_every_attempt(steps: list[Step], told: tuple[int, int]) -> None:
    assert await account_of(*steps) == {"acme": told}


async def test_what_a_layer_of_ours_refused_was_no_attempt() -> None:
    assert await account_of(MissingCredential("Acme", "has no credential configured")) == {}


async def test_an_attempt_that_is_cancelled_was_one() -> None:
    vendor = Held()
    with accounting() as account:
        task = asyncio.create_task(Traced(vendor, ACME).handle_async_request(write()))
        await settle()
        task.cancel()
        await settle()
    assert account.upstream == {"acme": (1, 0)}


async def test_what_is_usual_is_learnt_from_answers_that_could_be_used() -> None:
    clock = ManualClock()
    latencies = Latencies(clock)
    _, inner = scripted(*[httpx.Response(200)] * 19, httpx.Response(500), httpx.Response(200))
    layer = Traced(inner, ACME, latencies=latencies, clock=clock)
    known: list[float | None] = []
    for _ in range(21):
        await layer.handle_async_request(read())
        known.append(latencies.within("things.get", 0.5))
    assert known == [None] * 20 + [0.0]
