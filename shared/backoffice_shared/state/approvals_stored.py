"""Approvals in a database: they hold for all replicas, and of two who decide or use one at the same moment one wins.

Every change locks the approval's row first, and then looks at what it has become. Lifetimes are measured by the database's
clock.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from backoffice_shared.errors import (
    ApprovalRequired,
    BackendUnavailable,
    Conflict,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    TooLarge,
)
from backoffice_shared.jsonvalues import compact, encodable, obj
from backoffice_shared.state.approvals import Approval, Wanted, digest_of
from backoffice_shared.state.database import Database, Row, Transaction

log = logging.getLogger("backoffice.state")

LIFE = timedelta(hours=72)
LARGEST = 16 * 1024  # bytes of a payload: what a person can still read before agreeing to it
LONGEST_REASON = 1000  # characters
MOST_OPEN = 100  # of one requester: more would bury what others ask for
KEEP = 400 * 86_400.0  # seconds after it has expired: whoever looks back at a year finds it
CLEAN_EVERY = 128  # asked for
CLEAN_AT_ONCE = 512  # rows: more than were added since

_ID = re.compile(r"apr_[a-z2-7]{26}", re.ASCII)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_COLUMNS = (
    "approval_id, action, payload, digest, requester, requested_by, role, rule, needed, state, created_at, expires_at,"
    " reason, used_by"
)

_LAPSE = """
UPDATE approvals SET state = 'expired'
WHERE requester = :requester AND digest = :digest AND state IN ('pending', 'approved') AND expires_at <= :now
"""

_LAPSE_ALL = "UPDATE approvals SET state = 'expired' WHERE state IN ('pending', 'approved') AND expires_at <= :now"

_ADD = f"""
INSERT INTO approvals ({_COLUMNS})
VALUES (:approval_id, :action, :payload, :digest, :requester, :requested_by, :role, :rule, :needed, 'pending', :now,
    :expires_at, '', NULL)
ON CONFLICT (requester, digest, role, needed) WHERE state IN ('pending', 'approved') DO NOTHING
RETURNING approval_id
"""  # noqa: S608 - only our own column names are put in

# The statement before has waited for whoever was adding the same.
_LIVE = f"""
SELECT {_COLUMNS} FROM approvals
WHERE requester = :requester AND digest = :digest AND role = :role AND needed = :needed
    AND state IN ('pending', 'approved')
"""  # noqa: S608

_OPEN = """
SELECT count(*) FROM approvals WHERE requester = :requester AND state IN ('pending', 'approved') AND expires_at > :now
"""

_FOUND = f"SELECT {_COLUMNS} FROM approvals WHERE approval_id = :approval_id"  # noqa: S608

_LOCK = f"UPDATE approvals SET state = state WHERE approval_id = :approval_id RETURNING {_COLUMNS}"  # noqa: S608

_PENDING = f"""
SELECT {_COLUMNS} FROM approvals WHERE state = 'pending' AND expires_at > :now ORDER BY created_at, approval_id
"""  # noqa: S608

_VOTES = """
SELECT approver, named FROM approval_votes WHERE approval_id = :approval_id AND agrees = 1 ORDER BY voted_at, approver
"""

# Crossed: SQLite then begins with the approvals, which are few, and not with all votes there ever were.
_PENDING_VOTES = """
SELECT votes.approval_id, votes.named FROM approvals CROSS JOIN approval_votes AS votes
WHERE votes.approval_id = approvals.approval_id AND approvals.state = 'pending' AND approvals.expires_at > :now AND votes.agrees = 1
ORDER BY votes.voted_at, votes.approver
"""

_VOTE = """
INSERT INTO approval_votes (approval_id, approver, named, agrees, voted_at)
VALUES (:approval_id, :approver, :named, :agrees, :now)
ON CONFLICT (approval_id, approver) DO UPDATE SET
    named = excluded.named, agrees = excluded.agrees, voted_at = excluded.voted_at
"""

_SETTLE = "UPDATE approvals SET state = :state, reason = :reason WHERE approval_id = :approval_id"

_USE = "UPDATE approvals SET state = 'used', used_by = :used_by WHERE approval_id = :approval_id"

_OLD = "SELECT approval_id FROM approvals WHERE expires_at <= :before ORDER BY expires_at LIMIT :most"

_FORGET_VOTES = "DELETE FROM approval_votes WHERE approval_id = :approval_id"

_FORGET = "DELETE FROM approvals WHERE approval_id = :approval_id"


class StoredApprovals:
    """`Approvals` in `database`. `life` is how long one may be decided and used, unless whoever asks says otherwise; `now`
    gives the time of a transaction, in seconds since 1970."""

    def __init__(
        self, database: Database, *, now: Callable[[Transaction], float] = lambda t: t.now(), life: timedelta = LIFE
    ) -> None:
        self._database = database
        self._now = now
        self._life = life
        self._asked = count(1)

    async def ask(self, wanted: Wanted, *, lasts: timedelta | None = None) -> Approval:
        """An approval that another role or fewer people would have to give is not the same.

        Raises:
            TooLarge: the payload is more than 16 kB of JSON.
            QuotaExceeded: this requester has asked for so much already that is neither denied nor used.
        """
        row = _row(wanted)
        life = (self._life if lasts is None else lasts).total_seconds()

        def work(transaction: Transaction) -> Approval:
            return _asked(transaction, row, self._now(transaction), life)

        approval = await self._database.transact(work)
        if next(self._asked) % CLEAN_EVERY == 0:
            await self._clean()
        return approval

    async def get(self, approval_id: str) -> Approval:
        def work(transaction: Transaction) -> Approval:
            found = transaction.execute(_FOUND, _named(approval_id))
            return _approval(_only(found, approval_id), _agreed(transaction, approval_id), self._now(transaction))

        return await self._database.transact(work)

    async def pending(self) -> list[Approval]:
        def work(transaction: Transaction) -> list[Approval]:
            now = self._now(transaction)
            rows = transaction.execute(_PENDING, {"now": now})
            agreed: dict[str, list[str]] = {}
            for approval_id, named in transaction.execute(_PENDING_VOTES, {"now": now}):
                agreed.setdefault(approval_id, []).append(named)
            return [_approval(row, agreed.get(row[0], ()), now) for row in rows]

        return await self._database.transact(work)

    async def decide(self, approval_id: str, *, approver: str, named: str, agrees: bool, reason: str = "") -> Approval:
        """Whoever has agreed may still deny it while others have to agree, too. Two who are called the same are taken for
        one: the same person may come by another client."""
        vote = {"approver": _kept(approver), "named": _kept(named), "agrees": int(agrees)}

        def work(transaction: Transaction) -> Approval:
            return _decided(transaction, approval_id, vote, _kept(reason)[:LONGEST_REASON], self._now)

        return await self._database.transact(work)

    async def use(self, approval_id: str, wanted: Wanted, *, by: str) -> Approval:
        """What is wanted has to be what was asked for, to the role and the number of those who had to agree."""
        row = _row(wanted)
        used_by = hashlib.sha256(by.encode("utf-8", "surrogatepass")).hexdigest()

        def work(transaction: Transaction) -> Approval:
            return _used(transaction, approval_id, row, used_by, self._now)

        return await self._database.transact(work)

    async def _clean(self) -> None:
        """Note what has expired, so that nobody looks through it again, and remove some of what is long over."""

        def work(transaction: Transaction) -> None:
            now = self._now(transaction)
            transaction.execute(_LAPSE_ALL, {"now": now})
            old = transaction.execute(_OLD, {"before": now - KEEP, "most": CLEAN_AT_ONCE})
            ids = [{"approval_id": approval_id} for (approval_id,) in old]
            transaction.execute_each(_FORGET_VOTES, ids)
            transaction.execute_each(_FORGET, ids)

        try:
            await self._database.transact(work)
        except BackendUnavailable:
            log.info("old approvals are removed later")


def _asked(transaction: Transaction, row: Mapping[str, object], now: float, life: float) -> Approval:
    transaction.execute(_LAPSE, {**row, "now": now})
    while True:
        if found := transaction.execute(_LIVE, row):
            return _approval(found[0], _agreed(transaction, found[0][0]), now)
        if transaction.execute(_OPEN, {**row, "now": now})[0][0] >= MOST_OPEN:
            raise QuotaExceeded(
                "",
                f"{MOST_OPEN} approvals that you asked for are open",
                hint="Ask again when some were decided and used",
            )
        fresh = {**row, "approval_id": _made_id(), "now": now, "expires_at": now + life}
        # When nothing is added, somebody else was faster, and it is there in the next round, unless it was used meanwhile.
        transaction.execute(_ADD, fresh)


def _decided(
    transaction: Transaction,
    approval_id: str,
    vote: Mapping[str, object],
    reason: str,
    clock: Callable[[Transaction], float],
) -> Approval:
    row = _only(transaction.execute(_LOCK, _named(approval_id)), approval_id)
    now = clock(transaction)  # after the wait for the lock
    approval = _approval(row, _agreed(transaction, approval_id), now)
    if vote["approver"] == approval.wanted.requester or vote["named"] == approval.wanted.requested_by:
        raise PermissionDenied("", f"{approval_id} was asked for by you: somebody else has to decide")
    if approval.state != "pending":
        raise Conflict("", f"{approval_id} cannot be decided any more: {_became(approval)}")
    votes = transaction.execute(_VOTES, _named(approval_id))
    if vote["agrees"] and any(vote["approver"] == approver or vote["named"] == named for approver, named in votes):
        raise Conflict("", f"you have agreed to {approval_id} already: {_wanting(approval)}")
    transaction.execute(_VOTE, {**vote, "approval_id": approval_id, "now": now})
    if not vote["agrees"]:
        transaction.execute(_SETTLE, {"approval_id": approval_id, "state": "denied", "reason": reason})
    elif len(votes) + 1 >= approval.wanted.needed:
        transaction.execute(_SETTLE, {"approval_id": approval_id, "state": "approved", "reason": ""})
    found = transaction.execute(_FOUND, _named(approval_id))
    return _approval(found[0], _agreed(transaction, approval_id), now)


def _used(
    transaction: Transaction,
    approval_id: str,
    wanted: Mapping[str, object],
    used_by: str,
    clock: Callable[[Transaction], float],
) -> Approval:
    row = _only(transaction.execute(_LOCK, _named(approval_id)), approval_id)
    now = clock(transaction)
    approval = _approval(row, _agreed(transaction, approval_id), now)
    asked = approval.wanted
    if asked.requester != wanted["requester"]:
        raise PermissionDenied("", f"{approval_id} was asked for by somebody else")
    if (approval.digest, asked.role, asked.needed) != (wanted["digest"], wanted["role"], wanted["needed"]):
        raise Conflict("", f"{approval_id} is for something else", hint="Ask for an approval of exactly this")
    match approval.state:
        case "pending":
            raise ApprovalRequired("", f"{approval_id} is not approved yet: {_wanting(approval)}")
        case "denied":
            raise PermissionDenied("", f"{approval_id} cannot be used: {_became(approval)}")
        case "used" if row[-1] == used_by:
            return approval
        case "used" | "expired":
            raise Conflict("", f"{approval_id} cannot be used: {_became(approval)}")
        case "approved":
            transaction.execute(_USE, {"approval_id": approval_id, "used_by": used_by})
            return replace(approval, state="used")


def _wanting(approval: Approval) -> str:
    """How many agreed, of how many who must."""
    return f"{len(approval.approvers)} of {approval.wanted.needed} from {approval.wanted.role} agreed"


def _became(approval: Approval) -> str:
    match approval.state:
        case "denied" if approval.reason:
            return f"it was denied: {approval.reason}"
        case "expired":
            return f"it expired on {approval.expires_at:%Y-%m-%d at %H:%M} UTC"
        case state:
            return f"it was {state}"


def _row(wanted: Wanted) -> dict[str, object]:
    """What is stored of it.

    Raises:
        TooLarge: the payload is.
    """
    payload = dict(wanted.payload)
    if (size := len(compact(payload).encode("utf-8", "surrogatepass"))) > LARGEST:
        raise TooLarge(
            "", f"what is to be approved is {size:,} bytes, more than the {LARGEST:,} that are shown to people"
        )
    return {
        "action": _kept(wanted.action),
        "payload": json.dumps(payload, separators=(",", ":")),  # ASCII: a database takes no NUL and no half of a pair
        "digest": digest_of(wanted),
        "requester": _kept(wanted.requester),
        "requested_by": _kept(wanted.requested_by),
        "role": _kept(wanted.role),
        "rule": _kept(wanted.rule),
        "needed": wanted.needed,
    }


def _approval(row: Row, agreed: Sequence[str], now: float) -> Approval:
    (
        approval_id,
        action,
        payload,
        digest,
        requester,
        requested_by,
        role,
        rule,
        needed,
        state,
        created,
        expires,
        reason,
        _,
    ) = row
    shown: dict[str, Any] = obj(json.loads(payload))
    over = state in ("pending", "approved") and expires <= now
    return Approval(
        approval_id,
        Wanted(action, shown, requester, requested_by, role, rule, needed),
        digest,
        "expired" if over else state,
        datetime.fromtimestamp(created, UTC),
        datetime.fromtimestamp(expires, UTC),
        tuple(agreed),
        reason,
    )


def _agreed(transaction: Transaction, approval_id: str) -> list[str]:
    return [named for _, named in transaction.execute(_VOTES, _named(approval_id))]


def _only(rows: Sequence[Row], approval_id: str) -> Row:
    if not rows:
        raise NotFound("", f"there is no approval {approval_id[:40]!r}")
    return rows[0]


def _named(approval_id: str) -> dict[str, object]:
    """As a parameter. What cannot be an id is looked for as none: a database may not take it."""
    return {"approval_id": approval_id if _ID.fullmatch(approval_id) else ""}


def _made_id() -> str:
    """130 random bits."""
    return "apr_" + "".join(secrets.choice(_ALPHABET) for _ in range(26))


def _kept(text: str) -> str:
    """As both databases can keep it."""
    return encodable(text).replace("\0", "\ufffd")
