"""Secrets of a store far away are read before they are needed, and outlast the store's bad hours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from tests.shared.credentials.stores import ScriptedStore, WaitingClock, kept, until

from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.errors import BackendUnavailable, BackofficeError, PermissionDenied

pytestmark = pytest.mark.anyio

DOWN = BackendUnavailable("Acme Store", "is down")


@pytest.fixture
def time_() -> WaitingClock:
    return WaitingClock()


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
async def source(store: ScriptedStore, time_: WaitingClock) -> AsyncGenerator[KeptCredentials]:
    source = kept(store, time_)
    yield source
    await source.aclose()


async def token(source: KeptCredentials) -> str:
    return (await source.read("acme"))["access_token"]


async def test_only_the_first_readers_wait_and_they_share_one_reading(
    source: KeptCredentials, store: ScriptedStore
) -> None:
    store.door.clear()
    readers = [asyncio.create_task(token(source)) for _ in range(20)]
    await until(lambda: store.fetches)
    assert not any(reader.done() for reader in readers)
    store.door.set()
    assert set(await asyncio.gather(*readers)) == {"v1"}
    assert [await token(source) for _ in range(3)] == ["v1", "v1", "v1"]
    assert store.fetches == 1


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 192), (0.5, 240), (1.0, 288)])
async def test_a_secret_is_read_anew_at_four_fifths_of_five_minutes_give_or_take_a_fifth(
    store: ScriptedStore, time_: WaitingClock, jitter: float, seconds: float
) -> None:
    source = kept(store, time_, jitter=jitter)
    await token(source)
    await until(lambda: True)
    time_.advance(seconds - 1)
    await until(lambda: True)
    assert store.fetches == 1
    store.value = "v2"
    time_.advance(1.5)
    await until(lambda: store.fetches == 2)
    assert await token(source) == "v2"
    await source.aclose()


async def test_nobody_waits_while_it_is_read_anew(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    await token(source)
    await until(lambda: True)
    store.value = "v2"
    store.door.clear()
    time_.advance(241)
    await until(lambda: store.fetches == 2)
    assert [await asyncio.wait_for(token(source), 0.5) for _ in range(5)] == ["v1"] * 5
    store.door.set()
    renewed = await source.refresh("acme", rejected="v1")  # joins it
    assert (renewed["access_token"], await token(source), store.fetches) == ("v2", "v2", 2)


async def test_the_last_confirmed_secret_serves_for_an_hour_while_the_store_is_down_and_then_no_more(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    await token(source)
    store.failing = DOWN
    for _ in range(3599):
        time_.advance(1)
        await asyncio.sleep(0)
        assert await token(source) == "v1"
    time_.advance(1)
    with pytest.raises(BackendUnavailable, match="is down"):
        await token(source)
    await until(lambda: True)
    store.failing = None
    time_.advance(1)
    assert await token(source) == "v1"


async def test_a_store_that_is_down_is_asked_every_few_seconds(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    await token(source)
    store.failing = DOWN
    time_.advance(241)
    for _ in range(60):
        await until(lambda: True)
        time_.advance(1)
    assert 9 <= store.fetches - 1 <= 13


async def test_who_comes_in_vain_to_a_store_that_is_down_does_not_come_again_at_once(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    store.failing = DOWN
    for _ in range(100):
        with pytest.raises(BackendUnavailable):
            await token(source)
    assert store.fetches == 1
    time_.advance(0.6)
    with pytest.raises(BackendUnavailable):
        await token(source)
    assert store.fetches == 2


async def test_a_refused_secret_is_read_anew_once_for_all_who_were_refused(
    source: KeptCredentials, store: ScriptedStore
) -> None:
    rejected = (await source.read("acme")).version
    store.value = "v2"
    renewed = await asyncio.gather(*[source.refresh("acme", rejected=rejected) for _ in range(20)])
    assert ({one["access_token"] for one in renewed}, store.fetches) == ({"v2"}, 2)
    assert (await source.refresh("acme", rejected=rejected))["access_token"] == "v2"
    assert store.fetches == 2


async def test_a_refused_secret_that_is_still_the_newest_is_not_asked_for_with_every_call(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    rejected = (await source.read("acme")).version
    for _ in range(100):
        assert (await source.refresh("acme", rejected=rejected)).version == rejected
    assert store.fetches == 2
    store.value = "v2"
    time_.advance(0.6)
    assert (await source.refresh("acme", rejected=rejected))["access_token"] == "v2"


async def test_two_rotations_at_once_are_both_noticed(source: KeptCredentials, store: ScriptedStore) -> None:
    tokens: list[str] = []
    for value in ("v2", "v3", "v4"):
        rejected = (await source.read("acme")).version
        store.value = value
        tokens.append((await source.refresh("acme", rejected=rejected))["access_token"])
    assert tokens == ["v2", "v3", "v4"]


async def test_a_reading_that_began_before_the_refusal_is_not_the_answer_to_it(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    rejected = (await source.read("acme")).version
    await until(lambda: True)
    store.door.clear()
    time_.advance(241)
    await until(lambda: store.fetches == 2)  # this one has seen v1
    store.value = "v2"
    refreshed = asyncio.create_task(source.refresh("acme", rejected=rejected))
    await until(lambda: True)
    store.door.set()
    assert (await refreshed)["access_token"] == "v2"


async def test_a_refused_secret_is_given_again_when_the_store_is_down(
    source: KeptCredentials, store: ScriptedStore
) -> None:
    rejected = (await source.read("acme")).version
    store.failing = DOWN
    assert (await source.refresh("acme", rejected=rejected)).version == rejected


async def test_a_caller_who_leaves_does_not_take_the_reading_with_it(
    source: KeptCredentials, store: ScriptedStore
) -> None:
    store.door.clear()
    leaving, staying = asyncio.create_task(token(source)), asyncio.create_task(token(source))
    await until(lambda: store.fetches)
    leaving.cancel()
    store.door.set()
    assert (await staying, store.fetches) == ("v1", 1)


async def test_a_secret_that_is_taken_away_is_gone_and_found_again_when_it_is_back(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    await token(source)
    await until(lambda: True)
    store.value = ""
    time_.advance(241)
    await until(lambda: store.fetches == 2)
    assert dict(await source.read("acme")) == {}
    store.value = "v2"
    time_.advance(31)
    assert await token(source) == "v2"


async def test_what_we_may_not_read_is_as_if_it_were_not_there_and_an_operator_is_told(
    source: KeptCredentials, store: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = PermissionDenied("Acme Store", "the policy says no")
    assert dict(await source.read("acme")) == {}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "store/acme cannot be read: Acme Store: the policy says no." in caplog.text


async def test_what_we_may_not_read_any_more_serves_until_its_hour_is_over(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    await token(source)
    store.failing = PermissionDenied("Acme Store", "the policy says no")
    time_.advance(3599)
    assert await token(source) == "v1"
    time_.advance(1)
    with pytest.raises(PermissionDenied):
        await token(source)


async def test_what_a_library_raises_is_told_by_its_name_only(
    source: KeptCredentials, store: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.failing = ValueError("hunter2hunter2")
    with caplog.at_level(logging.DEBUG), pytest.raises(BackendUnavailable) as raised:
        await token(source)
    assert str(raised.value) == "Acme Store: cannot be used at the moment (ValueError)."
    assert (raised.value.__cause__, "hunter2" in caplog.text) == (None, False)


async def test_a_lease_is_renewed_at_seven_tenths_and_stays_the_same_secret(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    store.lasts = 100
    lent = await source.read("acme")
    for _ in range(5):
        await until(lambda: True)
        time_.advance(69)
        await until(lambda: True)
        renewals = len(store.renewals)
        time_.advance(1.5)
        await until(lambda renewals=renewals: len(store.renewals) > renewals)
    assert (await source.read("acme")) is lent
    assert (store.fetches, store.renewals) == (1, [1] * 5)


async def test_a_lease_that_cannot_be_renewed_is_followed_by_another_before_it_ends(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    store.lasts, store.renewable = 100, False
    assert await token(source) == "v1/1"
    await until(lambda: True)
    time_.advance(71)
    await until(lambda: store.fetches == 2)
    assert await token(source) == "v1/2"


async def test_a_lease_never_serves_beyond_its_end(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    store.lasts = 100
    assert await token(source) == "v1/1"
    store.failing = DOWN
    time_.advance(99.9)
    assert await token(source) == "v1/1"
    time_.advance(0.1)
    with pytest.raises(BackendUnavailable):
        await token(source)


async def test_a_lease_that_is_over_at_once_is_not_asked_for_without_a_pause(
    source: KeptCredentials, store: ScriptedStore, time_: WaitingClock
) -> None:
    store.lasts, store.renewable = 0.001, False
    await source.read("acme")
    for _ in range(10):
        await until(lambda: True)
        time_.advance(0.1)
    assert store.fetches <= 3


async def test_closing_gives_back_what_was_lent_and_a_later_reading_begins_anew(
    source: KeptCredentials, store: ScriptedStore
) -> None:
    store.lasts = 100
    await token(source)
    await source.aclose()
    assert (store.revoked, store.closed) == ([1], 1)
    assert await token(source) == "v1/2"


async def test_closing_does_not_wait_for_a_store_that_hangs(store: ScriptedStore, time_: WaitingClock) -> None:
    source = kept(store, time_)
    await token(source)
    store.door.clear()
    hanging = [asyncio.create_task(source.refresh("acme", rejected="v1"))]
    await until(lambda: store.fetches == 2)
    await asyncio.wait_for(source.aclose(), 5)
    store.door.set()
    assert await asyncio.gather(*hanging, return_exceptions=True)


async def test_the_age_of_a_secret_is_measured_as_long_as_it_is_held(
    source: KeptCredentials, time_: WaitingClock
) -> None:
    def age() -> float | None:
        return REGISTRY.get_sample_value("mcp_secret_age_seconds", {"path": "store/acme"})

    await token(source)
    time_.advance(120)
    assert age() == 120
    await source.aclose()
    assert age() is None


Happening = tuple[float, bool, bool]


@given(
    lasts=st.sampled_from([0.0, 40.0, 500.0, 10_000.0]),
    renewable=st.booleans(),
    happenings=st.lists(st.tuples(st.floats(0.5, 2_000), st.booleans(), st.booleans()), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_nothing_serves_longer_than_it_may(
    lasts: float, renewable: bool, happenings: list[Happening]
) -> None:
    asyncio.run(_lived_through(lasts, renewable, happenings))


async def _lived_through(lasts: float, renewable: bool, happenings: list[Happening]) -> None:
    clock, store = WaitingClock(), ScriptedStore(lasts=lasts, renewable=renewable)
    source = kept(store, clock)
    confirmed = float("-inf")
    for seconds, up, refused in happenings:
        store.failing = None if up else DOWN
        asked = (store.fetches, len(store.renewals))
        clock.advance(seconds)
        for _ in range(3):
            await asyncio.sleep(0.001)
        try:
            read = await source.read("acme")
            if refused:
                await source.refresh("acme", rejected=read.version)
        except BackofficeError:
            read = None
        await asyncio.sleep(0.002)
        if up and (store.fetches, len(store.renewals)) != asked:
            confirmed = clock.now()
        if read is not None:
            assert clock.now() - confirmed < (lasts or 3600)
        else:
            assert not up
    await source.aclose()
