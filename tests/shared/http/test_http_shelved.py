"""What one replica fetched spares the vendor the others' question, and what one writes, the others see."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from tests.shared.acme import ACME, Held, Secrets, read, scripted, write
from tests.shared.clocks import ManualClock, settle
from tests.shared.http.shelves import Storeroom

from backoffice_shared.errors import MalformedAnswer
from backoffice_shared.http.cached import Cached
from backoffice_shared.http.client import connect
from backoffice_shared.http.kept import Kept, packed, unpacked
from backoffice_shared.sources import ask

pytestmark = pytest.mark.anyio

TAGS = ["thing:1"]


class Replicas:
    """Two caches before one vendor, and the shelf that they share."""

    def __init__(self, clock: ManualClock, inner: httpx.AsyncBaseTransport) -> None:
        self.room = Storeroom()
        self.one, self.other = (Cached(inner, ACME, shelf=self.room.shelf(), clock=clock) for _ in range(2))


def versions(count: int) -> list[httpx.Response]:
    return [
        httpx.Response(200, json={"version": n}, headers={"Set-Cookie": "session=s3cret"}) for n in range(1, count + 1)
    ]


async def version(layer: httpx.AsyncBaseTransport, partition: str = "mine") -> int:
    request = read(fresh_for=60, tags=TAGS, partition=partition)
    return (await layer.handle_async_request(request)).json()["version"]


async def test_what_one_replica_fetched_spares_the_vendor_the_others_question(clock: ManualClock) -> None:
    route, inner = scripted(*versions(2))
    at = Replicas(clock, inner)
    shared = REGISTRY.get_sample_value("mcp_cache_requests_total", {"upstream": "acme", "result": "shared"}) or 0
    assert [await version(layer) for layer in (at.one, at.other, at.other)] == [1, 1, 1]
    assert route.call_count == 1
    after = REGISTRY.get_sample_value("mcp_cache_requests_total", {"upstream": "acme", "result": "shared"})
    assert after == shared + 1


async def test_another_credentials_answer_does_not_lie_there(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    at = Replicas(clock, inner)
    assert [await version(at.one, "mine"), await version(at.other, "yours")] == [1, 2]


async def test_a_write_at_one_replica_is_seen_by_the_other(clock: ManualClock) -> None:
    _, inner = scripted(versions(1)[0], httpx.Response(201), versions(2)[1])
    at = Replicas(clock, inner)
    before = [await version(layer) for layer in (at.one, at.other)]
    await at.one.handle_async_request(write(tags=TAGS))
    assert (before, [await version(layer) for layer in (at.other, at.one)]) == ([1, 1], [2, 2])


async def test_a_read_that_another_replicas_write_overtakes_is_put_nowhere(clock: ManualClock) -> None:
    vendor = Held()
    at = Replicas(clock, vendor)
    overtaken = asyncio.create_task(version(at.one))
    await settle()
    changed = asyncio.create_task(at.other.handle_async_request(write(tags=TAGS)))
    await settle()
    vendor.answer(1, httpx.Response(201))
    await changed
    vendor.answer(0, versions(1)[0])
    assert await overtaken == 1
    for number, layer in enumerate((at.one, at.other)):
        after = asyncio.create_task(version(layer))
        await settle()
        if number == 0:
            vendor.answer(2, versions(2)[1])
        assert await after == 2


async def test_a_caller_that_hangs_up_on_its_write_leaves_no_old_answer_behind(clock: ManualClock) -> None:
    vendor = Held()
    at = Replicas(clock, vendor)
    first = asyncio.create_task(version(at.other))
    await settle()
    vendor.answer(0, versions(1)[0])
    await first
    writing = asyncio.create_task(at.one.handle_async_request(write(tags=TAGS)))
    await settle()
    writing.cancel()
    await settle()
    after = asyncio.create_task(version(at.other))
    await settle()
    vendor.answer(2, versions(2)[1])
    assert await after == 2


async def test_without_the_shelf_everything_works_and_is_only_not_shared(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2), httpx.Response(201), versions(3)[2])
    at = Replicas(clock, inner)
    at.room.away = True
    assert [await version(layer) for layer in (at.one, at.other, at.one)] == [1, 2, 1]
    assert (await at.one.handle_async_request(write(tags=TAGS))).status_code == 201
    assert await version(at.one) == 3


async def test_when_something_may_have_been_missed_nothing_is_kept(clock: ManualClock) -> None:
    _, inner = scripted(*versions(2))
    at = Replicas(clock, inner)
    await version(at.one)
    at.room.kept.clear()
    at.room.shelves[0].tell(None)
    assert await version(at.one) == 2


async def test_another_vendors_write_drops_nothing(clock: ManualClock) -> None:
    route, inner = scripted(*versions(2))
    at = Replicas(clock, inner)
    await version(at.one)
    at.room.shelves[0].tell(frozenset({"other vendor:thing"}))
    assert (await version(at.one), route.call_count) == (1, 1)


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.Response(503)])
async def test_an_old_answer_from_the_shelf_stands_in_when_the_vendor_fails(
    clock: ManualClock, failure: httpx.Response | type[Exception]
) -> None:
    _, inner = scripted(failure)
    at = Replicas(clock, inner)
    request = read(fresh_for=60, tags=TAGS)
    _, elsewhere = scripted(*versions(1))
    await Cached(elsewhere, ACME, shelf=at.room.shelf(), clock=clock).handle_async_request(request)
    (key, (since, content, tags)), *_ = at.room.kept.items()
    at.room.kept[key] = (since, aged(content, 200), tags)
    value, source = await ask("acme", lambda: version(at.one, "v1"))
    assert (value, source.status) == (1, "stale")


def aged(content: bytes, seconds: float) -> bytes:
    """An answer as it would lie there had it been put this long ago."""
    kept = unpacked(content, now=0.0)
    assert kept is not None
    return packed(
        Kept(
            kept.status,
            kept.headers,
            kept.content,
            kept.tags,
            0.0,
            kept.as_of - timedelta(seconds=seconds),
            kept.fresh_for,
        )
    )


async def test_what_the_shelf_is_told_shows_neither_question_nor_credential(clock: ManualClock) -> None:
    _, inner = scripted(*versions(1), httpx.Response(201))
    at = Replicas(clock, inner)
    await version(at.one, "partition-of-a-secret")
    await at.one.handle_async_request(write(tags=["customer:jo@example.com"]))
    told = repr((at.room.kept, at.room.forgotten))
    for hidden in ("things", "partition-of-a-secret", "thing:1", "jo@example.com", "s3cret"):
        assert hidden not in told


async def test_refusals_are_not_put_there(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(404))
    at = Replicas(clock, inner)
    await at.one.handle_async_request(read(fresh_for=60))
    assert at.room.kept == {}


async def test_a_misshapen_answer_does_not_stay_there(clock: ManualClock) -> None:
    room = Storeroom()
    _, inner = scripted(httpx.Response(200, json={"wrong": 1}), httpx.Response(200, json={"version": 2}))
    secrets = Secrets({"access_token": "s3cret"})
    one, other = (
        connect(ACME, inner, secrets, base_url=ACME.base_url, shelf=room.shelf(), clock=clock) for _ in range(2)
    )
    with pytest.raises(MalformedAnswer):
        await one.read("things.get", "/things/1", into=lambda wire: wire["version"], fresh_for=60)
    await settle()
    assert await other.read("things.get", "/things/1", into=lambda wire: wire["version"], fresh_for=60) == 2


async def test_a_closed_cache_listens_no_more(clock: ManualClock) -> None:
    at = Replicas(clock, scripted()[1])
    await at.one.aclose()
    assert at.room.shelves[0].listeners == []


KEPT = Kept(200, [(b"content-type", b"text/plain")], b"hello\n", frozenset({"acme:1"}), 5.0, datetime.now(UTC), 60.0)


def test_what_is_taken_from_the_shelf_is_what_was_put_there() -> None:
    taken = unpacked(packed(KEPT), now=5.0)
    assert taken is not None
    assert (taken.status, taken.headers, taken.content, taken.tags, taken.as_of, taken.fresh_for) == (
        KEPT.status,
        KEPT.headers,
        KEPT.content,
        KEPT.tags,
        KEPT.as_of,
        KEPT.fresh_for,
    )


@given(st.binary() | st.binary().map(lambda some: packed(KEPT)[: len(some) * 3] + some))
def test_what_is_no_answer_of_ours_is_none_or_another_answer(content: bytes) -> None:
    kept = unpacked(content, now=0.0)
    assert kept is None or (200 <= kept.status < 300 and kept.fresh_for > 0)
