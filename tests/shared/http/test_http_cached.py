"""Fresh answers spare the vendor; old ones stand in when it fails, and say that they are old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from tests.shared.acme import ACME, Held, Step, always, read, requests, scripted, write
from tests.shared.clocks import ManualClock, settle

from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import CircuitOpen
from backoffice_shared.http.cached import Cached
from backoffice_shared.http.coalesced import Coalesced
from backoffice_shared.sources import ask

pytestmark = pytest.mark.anyio

FAILURES: list[Step] = [
    httpx.ConnectError,
    httpx.ReadTimeout,
    httpx.Response(503),
    httpx.Response(429),
    CircuitOpen("Acme", "is left alone"),
]


def cached(inner: httpx.AsyncBaseTransport, clock: ManualClock) -> Cached:
    return Cached(inner, ACME, clock=clock)


def versions(count: int) -> list[httpx.Response]:
    return [httpx.Response(200, json={"version": n}) for n in range(1, count + 1)]


async def version(layer: httpx.AsyncBaseTransport, request: httpx.Request) -> int:
    return (await layer.handle_async_request(request)).json()["version"]


async def said(layer: Cached, request: httpx.Request) -> tuple[int, str]:
    """The version that came, and what the answer's source says about it."""
    value, source = await ask("acme", lambda: version(layer, request))
    assert isinstance(value, int)
    return value, source.status


async def test_a_fresh_answer_spares_the_vendor(clock: ManualClock) -> None:
    route, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    first = await said(layer, read(fresh_for=60))
    clock.advance(60)
    assert (first, await said(layer, read(fresh_for=60)), route.call_count) == ((1, "ok"), (1, "ok"), 1)


async def test_a_read_that_asks_for_nothing_kept_always_asks_the_vendor(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    assert [await version(layer, read()) for _ in range(2)] == [1, 2]


async def test_other_parameters_are_another_answer(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    assert [await version(layer, read(path, fresh_for=60)) for path in ("/things?page=1", "/things?page=2")] == [1, 2]


async def test_a_search_with_another_body_is_another_answer(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    layer = cached(inner, clock)

    def search(text: str) -> httpx.Request:
        extensions = read("/search", fresh_for=60).extensions
        return httpx.Request("POST", "https://acme.example/search", json={"q": text}, extensions=extensions)

    assert [await version(layer, search(text)) for text in ("anvil", "rope", "anvil")] == [1, 2, 1]


async def test_an_ageing_answer_is_given_at_once_while_a_new_one_is_fetched(clock: ManualClock) -> None:
    route, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(90)
    ageing = await said(layer, read(fresh_for=60))
    await settle()
    assert (ageing, await said(layer, read(fresh_for=60)), route.call_count) == ((1, "stale"), (2, "ok"), 2)


async def test_an_ageing_answer_is_fetched_behind_only_once_at_a_time(clock: ManualClock) -> None:
    vendor = Held()
    layer = cached(vendor, clock)
    first = asyncio.create_task(version(layer, read(fresh_for=60)))
    await settle()
    vendor.answer(0, versions(1)[0])
    await first
    clock.advance(90)
    assert [await version(layer, read(fresh_for=60)) for _ in range(5)] == [1] * 5
    await settle()
    assert len(vendor.requests) == 2
    await layer.aclose()
    await settle()
    assert vendor.cancelled == 1


async def test_a_failed_fetch_behind_leaves_the_ageing_answer(clock: ManualClock) -> None:
    _, inner = scripted(versions(1)[0], httpx.ConnectError, *versions(2)[1:])
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(90)
    for _ in range(2):
        assert await said(layer, read(fresh_for=60)) == (1, "stale")
        await settle()
    assert await said(layer, read(fresh_for=60)) == (2, "ok")


async def test_an_old_answer_is_not_given_while_the_vendor_answers(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(121)
    assert await said(layer, read(fresh_for=60)) == (2, "ok")


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_old_answer_stands_in_when_the_vendor_fails_and_says_so(clock: ManualClock, failure: Step) -> None:
    _, inner = scripted(versions(1)[0], failure)
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(2 * 60 + 300)
    assert await said(layer, read(fresh_for=60)) == (1, "stale")


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError, CircuitOpen("Acme", "is left alone"), httpx.Response(503, json={"version": -1})],
)
async def test_after_five_more_minutes_nothing_stands_in(clock: ManualClock, failure: Step) -> None:
    _, inner = scripted(versions(1)[0], failure)
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(2 * 60 + 301)
    try:
        answer = await version(layer, read(fresh_for=60))
    except (httpx.ConnectError, CircuitOpen):
        answer = -1
    assert answer == -1


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_nothing_stands_in_for_a_refusal_that_the_vendor_means(clock: ManualClock, status: int) -> None:
    _, inner = scripted(versions(1)[0], httpx.Response(status))
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(200)
    assert (await layer.handle_async_request(read(fresh_for=60))).status_code == status


async def test_an_answer_does_not_outlive_the_credential_it_was_read_with(clock: ManualClock) -> None:
    _, inner = scripted(versions(1)[0], MissingCredential("Acme", "has no credential configured"))
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60))
    clock.advance(200)
    with pytest.raises(MissingCredential):
        await version(layer, read(fresh_for=60))


@pytest.mark.parametrize("failure", [httpx.Response(500), httpx.Response(429), httpx.Response(403)])
async def test_a_refusal_is_not_kept(clock: ManualClock, failure: httpx.Response) -> None:
    _, inner = scripted(failure, versions(1)[0])
    layer = cached(inner, clock)
    await layer.handle_async_request(read(fresh_for=60))
    assert await version(layer, read(fresh_for=60)) == 1


async def test_that_a_thing_does_not_exist_is_kept_for_ten_seconds(clock: ManualClock) -> None:
    route, inner = scripted(httpx.Response(404), *versions(1))
    layer = cached(inner, clock)
    for seconds in (0, 10):
        clock.advance(seconds)
        assert (await layer.handle_async_request(read(fresh_for=60))).status_code == 404
    asked = route.call_count
    clock.advance(11)
    assert (asked, await version(layer, read(fresh_for=60))) == (1, 1)


async def test_a_write_drops_the_answers_that_it_touches_and_no_others(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2), httpx.Response(201), *versions(3)[2:])
    layer = cached(inner, clock)
    reads: list[Callable[[], Awaitable[int]]] = [
        lambda: version(layer, read("/things/1", fresh_for=60, tags=["thing:1", "list"])),
        lambda: version(layer, read("/things/2", fresh_for=60, tags=["thing:2"])),
    ]
    before = [await one() for one in reads]
    await layer.handle_async_request(write(tags=["thing:1"]))
    assert (before, [await one() for one in reads]) == ([1, 2], [3, 2])


@pytest.mark.parametrize("failure", [httpx.ReadError, CircuitOpen("Acme", "is left alone")])
async def test_a_write_that_failed_drops_answers_too(clock: ManualClock, failure: Step) -> None:
    _, inner = scripted(versions(1)[0], failure, *versions(2)[1:])
    layer = cached(inner, clock)
    await version(layer, read(fresh_for=60, tags=["thing:1"]))
    with pytest.raises((httpx.ReadError, CircuitOpen)):
        await layer.handle_async_request(write(tags=["thing:1"]))
    assert await version(layer, read(fresh_for=60, tags=["thing:1"])) == 2


async def test_a_read_that_a_write_overtakes_is_not_kept(clock: ManualClock) -> None:
    vendor = Held()
    layer = cached(vendor, clock)
    overtaken = asyncio.create_task(version(layer, read(fresh_for=60, tags=["thing:1"])))
    await settle()
    changed = asyncio.create_task(layer.handle_async_request(write(tags=["thing:1"])))
    await settle()
    vendor.answer(1, httpx.Response(201))
    await changed
    vendor.answer(0, versions(1)[0])
    await overtaken
    after = asyncio.create_task(version(layer, read(fresh_for=60, tags=["thing:1"])))
    await settle()
    vendor.answer(2, versions(2)[1])
    assert await after == 2


async def test_a_read_that_joined_one_from_before_a_write_is_not_kept(clock: ManualClock) -> None:
    vendor = Held()
    layer = cached(Coalesced(vendor), clock)
    before = asyncio.create_task(version(layer, read(fresh_for=60, tags=["thing:1"])))
    await settle()
    changed = asyncio.create_task(layer.handle_async_request(write(tags=["thing:1"])))
    await settle()
    vendor.answer(1, httpx.Response(201))
    await changed
    after = asyncio.create_task(version(layer, read(fresh_for=60, tags=["thing:1"])))
    await settle()
    vendor.answer(0, versions(1)[0])
    await before
    if len(vendor.requests) == 3:
        vendor.answer(2, versions(2)[1])
    await after
    later = asyncio.create_task(version(layer, read(fresh_for=60, tags=["thing:1"])))
    await settle()
    assert later.done()
    assert later.result() == 2


async def test_one_credentials_answers_are_never_given_to_anothers_calls(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    layer = cached(inner, clock)
    given = [await version(layer, read(fresh_for=60, partition=whose)) for whose in ("mine", "yours", "mine")]
    assert given == [1, 2, 1]


async def test_an_answer_larger_than_the_cache_is_not_kept(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(200, content=b"x" * 2000))
    layer = Cached(inner, ACME, clock=clock, capacity=1000)
    for _ in range(2):
        await layer.handle_async_request(read(fresh_for=60))
    assert route.call_count == 2


async def test_the_answer_used_longest_ago_makes_room(clock: ManualClock) -> None:
    route, inner = always(httpx.Response(200, content=b"x" * 400))
    layer = Cached(inner, ACME, clock=clock, capacity=2000)
    for path in ("/1", "/2", "/1", "/3", "/1", "/2"):
        await layer.handle_async_request(read(path, fresh_for=60))
    assert [request.url.path for request in requests(route)] == ["/1", "/2", "/3", "/2"]
