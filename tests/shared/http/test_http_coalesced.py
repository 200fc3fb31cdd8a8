"""Identical reads at the same time share one request."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.shared.acme import Held, read, write
from tests.shared.clocks import ManualClock, settle

from backoffice_shared.deadline import within
from backoffice_shared.errors import DeadlineExceeded
from backoffice_shared.http.coalesced import Coalesced

pytestmark = pytest.mark.anyio


@pytest.fixture
def vendor() -> Held:
    return Held()


@pytest.fixture
def layer(vendor: Held) -> Coalesced:
    return Coalesced(vendor)


def sent(layer: httpx.AsyncBaseTransport, request: httpx.Request) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(layer.handle_async_request(request))


async def test_identical_reads_share_one_request(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, read()) for _ in range(5)]
    await settle()
    vendor.answer(0, httpx.Response(200, json={"id": 1}))
    assert [(await task).json() for task in tasks] == [{"id": 1}] * 5
    assert len(vendor.requests) == 1


async def test_everyone_gets_the_failure(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, read()) for _ in range(3)]
    await settle()
    vendor.answer(0, httpx.ConnectError("refused"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [httpx.ConnectError] * 3
    assert len(vendor.requests) == 1


async def test_a_later_read_asks_again(layer: Coalesced, vendor: Held) -> None:
    for number in range(2):
        task = sent(layer, read())
        await settle()
        vendor.answer(number, httpx.Response(200))
        await task
    assert len(vendor.requests) == 2


async def test_different_reads_are_not_shared(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, read(path)) for path in ("/things/1", "/things/2", "/things/1?full=1")]
    await settle()
    assert [request.url.raw_path for request in vendor.requests] == [b"/things/1", b"/things/2", b"/things/1?full=1"]
    for number, task in enumerate(tasks):
        vendor.answer(number, httpx.Response(200))
        await task


async def test_writes_are_never_shared(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, write()) for _ in range(2)]
    await settle()
    assert len(vendor.requests) == 2
    for number, task in enumerate(tasks):
        vendor.answer(number, httpx.Response(201))
        await task


@pytest.mark.parametrize("leaving", [0, 1])
async def test_one_who_leaves_does_not_take_the_answer_from_the_others(
    layer: Coalesced, vendor: Held, leaving: int
) -> None:
    tasks = [sent(layer, read()) for _ in range(2)]
    await settle()
    tasks.pop(leaving).cancel()
    await settle()
    vendor.answer(0, httpx.Response(200, json={"id": 1}))
    assert ((await tasks[0]).json(), vendor.cancelled) == ({"id": 1}, 0)


async def test_the_last_one_who_leaves_cancels_the_request(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, read()) for _ in range(2)]
    await settle()
    for task in tasks:
        task.cancel()
    await settle()
    assert (len(vendor.requests), vendor.cancelled) == (1, 1)


async def test_a_read_after_a_cancelled_one_is_a_new_request(layer: Coalesced, vendor: Held) -> None:
    first = sent(layer, read())
    await settle()
    first.cancel()
    second = sent(layer, read())
    await settle()
    vendor.answer(1, httpx.Response(200, json={"id": 2}))
    assert (await second).json() == {"id": 2}


async def test_one_credentials_answer_is_not_shared_with_anothers_call(layer: Coalesced, vendor: Held) -> None:
    tasks = [sent(layer, read(partition=whose)) for whose in ("mine", "yours")]
    await settle()
    assert len(vendor.requests) == 2
    for number, task in enumerate(tasks):
        vendor.answer(number, httpx.Response(200))
        await task


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("Acme", "was not asked: the call has no time left"),
        httpx.ReadTimeout("no answer within 0.5 s"),
    ],
)
async def test_who_has_more_time_than_the_first_asks_again(
    layer: Coalesced, vendor: Held, clock: ManualClock, error: Exception
) -> None:
    with within(0.5, clock):
        hurried = sent(layer, read())
    patient = sent(layer, read())
    await settle()
    vendor.answer(0, error)
    await settle()
    assert type(hurried.exception()) is type(error)
    assert len(vendor.requests) == 2
    vendor.answer(1, httpx.Response(200, json={"id": 1}))
    assert (await patient).json() == {"id": 1}


async def test_a_read_after_a_write_does_not_get_what_was_read_before_it(layer: Coalesced, vendor: Held) -> None:
    before = sent(layer, read())
    await settle()
    changed = sent(layer, write())
    await settle()
    vendor.answer(1, httpx.Response(201))
    await changed
    after = sent(layer, read())
    await settle()
    vendor.answer(0, httpx.Response(200, json={"name": "old"}))
    await before
    assert len(vendor.requests) == 3
    vendor.answer(2, httpx.Response(200, json={"name": "new"}))
    assert (await after).json() == {"name": "new"}
