"""A backend is down for twenty seconds under four fifths of the load that it can bear: what reaches it, and what follows.

The stack, the sandbox's frame and the load are real, the time is simulated. Numbers are printed (`-s` shows them).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any, Literal, get_args

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.shared.acme import ACME, Secrets
from tests.simulation import LoopClock, simulate

from backoffice_shared.backend import Rate
from backoffice_shared.deadline import within
from backoffice_shared.errors import BackofficeError
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

Outage = Literal["503", "connections broken", "connections refused", "no answer"]

CAPACITY, OFFERED = 50.0, 40.0  # requests a second
WORKERS = 5
DOWN_AT, UP_AT, END = 30.0, 50.0, 75.0
SEED = 7
CLOCK = LoopClock()


class Vendor:
    """Five workers, each a tenth of a second a request, and half as quick while more comes than they can bear."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._free = asyncio.Semaphore(WORKERS)
        self._came: deque[float] = deque()

    async def thing(self, request: Request) -> Response:
        self._came.append(CLOCK.now())
        while self._came[0] < CLOCK.now() - 1:
            self._came.popleft()
        slower = 2 if len(self._came) > CAPACITY * 1.2 else 1  # random arrivals exceed it at times
        async with self._free:
            await asyncio.sleep(slower * WORKERS / CAPACITY * self._chance.uniform(0.5, 1.5))
        return JSONResponse({"id": request.path_params["id"]})

    def sandbox(self) -> VendorSandbox:
        return VendorSandbox(
            name="acme",
            title="Acme",
            app=Starlette(routes=[Route("/things/{id}", self.thing, methods=["GET", "PUT", "POST"])]),
            credentials={"access_token": "sandbox"},
            throttled=lambda seconds: Response("slow down", 429, headers={"Retry-After": str(seconds)}),
            unavailable=lambda: Response("down for maintenance", 503),
        )


class Line(httpx.AsyncBaseTransport):
    """The way to the vendor, which notes when something is sent along it."""

    def __init__(self, sandbox: VendorSandbox) -> None:
        self._inner = InProcess(sandbox)
        self.cut = False
        self.sent: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(CLOCK.now())
        if self.cut:
            raise httpx.ConnectError("refused", request=request)
        return await self._inner.handle_async_request(request)


@dataclass
class Story:
    """`calls` are when each began, and how it ended; `circuit` is when the metrics showed another state."""

    calls: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    sent: list[float] = field(default_factory=list[float])
    circuit: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    carried_out: Counter[str] = field(default_factory=Counter[str])
    """How often each write without a key reached the vendor."""

    def amplification(self, begin: float, end: float) -> float:
        offered = sum(begin <= at < end for at, _ in self.calls)
        return sum(begin <= at < end for at in self.sent) / offered

    def last_failure(self) -> float:
        """When the last call began that failed, in seconds after the vendor's return."""
        return max(at for at, ended in self.calls if ended != "ok") - UP_AT


@cache
def story_of(outage: Outage) -> Story:
    random.seed(SEED)  # the jitter of our own layers
    return simulate(_told(outage))


async def _told(outage: Outage) -> Story:
    story, chance = Story(), Random(SEED)
    sandbox = Vendor(chance).sandbox()
    line = Line(sandbox)
    # Its own name, for its own metrics. A pace that its load never meets.
    backend = replace(ACME, name=f"down: {outage}", rate=Rate(requests=1000, seconds=1, burst=1000))
    acme = connect(backend, line, Secrets({"access_token": "sandbox"}), base_url="https://acme.example", clock=CLOCK)
    async with asyncio.TaskGroup() as group:
        group.create_task(_go_down(outage, sandbox, line))
        group.create_task(_watch(backend.name, story))
        number = 0
        while CLOCK.now() < END:
            group.create_task(_call(acme, number, story))
            number += 1
            await asyncio.sleep(chance.expovariate(OFFERED))
    await acme.aclose()
    story.sent = line.sent
    story.carried_out = Counter(entry.path for entry in sandbox.requests if entry.method == "POST")
    return story


async def _call(acme: BackendClient, number: int, story: Story) -> None:
    """Eight in ten are reads, one is a write with a key, one without."""
    began, place = CLOCK.now(), f"/things/{number}"
    try:
        with within(30, CLOCK):
            match number % 10:
                case 0:
                    await acme.write("things.add", place, into=_id, json={})
                case 1:
                    await acme.write("things.set", place, into=_id, method="PUT", json={}, key=f"key-{number}")
                case _:
                    await acme.read("things.get", place, into=_id)
    except BackofficeError as error:
        story.calls.append((began, error.code))
    else:
        story.calls.append((began, "ok"))


def _id(wire: Any) -> str:
    return wire["id"]


async def _go_down(outage: Outage, sandbox: VendorSandbox, line: Line) -> None:
    await asyncio.sleep(DOWN_AT)
    match outage:
        case "503":
            sandbox.faults = Faults(error=1.0)
        case "connections broken":
            sandbox.faults = Faults(reset=1.0)
        case "connections refused":
            line.cut = True
        case "no answer":
            sandbox.faults = Faults(slow=1.0, seconds=3600)
    await asyncio.sleep(UP_AT - DOWN_AT)
    sandbox.faults, line.cut = Faults(), False


async def _watch(backend: str, story: Story) -> None:
    """What a scrape of the metrics shows, ten times a second."""
    while CLOCK.now() < END:
        state = _scraped("mcp_circuit_breaker_state", backend)
        if not story.circuit or story.circuit[-1][1] != state:
            story.circuit.append((CLOCK.now(), state))
        await asyncio.sleep(0.1)


def _scraped(metric: str, backend: str) -> float:
    """What Prometheus would read."""
    text = generate_latest(REGISTRY.restricted_registry([metric])).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return next((s.value for s in samples if s.name == metric and s.labels["upstream"] == backend), 0.0)


def every_outage() -> Any:
    return pytest.mark.parametrize("outage", get_args(Outage))


@every_outage()
def test_an_outage_is_not_multiplied(outage: Outage) -> None:
    story = story_of(outage)
    during, in_all = story.amplification(DOWN_AT, UP_AT), story.amplification(DOWN_AT, END)
    tell(
        f"{outage}: sent while down {during:.2f} times what was offered, {in_all:.2f} times until everything was settled"
    )
    assert during <= 1.1
    assert in_all <= 1.1


@every_outage()
def test_two_seconds_after_it_is_back_nothing_fails_any_more(outage: Outage) -> None:
    story = story_of(outage)
    assert {ended for at, ended in story.calls if at < DOWN_AT - 5} == {"ok"}
    failed = Counter(ended for at, ended in story.calls if DOWN_AT <= at < UP_AT and ended != "ok")
    assert failed.total() > 0.8 * OFFERED * (UP_AT - DOWN_AT)  # some were patient enough
    tell(f"{outage}: the last call that failed began {story.last_failure():+.2f} s after the return")
    assert story.last_failure() <= 2.0


@every_outage()
def test_the_metrics_show_the_circuit_open_and_close(outage: Outage) -> None:
    story = story_of(outage)
    tell(f"{outage}: " + ", ".join(f"{('closed', 'half open', 'open')[int(s)]} at {at:.1f}" for at, s in story.circuit))
    opened = next(at for at, state in story.circuit if state == 2)
    closed, state = story.circuit[-1]
    assert DOWN_AT < opened < UP_AT
    assert (state, closed <= UP_AT + 2) == (0, True)
    assert _scraped("mcp_circuit_breaker_opened_total", f"down: {outage}") == 1


@every_outage()
def test_no_write_without_a_key_reaches_the_vendor_twice(outage: Outage) -> None:
    carried_out = story_of(outage).carried_out
    assert len(carried_out) > 100
    assert max(carried_out.values()) == 1


def tell(measured: str) -> None:
    print(measured)
