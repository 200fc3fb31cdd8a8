"""A list that changed on one replica is told to whoever listens on any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from mcp.server.subscriptions import InMemorySubscriptionBus, SubscriptionBus
from mcp.shared.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from tests.e2e.running import eventually
from tests.real.valkey import ValkeyServer
from tests.shared.state.replicas import PATIENT, replicas

from backoffice_shared.state.valkey.channel import Channel
from backoffice_shared.state.valkey.store import Store

pytestmark = pytest.mark.anyio

EVENTS: list[ServerEvent] = [
    ToolsListChanged(),
    PromptsListChanged(),
    ResourcesListChanged(),
    ResourceUpdated("health://backends"),
]
ANY_LIST = EVENTS[:3]


@pytest.fixture(params=["memory", "valkey"])
async def two(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[SubscriptionBus, SubscriptionBus]]:
    """The bus as two replicas have it; one process alone has one."""
    if request.param == "memory":
        bus = InMemorySubscriptionBus()
        yield bus, bus
        return
    server: ValkeyServer = request.getfixturevalue("valkey")
    async with replicas(server.url) as (first, second):
        yield first.bus, second.bus


async def test_every_kind_of_event_is_heard_once_on_both_replicas(two: tuple[SubscriptionBus, SubscriptionBus]) -> None:
    here: list[ServerEvent] = []
    there: list[ServerEvent] = []
    two[0].subscribe(here.append)
    two[1].subscribe(there.append)
    for event in EVENTS:
        await two[0].publish(event)
    assert here == EVENTS
    await eventually(lambda: there == EVENTS)
    await two[1].publish(ToolsListChanged())
    await eventually(lambda: here == there == [*EVENTS, ToolsListChanged()])


async def test_who_has_stopped_listening_hears_nothing(two: tuple[SubscriptionBus, SubscriptionBus]) -> None:
    stopped: list[ServerEvent] = []
    going_on: list[ServerEvent] = []
    end = two[1].subscribe(stopped.append)
    two[1].subscribe(going_on.append)
    end()
    end()
    await two[0].publish(ToolsListChanged())
    await eventually(lambda: going_on)
    assert stopped == []


async def test_what_is_no_event_is_ignored(valkey: ValkeyServer) -> None:
    async with replicas(valkey.url, count=1) as (only,):
        heard: list[ServerEvent] = []
        only.bus.subscribe(heard.append)
        for said in ("", "12345678", "12345678{", "12345678[]", "12345678{'method': 7}", "12345678" + "[" * 5000):
            valkey.ask("PUBLISH", "{backoffice}:heard:lists", said)
        valkey.ask(
            "PUBLISH", "{backoffice}:heard:lists", '12345678{\\"method\\":\\"notifications/tools/list_changed\\"}'
        )
        await eventually(lambda: heard)
        assert heard == [ToolsListChanged()]


async def test_who_listens_here_hears_while_the_store_is_away_and_that_there_may_be_more_when_it_is_back(
    valkey: ValkeyServer,
) -> None:
    async with replicas(valkey.url) as (first, second):
        here: list[ServerEvent] = []
        there: list[ServerEvent] = []
        first.bus.subscribe(here.append)
        second.bus.subscribe(there.append)
        with valkey.stopped():
            await first.bus.publish(ResourceUpdated("health://backends"))
            assert here == [ResourceUpdated("health://backends")]
        await eventually(lambda: there == ANY_LIST)


async def test_a_connection_on_which_nothing_comes_any_more_is_made_anew(valkey: ValkeyServer) -> None:
    heard: list[bytes | None] = []

    async def listener(message: bytes | None) -> None:
        heard.append(message)
        raise LookupError("and a listener that fails ends nothing")

    async with Store(valkey.url, budget=PATIENT).running() as store:
        there, here = (Channel(valkey.url, store, "test", silence=0.1) for _ in range(2))
        here.hear(listener)
        async with here.running():
            await asyncio.sleep(0.5)
            assert heard == [None], "a sign of life came"
            with valkey.frozen():
                await asyncio.sleep(0.5)
            await eventually(lambda: heard == [None, None])
            await there.say(b"hello")
            await eventually(lambda: heard == [None, None, b"hello"])
