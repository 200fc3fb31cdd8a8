"""Approvals: asked for once, decided by others, used once; the same in both databases."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.real.postgres import PostgresServer
from tests.shared.approving import PAYLOAD, WANTED, agreed, denied
from tests.shared.clocks import ManualClock
from tests.shared.records.databases import database_at

from backoffice_shared.errors import (
    ApprovalRequired,
    BackendUnavailable,
    Conflict,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    TooLarge,
)
from backoffice_shared.state.approvals import Approval, digest_of
from backoffice_shared.state.approvals_stored import (
    LARGEST,
    LONGEST_REASON,
    MOST_OPEN,
    StoredApprovals,
)
from backoffice_shared.state.database import Database

pytestmark = pytest.mark.anyio

HOUR = 3600.0
NO_ID = "apr_" + "a" * 26


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "backoffice.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(place: str) -> AsyncGenerator[Database]:
    database = database_at(place)
    yield database
    await database.aclose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def approvals(database: Database, clock: ManualClock) -> StoredApprovals:
    return StoredApprovals(database, now=lambda _: clock.now())


# Asked for


async def test_what_was_asked_for_waits_and_is_shown_as_it_was_given(approvals: StoredApprovals) -> None:
    asked = await approvals.ask(WANTED)
    assert asked == Approval(
        asked.approval_id,
        WANTED,
        digest_of(WANTED),
        "pending",
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 4, tzinfo=UTC),
    )
    assert list(asked.wanted.payload) == list(PAYLOAD)
    assert await approvals.get(asked.approval_id) == asked
    assert await approvals.pending() == [asked]


async def test_asking_again_gives_the_same_while_it_can_be_got_or_used(approvals: StoredApprovals) -> None:
    first = await approvals.ask(WANTED)
    assert await approvals.ask(WANTED) == first
    approved = await agreed(approvals, first.approval_id, "ann")
    assert await approvals.ask(WANTED) == approved
    await approvals.use(first.approval_id, WANTED, by="call")
    second = await approvals.ask(WANTED)
    assert (second.state, second.approval_id == first.approval_id) == ("pending", False)
    await denied(approvals, second.approval_id)
    third = await approvals.ask(WANTED)
    assert (third.state, third.approval_id == second.approval_id) == ("pending", False)


@pytest.mark.parametrize(
    "other",
    [
        {"action": "void_invoice"},
        {"payload": {**PAYLOAD, "amount": {"amount": 60_001, "currency": "USD"}}},
        {"requester": "key of another"},
        {"role": "support_lead"},
        {"needed": 2},
    ],
)
async def test_what_differs_is_another_approval_and_cannot_be_used_for_this(
    approvals: StoredApprovals, other: dict[str, Any]
) -> None:
    different = replace(WANTED, **other)
    mine, its = await approvals.ask(WANTED), await approvals.ask(different)
    assert mine.approval_id != its.approval_id
    await agreed(approvals, its.approval_id, "ann", *(["ben"] if different.needed == 2 else []))
    refusal = PermissionDenied if "requester" in other else Conflict
    with pytest.raises(refusal, match="somebody else" if "requester" in other else "is for something else"):
        await approvals.use(its.approval_id, WANTED, by="call")
    assert (await approvals.get(its.approval_id)).state == "approved"


async def test_the_rule_and_what_the_requester_is_called_are_not_what_is_bound(approvals: StoredApprovals) -> None:
    asked = await approvals.ask(WANTED)
    later = replace(WANTED, rule="many_refunds", requested_by="support bot")
    assert await approvals.ask(later) == asked
    await agreed(approvals, asked.approval_id, "ann")
    assert (await approvals.use(asked.approval_id, later, by="call")).state == "used"


async def test_those_that_wait_are_told_oldest_first(approvals: StoredApprovals, clock: ManualClock) -> None:
    made: list[str] = []
    for number in range(4):
        made.append((await approvals.ask(replace(WANTED, payload={"n": number}, needed=2))).approval_id)
        clock.advance(1)
    await denied(approvals, made[1])
    await agreed(approvals, made[2], "ben", "ann")
    await agreed(approvals, made[3], "ben")
    pending = await approvals.pending()
    assert [(approval.approval_id, approval.approvers) for approval in pending] == [(made[0], ()), (made[3], ("ben",))]


async def test_ids_cannot_be_guessed(approvals: StoredApprovals) -> None:
    ids = {(await approvals.ask(replace(WANTED, payload={"n": number}))).approval_id for number in range(30)}
    assert len(ids) == 30
    assert all(re.fullmatch("apr_[a-z2-7]{26}", one) for one in ids)
    assert all(len({one[place] for one in ids}) > 1 for place in range(4, 30))


async def test_one_requester_cannot_bury_what_others_ask_for(approvals: StoredApprovals, clock: ManualClock) -> None:
    for number in range(MOST_OPEN):
        await approvals.ask(replace(WANTED, payload={"n": number}))
    with pytest.raises(QuotaExceeded, match="100 approvals that you asked for are open"):
        await approvals.ask(WANTED)
    assert (await approvals.ask(replace(WANTED, payload={"n": 7}))).state == "pending", "it is there already"
    assert (await approvals.ask(replace(WANTED, requester="key of another"))).state == "pending"
    clock.advance(72 * HOUR)
    assert (await approvals.ask(WANTED)).state == "pending"


async def test_a_payload_that_nobody_would_read_is_refused(approvals: StoredApprovals) -> None:
    room = LARGEST - len('{"text":""}')
    assert (await approvals.ask(replace(WANTED, payload={"text": "x" * room}))).state == "pending"
    assert (await approvals.ask(replace(WANTED, payload={"text": "é" * (room // 2)}))).state == "pending"
    with pytest.raises(TooLarge, match="16,385 bytes, more than the 16,384"):
        await approvals.ask(replace(WANTED, payload={"text": "x" * (room + 1)}))


HOSTILE = ["\0", "\ud800", "' or 1=1 --", ":approval_id", "🦆" * 3, "\u202e", "%s", '"}', "\\u0000", "\n"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_text_there_is_nothing_but_text(approvals: StoredApprovals, text: str) -> None:
    wanted = replace(WANTED, payload={text: [text, {"deep": text}]}, requested_by=text, rule=text, requester=text)
    asked = await approvals.ask(wanted)
    assert asked.wanted.payload == wanted.payload
    assert await approvals.ask(wanted) == asked
    with pytest.raises(PermissionDenied):
        await approvals.decide(asked.approval_id, approver=text, named="ann", agrees=True)
    await approvals.decide(asked.approval_id, approver=text + "!", named=text + "!", agrees=True, reason=text)
    used = await approvals.use(asked.approval_id, wanted, by=text)
    assert used.state == "used"
    assert await approvals.use(asked.approval_id, wanted, by=text) == used
    second = await approvals.ask(wanted)
    refused = await denied(approvals, second.approval_id, name=text + "?", reason=text * 2000)
    assert len(refused.reason) <= LONGEST_REASON
    for odd in (text, f"apr_{text}", asked.approval_id + text):
        with pytest.raises(NotFound):
            await approvals.get(odd)


# Decided


async def test_one_who_agrees_is_enough_unless_two_are_needed(approvals: StoredApprovals) -> None:
    one, two = await approvals.ask(WANTED), await approvals.ask(replace(WANTED, needed=2))
    after = [await agreed(approvals, asked.approval_id, "ann") for asked in (one, two)]
    assert [(approval.state, approval.approvers) for approval in after] == [
        ("approved", ("ann",)),
        ("pending", ("ann",)),
    ]
    both = await agreed(approvals, two.approval_id, "ben")
    assert (both.state, both.approvers) == ("approved", ("ann", "ben"))
    assert await approvals.get(two.approval_id) == both


@pytest.mark.parametrize(
    ("approver", "named"), [("key of support", "Sue"), ("key of support 2", "support"), ("key of support", "support")]
)
async def test_whoever_asked_decides_nothing_also_by_another_way(
    approvals: StoredApprovals, approver: str, named: str
) -> None:
    asked = await approvals.ask(WANTED)
    for agrees in (True, False):
        with pytest.raises(PermissionDenied, match="was asked for by you"):
            await approvals.decide(asked.approval_id, approver=approver, named=named, agrees=agrees)
    assert await approvals.get(asked.approval_id) == asked


@pytest.mark.parametrize(("approver", "named"), [("key of ann", "ann"), ("key of ann", "Ann"), ("another key", "ann")])
async def test_one_person_is_not_two(approvals: StoredApprovals, approver: str, named: str) -> None:
    asked = await approvals.ask(replace(WANTED, needed=2))
    await agreed(approvals, asked.approval_id, "ann")
    with pytest.raises(Conflict, match=r"you have agreed to apr_\w+ already: 1 of 2 from finance agreed"):
        await approvals.decide(asked.approval_id, approver=approver, named=named, agrees=True)
    assert (await approvals.get(asked.approval_id)).approvers == ("ann",)


async def test_one_who_denies_is_enough_also_who_agreed_before(approvals: StoredApprovals) -> None:
    asked = await approvals.ask(replace(WANTED, needed=2))
    await agreed(approvals, asked.approval_id, "ann")
    after = await denied(approvals, asked.approval_id, "ann", "I misread the amount")
    assert (after.state, after.approvers, after.reason) == ("denied", (), "I misread the amount")


async def test_what_is_decided_is_decided(approvals: StoredApprovals, clock: ManualClock) -> None:
    ids = [(await approvals.ask(replace(WANTED, payload={"n": number}))).approval_id for number in range(4)]
    await agreed(approvals, ids[0], "ann")
    await denied(approvals, ids[1], reason="not ours")
    await agreed(approvals, ids[2], "ann")
    await approvals.use(ids[2], replace(WANTED, payload={"n": 2}), by="call")
    for approval_id, became in zip(ids[:3], ["it was approved", "it was denied: not ours", "it was used"], strict=True):
        for agrees in (True, False):
            with pytest.raises(Conflict, match=f"cannot be decided any more: {became}"):
                await approvals.decide(approval_id, approver="key of ben", named="ben", agrees=agrees)
    clock.advance(72 * HOUR)
    with pytest.raises(Conflict, match="it expired on 1970-01-04 at 00:00 UTC"):
        await agreed(approvals, ids[3], "ben")


async def test_what_nobody_asked_for_is_not_there(approvals: StoredApprovals) -> None:
    for looking in (
        approvals.get(NO_ID),
        approvals.decide(NO_ID, approver="key of ann", named="ann", agrees=True),
        approvals.use(NO_ID, WANTED, by="call"),
    ):
        with pytest.raises(NotFound, match="there is no approval 'apr_aaaa"):
            await looking


# Used


async def test_it_is_used_once_and_again_by_the_same_call(approvals: StoredApprovals, clock: ManualClock) -> None:
    asked = await approvals.ask(WANTED)
    approved = await agreed(approvals, asked.approval_id, "ann")
    used = await approvals.use(asked.approval_id, WANTED, by="call")
    assert used == replace(approved, state="used")
    assert await approvals.use(asked.approval_id, WANTED, by="call") == used
    with pytest.raises(Conflict, match="cannot be used: it was used"):
        await approvals.use(asked.approval_id, WANTED, by="another call")
    clock.advance(1000 * HOUR)
    assert await approvals.use(asked.approval_id, WANTED, by="call") == used


async def test_what_is_not_approved_is_not_used(approvals: StoredApprovals) -> None:
    asked = await approvals.ask(replace(WANTED, needed=2))
    await agreed(approvals, asked.approval_id, "ann")
    with pytest.raises(ApprovalRequired, match="is not approved yet: 1 of 2 from finance agreed"):
        await approvals.use(asked.approval_id, asked.wanted, by="call")
    await denied(approvals, asked.approval_id, "ben", "ask the customer first")
    with pytest.raises(PermissionDenied, match="cannot be used: it was denied: ask the customer first"):
        await approvals.use(asked.approval_id, asked.wanted, by="call")


async def test_it_is_good_until_it_expires_and_not_a_moment_longer(
    approvals: StoredApprovals, clock: ManualClock
) -> None:
    first, second = await approvals.ask(WANTED), await approvals.ask(replace(WANTED, payload={}))
    await agreed(approvals, first.approval_id, "ann")
    await agreed(approvals, second.approval_id, "ann")
    clock.advance(72 * HOUR - 1)
    assert (await approvals.use(first.approval_id, WANTED, by="call")).state == "used"
    clock.advance(1)
    assert (await approvals.get(second.approval_id)).state == "expired"
    with pytest.raises(Conflict, match="cannot be used: it expired"):
        await approvals.use(second.approval_id, second.wanted, by="call")


async def test_what_expired_is_asked_for_anew(approvals: StoredApprovals, clock: ManualClock) -> None:
    old = await approvals.ask(WANTED)
    clock.advance(72 * HOUR)
    assert await approvals.pending() == []
    fresh = await approvals.ask(WANTED)
    assert fresh.approval_id != old.approval_id
    assert [approval.approval_id for approval in await approvals.pending()] == [fresh.approval_id]


async def test_whoever_asks_may_say_how_long_it_lasts(database: Database, clock: ManualClock) -> None:
    approvals = StoredApprovals(database, now=lambda _: clock.now(), life=timedelta(hours=2))
    usual = await approvals.ask(WANTED)
    shorter = await approvals.ask(replace(WANTED, payload={}), lasts=timedelta(minutes=5))
    assert [asked.expires_at - asked.created_at for asked in (usual, shorter)] == [
        timedelta(hours=2),
        timedelta(minutes=5),
    ]


async def test_the_time_is_the_databases(database: Database) -> None:
    asked = await StoredApprovals(database).ask(WANTED)
    now = await database.transact(lambda transaction: transaction.now())
    assert timedelta() <= datetime.fromtimestamp(now, UTC) - asked.created_at < timedelta(minutes=1)
    assert asked.expires_at - asked.created_at == timedelta(hours=72)


async def test_without_the_database_nothing_is_said(database: Database, approvals: StoredApprovals) -> None:
    await database.aclose()
    for asking in (approvals.ask(WANTED), approvals.get(NO_ID), approvals.pending(), agreed(approvals, NO_ID, "ann")):
        with pytest.raises(BackendUnavailable, match="is closed"):
            await asking
    with pytest.raises(BackendUnavailable):
        await approvals.use(NO_ID, WANTED, by="call")
