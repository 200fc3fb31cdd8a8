"""Cached answers that replicas share: what one keeps, the other finds, until either of them forgets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.e2e.running import eventually
from tests.real.valkey import ValkeyServer
from tests.shared.http.shelves import Storeroom
from tests.shared.state.replicas import PATIENT, replicas

from backoffice_shared.state.shelf import Shelf
from backoffice_shared.state.valkey.opened import shared
from backoffice_shared.state.valkey.shelf import LARGEST, LONGEST, MOST_PENDING

pytestmark = pytest.mark.anyio

Two = tuple[Shelf, Shelf]


@pytest.fixture(params=["twin", "valkey"])
async def two(request: pytest.FixtureRequest) -> AsyncGenerator[Two]:
    """The shelf as two replicas have it."""
    if request.param == "twin":
        room = Storeroom()
        yield room.shelf(), room.shelf()
        return
    server: ValkeyServer = request.getfixturevalue("valkey")
    async with replicas(server.url) as (first, second):
        assert first.shelf is not None
        assert second.shelf is not None
        yield first.shelf, second.shelf


async def put(shelf: Shelf, key: str, content: bytes, *tags: str, seconds: float = 60) -> None:
    await shelf.put(await shelf.get(key), content, seconds=seconds, tags=tags)


async def found(shelf: Shelf, key: str) -> bytes | None:
    return (await shelf.get(key)).content


async def test_what_one_replica_keeps_the_other_finds(two: Two) -> None:
    assert await found(two[0], "k") is None
    await put(two[0], "k", b"answer \x00\xff", "contact:1")
    assert [await found(shelf, "k") for shelf in two] == [b"answer \x00\xff"] * 2
    assert await found(two[1], "other") is None


async def test_what_one_replica_forgets_is_gone_for_all_at_once(two: Two) -> None:
    await put(two[0], "k", b"1", "contact:1", "orders")
    await put(two[0], "other", b"2", "contact:2")
    await two[1].forget(["contact:1"])
    assert [await found(shelf, "k") for shelf in two] == [None, None]
    assert await found(two[0], "other") == b"2"


async def test_what_was_read_before_a_write_is_not_kept_after_it(two: Two) -> None:
    slot = await two[0].get("k")
    await two[1].forget(["contact:1"])
    await two[0].put(slot, b"before the write", seconds=60, tags=["contact:1"])
    assert await found(two[0], "k") is None
    await put(two[0], "k", b"after the write", "contact:1")
    assert await found(two[1], "k") == b"after the write"


async def test_an_answer_about_many_things_goes_with_any_of_them(two: Two) -> None:
    await put(two[0], "k", b"1", *(f"contact:{number}" for number in range(50)))
    await two[1].forget(["contact:49"])
    assert await found(two[0], "k") is None


async def test_an_answer_about_nothing_is_kept_too(two: Two) -> None:
    await put(two[0], "k", b"1")
    assert await found(two[1], "k") == b"1"


async def test_the_other_replicas_are_told_what_was_forgotten(two: Two) -> None:
    here: list[frozenset[str] | None] = []
    there: list[frozenset[str] | None] = []
    stopped: list[frozenset[str] | None] = []
    two[0].on_forgotten(here.append)
    two[1].on_forgotten(stopped.append)()
    two[1].on_forgotten(there.append)
    await two[0].forget(["contact:1", "ä"])
    await eventually(lambda: there == [frozenset({"contact:1", "ä"})])
    assert (here, stopped) == ([], [])


# What only one that is kept elsewhere can do


async def test_what_lies_in_the_store_tells_nothing_to_whoever_reads_it(valkey: ValkeyServer) -> None:
    async with replicas(valkey.url) as (first, _):
        assert first.shelf is not None
        await put(first.shelf, "GET /contacts/maria@example.com", b"Maria's address", "contact:maria@example.com")
    keys = valkey.ask("KEYS", "*")
    answer = next(key for key in keys.split(b"\r\n") if b":answer:" in key).decode()
    stored = keys + valkey.ask("HGETALL", answer)
    assert b"aria" not in stored
    assert b"contact" not in stored


async def test_what_a_stranger_put_there_is_not_believed(valkey: ValkeyServer) -> None:
    async with (
        replicas(valkey.url) as (first, second),
        shared(valkey.url, replicas=1, seal_key="another key", budget=PATIENT) as other,
    ):
        assert first.shelf is not None
        assert second.shelf is not None
        assert other.shelf is not None
        await put(first.shelf, "k", b"true")
        assert await found(other.shelf, "k") is None
        keys = valkey.ask("KEYS", "*").split(b"\r\n")
        place = next(key for key in keys if b":answer:" in key).decode()
        valkey.ask("HSET", place, "content", "false, and long enough to hold a nonce and a tag")
        assert await found(second.shelf, "k") is None


async def test_an_answer_is_kept_for_its_time_and_at_most_ten_minutes(valkey: ValkeyServer) -> None:
    async with replicas(valkey.url) as (first, second):
        assert first.shelf is not None
        assert second.shelf is not None
        await put(first.shelf, "short", b"1", seconds=0.05)
        await asyncio.sleep(0.06)
        assert await found(second.shelf, "short") is None
        await put(first.shelf, "long", b"1", seconds=86_400)
        key = next(key for key in valkey.ask("KEYS", "*").split(b"\r\n") if b":answer:" in key).decode()
        assert int(valkey.ask("PTTL", key).strip(b":\r\n")) <= LONGEST * 1000


async def test_an_answer_that_is_too_large_is_not_kept(valkey: ValkeyServer) -> None:
    async with replicas(valkey.url) as (first, _):
        assert first.shelf is not None
        await put(first.shelf, "k", bytes(LARGEST + 1))
        assert await found(first.shelf, "k") is None
        await put(first.shelf, "k", bytes(LARGEST))
        assert await found(first.shelf, "k") == bytes(LARGEST)


@pytest.mark.parametrize("writes", [1, MOST_PENDING + 1])
async def test_what_was_forgotten_while_the_store_was_away_is_gone_when_it_is_back(
    valkey: ValkeyServer, writes: int
) -> None:
    async with replicas(valkey.url) as (first, second):
        assert first.shelf is not None
        assert second.shelf is not None
        await put(first.shelf, "k", b"before", "contact:0")
        with valkey.stopped():
            assert (await first.shelf.get("k")).since is None
            for number in range(writes):
                await first.shelf.forget([f"contact:{number}"])
            await put(first.shelf, "k", b"dropped", "contact:0")

        async def looked() -> bool:
            return (await first.shelf.get("k")).since is not None  # pyright: ignore[reportOptionalMemberAccess]

        await eventually(looked)
        assert await found(first.shelf, "k") is None
        assert await found(second.shelf, "k") is None


async def test_whoever_may_have_missed_something_is_told_so(valkey: ValkeyServer) -> None:
    async with replicas(valkey.url) as (first, _):
        assert first.shelf is not None
        heard: list[frozenset[str] | None] = []
        first.shelf.on_forgotten(heard.append)
        valkey.restart()
        await eventually(lambda: heard == [None])
