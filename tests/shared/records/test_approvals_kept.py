"""Approvals in a database: whoever comes at the same moment, whatever becomes of the process, and whatever was there before."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect, text
from tests.real.postgres import PostgresServer
from tests.shared.approving import WANTED, agreed
from tests.shared.clocks import ManualClock
from tests.shared.records.databases import database_at

from backoffice_shared.errors import BackofficeError, NotFound
from backoffice_shared.state.approvals import Approval, Wanted
from backoffice_shared.state.approvals_stored import CLEAN_EVERY, KEEP, StoredApprovals
from backoffice_shared.state.database import Database
from backoffice_shared.state.migrations import configured, migrated, reverted
from backoffice_shared.state.schema import VERSIONS
from backoffice_shared.state.sqlite import MEMORY, SqliteDatabase

pytestmark = pytest.mark.anyio

HOUR = 3600.0


# At the same moment


async def settled(*acts: Any) -> list[str]:
    """What became of them, all begun at once: "done" or the name of the refusal."""
    ended: list[Any] = await asyncio.gather(*acts, return_exceptions=True)
    for end in ended:
        if isinstance(end, BaseException) and not isinstance(end, BackofficeError):
            raise end
    return sorted(type(end).__name__ if isinstance(end, BackofficeError) else "done" for end in ended)


async def test_of_those_who_decide_or_use_at_once_one_wins(place: str) -> None:
    databases = [database_at(place) for _ in range(4)]
    stores = [StoredApprovals(database) for database in databases]
    for number in range(10):
        wanted = replace(WANTED, payload={"n": number})
        asked = await asyncio.gather(*(store.ask(wanted) for store in stores))
        [approval_id] = {approval.approval_id for approval in asked}
        decisions = (
            store.decide(approval_id, approver=f"key {n}", named=f"name {n}", agrees=n % 2 == 0)
            for n, store in enumerate(stores)
        )
        assert await settled(*decisions) == ["Conflict", "Conflict", "Conflict", "done"]
        if (await stores[0].get(approval_id)).state == "denied":
            continue
        uses = (store.use(approval_id, wanted, by=f"call {n}") for n, store in enumerate(stores))
        assert await settled(*uses) == ["Conflict", "Conflict", "Conflict", "done"]
    for database in databases:
        await database.aclose()


async def test_two_who_agree_at_once_are_two_and_one_who_does_twice_is_one(place: str) -> None:
    databases = [database_at(place) for _ in range(3)]
    stores = [StoredApprovals(database) for database in databases]
    for number in range(10):
        asked = await stores[0].ask(replace(WANTED, payload={"n": number}, needed=2))
        voters = ["ann", "ann", "ben"]
        votes = (
            store.decide(asked.approval_id, approver=f"key of {name}", named=name, agrees=True)
            for store, name in zip(stores, voters, strict=True)
        )
        assert await settled(*votes) == ["Conflict", "done", "done"]
        after = await stores[0].get(asked.approval_id)
        assert (after.state, sorted(after.approvers)) == ("approved", ["ann", "ben"])
    for database in databases:
        await database.aclose()


# Kept


async def test_what_was_decided_outlives_the_process(place: str) -> None:
    first, second = database_at(place), database_at(place)
    asked = await StoredApprovals(first).ask(WANTED)
    approved = await agreed(StoredApprovals(first), asked.approval_id, "ann")
    await first.aclose()
    assert await StoredApprovals(second).get(asked.approval_id) == approved
    await second.aclose()


async def test_what_is_long_over_is_removed_with_its_votes(database: Database) -> None:
    clock = ManualClock()
    approvals = StoredApprovals(database, now=lambda _: clock.now())
    old = await approvals.ask(WANTED)
    await agreed(approvals, old.approval_id, "ann")
    clock.advance(72 * HOUR + KEEP)
    for number in range(CLEAN_EVERY):
        await approvals.ask(replace(WANTED, requester=f"key {number}"))
    with pytest.raises(NotFound):
        await approvals.get(old.approval_id)
    counted = "SELECT count(*) FROM approval_votes"
    assert await database.transact(lambda transaction: transaction.execute(counted)) == [(0,)]


# What was there before


def test_a_file_of_the_version_before_gets_the_tables_and_keeps_what_it_had(tmp_path: Path) -> None:
    file = tmp_path / "backoffice.db"
    with sqlite3.connect(file) as connection:
        for statement in VERSIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO quota VALUES ('agent:USD', 700, 9e9)")
    connection.close()

    async def use() -> tuple[Approval, list[tuple[Any, ...]]]:
        database = SqliteDatabase(file)
        asked = await StoredApprovals(database).ask(WANTED)
        kept = await database.transact(lambda transaction: transaction.execute("SELECT key, used FROM quota"))
        await database.aclose()
        return asked, kept

    asked, kept = asyncio.run(use())
    assert (asked.state, kept) == ("pending", [("agent:USD", 700)])


def test_a_database_of_the_version_before_gets_the_tables_and_keeps_what_it_had(postgres: PostgresServer) -> None:
    engine = create_engine(postgres.new_database().replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        command.upgrade(configured(connection), "0001")
        connection.execute(text("INSERT INTO quota VALUES ('agent:USD', 700, 9e9)"))
    before = set(inspect(engine).get_table_names())
    migrated(engine)
    assert set(inspect(engine).get_table_names()) - before == {"approvals", "approval_votes"}
    reverted(engine, "0001")
    assert set(inspect(engine).get_table_names()) == before
    with engine.connect() as connection:
        assert connection.execute(text("SELECT key, used FROM quota")).all() == [("agent:USD", 700)]
    engine.dispose()


# Whatever is done in whatever order


@dataclass(frozen=True)
class Ask:
    requester: str
    payload: int
    needed: int


@dataclass(frozen=True)
class Decide:
    which: int
    approver: str
    agrees: bool


@dataclass(frozen=True)
class Use:
    which: int
    requester: str
    payload: int
    by: str


@dataclass(frozen=True)
class Wait:
    hours: int


@dataclass
class Known:
    """What one approval has to be, by what was done to it."""

    asked: Ask
    until: float
    state: Literal["pending", "approved", "denied", "used"] = "pending"
    agreed: list[str] = field(default_factory=list[str])
    by: str = ""


people, small = st.sampled_from(["ann", "ben", "cat"]), st.integers(0, 3)
STEPS = (
    st.builds(Ask, people, st.integers(0, 1), st.integers(1, 2))
    | st.builds(Decide, small, people, st.sampled_from([True, True, True, False]))
    | st.builds(Use, small, people, st.integers(0, 1), st.sampled_from(["call 1", "call 2"]))
    | st.builds(Wait, st.sampled_from([1, 30, 72]))
)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_an_approval_is_what_was_done_to_it_and_nothing_else(steps: list[Any]) -> None:
    asyncio.run(followed(steps))


async def followed(steps: list[Any]) -> None:
    clock, database = ManualClock(), SqliteDatabase(MEMORY)
    approvals = StoredApprovals(database, now=lambda _: clock.now())
    known: dict[str, Known] = {}
    for step in steps:
        ids = list(known)
        which = ids[step.which % len(ids)] if ids and isinstance(step, Decide | Use) else ""
        match step:
            case Ask():
                asked = await approvals.ask(wanted(step.requester, step.payload, step.needed))
                same = [one for one, its in known.items() if its.asked == step and live(its, clock)]
                assert [asked.approval_id] == same or (not same and asked.approval_id not in known)
                known.setdefault(asked.approval_id, Known(step, clock.now() + 72 * HOUR))
            case Decide() if which:
                done = await went(
                    approvals.decide(which, approver=f"key of {step.approver}", named=step.approver, agrees=step.agrees)
                )
                assert done == decided(known[which], step, clock)
            case Use() if which:
                its = known[which]
                using = wanted(step.requester, step.payload, its.asked.needed)
                assert await went(approvals.use(which, using, by=step.by)) == used(its, step, clock)
            case Wait():
                clock.advance(step.hours * HOUR)
            case _:
                pass
        for one, its in known.items():
            found = await approvals.get(one)
            over = its.state in ("pending", "approved") and not live(its, clock)
            assert (found.state, sorted(found.approvers)) == ("expired" if over else its.state, its.agreed)
        waiting = {one for one, its in known.items() if its.state == "pending" and live(its, clock)}
        assert {approval.approval_id for approval in await approvals.pending()} == waiting
    await database.aclose()


def wanted(requester: str, payload: int, needed: int) -> Wanted:
    called = {"requester": f"key of {requester}", "requested_by": requester}
    return replace(WANTED, payload={"n": payload}, needed=needed, **called)


def live(its: Known, clock: ManualClock) -> bool:
    return its.state in ("pending", "approved") and clock.now() < its.until


def decided(its: Known, step: Decide, clock: ManualClock) -> bool:
    """Whether it has an effect, which is noted."""
    if its.state != "pending" or not live(its, clock) or step.approver == its.asked.requester:
        return False
    if step.agrees and step.approver in its.agreed:
        return False
    if not step.agrees:
        its.state, its.agreed = "denied", [name for name in its.agreed if name != step.approver]
        return True
    its.agreed = sorted([*its.agreed, step.approver])
    its.state = "approved" if len(its.agreed) >= its.asked.needed else "pending"
    return True


def used(its: Known, step: Use, clock: ManualClock) -> bool:
    if (its.asked.requester, its.asked.payload) != (step.requester, step.payload):
        return False
    if its.state == "used":
        return its.by == step.by
    if its.state != "approved" or not live(its, clock):
        return False
    its.state, its.by = "used", step.by
    return True


async def went(act: Any) -> bool:
    try:
        await act
    except BackofficeError:
        return False
    return True
