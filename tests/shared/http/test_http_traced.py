"""Every attempt is measured, under names of our own only."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, Held, Step, read, scripted, write
from tests.shared.clocks import settle

from backoffice_shared.credentials.source import MissingCredential
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
