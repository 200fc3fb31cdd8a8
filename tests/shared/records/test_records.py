"""Idempotency records: whoever asks, and however often, a key is carried out once."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime, timedelta

import pytest
from tests.real.postgres import PostgresServer
from tests.shared.records.databases import database_at
from tests.shared.records.racing import KEYS

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Database
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.records import Claim, Done, OtherArguments, UnderWay
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.stored import CLEAN_EVERY, LONGEST_WAIT, StoredRecords

pytestmark = pytest.mark.anyio

SCOPE = "somebody:refund"
DAY = 86_400.0


@pytest.fixture
def records(database: Database) -> StoredRecords:
    return StoredRecords(database)


async def claim(records: StoredRecords, key: str = "k", *, arguments: str = "f", lease: float = 60.0) -> Claim:
    claimed = await records.claim(SCOPE, key, arguments, lease=lease)
    assert isinstance(claimed, Claim)
    return claimed


async def once_lapsed(records: StoredRecords) -> Claim:
    until = time.monotonic() + 10
    while isinstance(claimed := await records.claim(SCOPE, "k", "f", lease=60), UnderWay):
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
    assert isinstance(claimed, Claim)
    return claimed


async def test_the_first_claim_of_a_key_gets_it(records: StoredRecords) -> None:
    assert await claim(records) == Claim(SCOPE, "k", 1, None)


async def test_of_fifty_claims_at_once_one_gets_the_key_and_the_others_are_told_to_wait(records: StoredRecords) -> None:
    claims = await asyncio.gather(*(records.claim(SCOPE, "k", "f", lease=60) for _ in range(50)))
    assert sum(isinstance(claimed, Claim) for claimed in claims) == 1
    assert sum(claimed == UnderWay(LONGEST_WAIT) for claimed in claims) == 49


async def test_what_was_done_is_told_to_whoever_asks_again(records: StoredRecords) -> None:
    await records.finish(await claim(records), '{"refunded":1}', keep=DAY)
    assert [await records.claim(SCOPE, "k", "f", lease=60) for _ in range(2)] == [Done('{"refunded":1}')] * 2


async def test_a_key_is_bound_to_its_arguments_while_it_is_under_way_and_when_it_is_done(
    records: StoredRecords,
) -> None:
    held = await claim(records)
    assert await records.claim(SCOPE, "k", "other", lease=60) == OtherArguments()
    await records.finish(held, "{}", keep=DAY)
    assert await records.claim(SCOPE, "k", "other", lease=60) == OtherArguments()


async def test_the_same_key_in_another_scope_is_another_key(records: StoredRecords) -> None:
    await claim(records)
    assert isinstance(await records.claim("somebody else:refund", "k", "other", lease=60), Claim)


async def test_what_was_given_back_can_be_claimed_anew_and_for_something_else(records: StoredRecords) -> None:
    await records.release(await claim(records), uncertain=False, keep=DAY)
    assert await claim(records, arguments="other") == Claim(SCOPE, "k", 2, None)


async def test_a_lease_that_lapsed_leaves_it_uncertain_whether_it_was_carried_out(records: StoredRecords) -> None:
    began = datetime.now(UTC)
    await claim(records, lease=0.2)
    waiting = await records.claim(SCOPE, "k", "f", lease=60)
    assert isinstance(waiting, UnderWay)
    assert 0 < waiting.retry_after <= 0.2
    again = await once_lapsed(records)
    assert again.epoch == 2
    assert again.uncertain_since is not None
    assert abs(again.uncertain_since - began) < timedelta(seconds=2)


async def test_what_is_uncertain_stays_so_from_the_first_attempt_on_until_it_is_done(records: StoredRecords) -> None:
    await records.release(await claim(records), uncertain=True, keep=DAY)
    second = await claim(records)
    assert second.uncertain_since is not None
    await records.release(second, uncertain=True, keep=DAY)
    third = await claim(records)
    await records.release(third, uncertain=False, keep=DAY)  # this one did nothing; the first may have
    fourth = await claim(records)
    assert [third.uncertain_since, fourth.uncertain_since] == [second.uncertain_since] * 2
    assert await records.claim(SCOPE, "k", "other", lease=60) == OtherArguments()
    await records.finish(fourth, "{}", keep=DAY)
    assert await records.claim(SCOPE, "k", "f", lease=60) == Done("{}")


async def test_a_claim_that_was_overtaken_cannot_write_and_the_log_says_so(
    records: StoredRecords, caplog: pytest.LogCaptureFixture
) -> None:
    overtaken = await claim(records, lease=0)
    latest = await claim(records)
    with caplog.at_level(logging.WARNING, logger="backoffice.state"):
        await records.finish(overtaken, '"zombie"', keep=DAY)
        await records.release(overtaken, uncertain=False, keep=DAY)
    assert [record.message for record in caplog.records if record.name == "backoffice.state"] == [
        "a claim of somebody:refund outlived its lease and was overtaken: what it did is not kept"
    ] * 2
    assert await records.claim(SCOPE, "k", "f", lease=60) == UnderWay(LONGEST_WAIT)
    await records.finish(latest, '"latest"', keep=DAY)
    assert await records.claim(SCOPE, "k", "f", lease=60) == Done('"latest"')


async def test_a_claim_that_outlived_its_lease_and_was_not_overtaken_can_still_write(records: StoredRecords) -> None:
    await records.finish(await claim(records, lease=0), "{}", keep=DAY)
    assert await records.claim(SCOPE, "k", "f", lease=60) == Done("{}")


async def test_a_result_is_forgotten_when_its_time_is_over(records: StoredRecords) -> None:
    await records.finish(await claim(records), "{}", keep=0)
    assert await claim(records, arguments="other") == Claim(SCOPE, "k", 2, None)


async def test_a_result_of_64_kibibytes_is_kept_as_it_is(records: StoredRecords) -> None:
    result = "€\\u0000" * (65_536 // 9)
    await records.finish(await claim(records), result, keep=DAY)
    assert await records.claim(SCOPE, "k", "f", lease=60) == Done(result)


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "\ud800", "'; DROP TABLE idempotency; --", "ключ", "k" * 255])
async def test_a_key_may_be_any_text(records: StoredRecords, key: str) -> None:
    await records.finish(await claim(records, key), "{}", keep=DAY)
    assert await records.claim(SCOPE, key, "f", lease=60) == Done("{}")


async def test_the_key_itself_is_not_stored(database: Database, records: StoredRecords) -> None:
    await claim(records, "ada@mail.example")
    rows = await database.transact(lambda transaction: transaction.execute("SELECT * FROM idempotency"))
    assert "mail.example" not in repr(rows)


async def test_what_has_expired_is_removed_while_other_keys_are_claimed(
    database: Database, records: StoredRecords
) -> None:
    for number in range(CLEAN_EVERY):
        await records.finish(await claim(records, f"{number}"), "{}", keep=-1 if number % 2 else DAY)
    rows = await database.transact(lambda transaction: transaction.execute("SELECT key FROM idempotency"))
    assert len(rows) <= CLEAN_EVERY // 2 + 1


# Several processes, and those that die


async def other_process(place: str, act: str) -> Process:
    module = "tests.shared.records.racing"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, place, SCOPE, act, stdin=PIPE, stdout=PIPE
    )


async def test_of_two_processes_that_race_for_keys_each_key_goes_to_one(place: str) -> None:
    processes = [await other_process(place, "race") for _ in range(2)]
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    won = [output.decode().splitlines() for output, _ in outputs]
    assert sorted(won[0] + won[1]) == sorted(KEYS)


async def test_a_process_that_is_killed_leaves_its_key_uncertain_once_its_lease_lapsed(place: str) -> None:
    process = await other_process(place, "hang")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"claimed\n"
    process.kill()
    await process.wait()
    database = database_at(place)
    records = StoredRecords(database)
    assert isinstance(await records.claim(SCOPE, "key", "f", lease=60), UnderWay)
    until = time.monotonic() + 10
    while isinstance(claimed := await records.claim(SCOPE, "key", "f", lease=60), UnderWay):
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    await database.aclose()
    assert isinstance(claimed, Claim)
    assert (claimed.epoch, claimed.uncertain_since is not None) == (2, True)


async def test_what_was_kept_is_there_after_a_restart(place: str) -> None:
    first = database_at(place)
    records = StoredRecords(first)
    await records.finish(await claim(records), "{}", keep=DAY)
    await first.aclose()
    second = database_at(place)
    assert await StoredRecords(second).claim(SCOPE, "k", "f", lease=60) == Done("{}")
    await second.aclose()


async def test_a_restart_of_postgresql_is_not_noticed(postgres: PostgresServer) -> None:
    database = PostgresDatabase(postgres.new_database())
    records = StoredRecords(database)
    await asyncio.gather(*(claim(records, f"before {number}") for number in range(8)))
    held = await claim(records)
    postgres.restart()
    await records.finish(held, "{}", keep=DAY)
    assert await records.claim(SCOPE, "k", "f", lease=60) == Done("{}")
    await database.aclose()


async def test_nothing_is_claimed_while_postgresql_is_stopped(postgres: PostgresServer) -> None:
    database = PostgresDatabase(postgres.new_database())
    records = StoredRecords(database)
    await claim(records, "before")
    postgres.stop()
    with pytest.raises(BackendUnavailable) as raised:
        await claim(records)
    assert str(raised.value) == "PostgreSQL: cannot be used at the moment."
    postgres.start()
    assert await claim(records) == Claim(SCOPE, "k", 1, None)
    await database.aclose()


async def test_nothing_is_claimed_while_postgresql_does_not_answer_and_no_thread_is_left_behind(
    postgres: PostgresServer,
) -> None:
    database = PostgresDatabase(postgres.new_database(), patience=0.5)
    records = StoredRecords(database)
    await claim(records, "before")
    with postgres.frozen():
        for _ in range(6):  # more than there are connections
            with pytest.raises(BackendUnavailable):
                await claim(records)
    until = time.monotonic() + 10
    while True:
        try:
            claimed = await records.claim(SCOPE, "after", "f", lease=60)
            break
        except BackendUnavailable:
            assert time.monotonic() < until
    assert claimed == Claim(SCOPE, "after", 1, None)
    await database.aclose()


async def test_nothing_is_claimed_when_there_is_no_place_for_the_file() -> None:
    records = StoredRecords(SqliteDatabase("/dev/null/backoffice.db"))
    with pytest.raises(BackendUnavailable, match=r"/dev/null/backoffice\.db cannot be used"):
        await claim(records)
