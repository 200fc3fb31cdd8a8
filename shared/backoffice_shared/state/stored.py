"""Idempotency records in a database, so that they hold for all replicas and through a restart.

A row is `running` while a call holds it for its lease, `done` once its result is kept, `uncertain` when it may have
been carried out, and `free` when it was not. Every claim raises the row's epoch, and only the latest may write. Leases
are measured by the database's clock.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from itertools import count

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Database, Transaction
from backoffice_shared.state.records import Claim, Done, OtherArguments, UnderWay

log = logging.getLogger("backoffice.state")

KEEP_UNSETTLED = 30 * 86_400.0  # seconds that a claim is remembered of which nobody said what became of it
LONGEST_WAIT = 5.0  # seconds that a caller is told to wait: most calls take less than their lease
CLEAN_EVERY = 128  # claims
CLEAN_AT_ONCE = 512  # rows: more than were added since

_CLAIM = """
INSERT INTO idempotency AS held (scope, key, fingerprint, epoch, state, claimed_at, lease_until, expires_at)
VALUES (:scope, :key, :fingerprint, 1, 'running', :now, :lease_until, :expires_at)
ON CONFLICT (scope, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    epoch = held.epoch + 1,
    state = 'running',
    claimed_at = excluded.claimed_at,
    lease_until = excluded.lease_until,
    uncertain_since = CASE
        WHEN held.expires_at <= :now OR held.state = 'free' THEN NULL
        ELSE coalesce(held.uncertain_since, held.claimed_at)
    END,
    result = NULL,
    expires_at = excluded.expires_at
WHERE held.expires_at <= :now
    OR held.state = 'free'
    OR (
        held.fingerprint = excluded.fingerprint
        AND (held.state = 'uncertain' OR (held.state = 'running' AND held.lease_until <= :now))
    )
RETURNING epoch, uncertain_since
"""

# The statement above has locked the row, also when it did not change it.
_HELD = "SELECT fingerprint, state, result, lease_until FROM idempotency WHERE scope = :scope AND key = :key"

_FINISH = """
UPDATE idempotency SET state = 'done', result = :result, uncertain_since = NULL, expires_at = :expires_at
WHERE scope = :scope AND key = :key AND epoch = :epoch AND state = 'running'
RETURNING epoch
"""

_RELEASE = """
UPDATE idempotency SET
    state = CASE WHEN uncertain_since IS NULL THEN 'free' ELSE 'uncertain' END,
    expires_at = :expires_at
WHERE scope = :scope AND key = :key AND epoch = :epoch AND state = 'running'
RETURNING epoch
"""

_DOUBT = """
UPDATE idempotency SET
    state = 'uncertain',
    uncertain_since = coalesce(uncertain_since, claimed_at),
    expires_at = :expires_at
WHERE scope = :scope AND key = :key AND epoch = :epoch AND state = 'running'
RETURNING epoch
"""

_CLEAN = """
DELETE FROM idempotency
WHERE expires_at <= :now
    AND (scope, key) IN (SELECT scope, key FROM idempotency WHERE expires_at <= :now LIMIT :most)
"""


class StoredRecords:
    """`Records` in `database`. Keys are stored as digests: an agent may have put anything into them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claims = count(1)

    async def claim(
        self, scope: str, key: str, fingerprint: str, *, lease: float
    ) -> Claim | Done | UnderWay | OtherArguments:
        def work(transaction: Transaction) -> Claim | Done | UnderWay | OtherArguments:
            return _claimed(transaction, scope, key, fingerprint, lease)

        claimed = await self._database.transact(work)
        if next(self._claims) % CLEAN_EVERY == 0:
            await self._clean()
        return claimed

    async def finish(self, claim: Claim, result: str, *, keep: float) -> None:
        await self._settle(_FINISH, claim, keep, result=result)

    async def release(self, claim: Claim, *, uncertain: bool, keep: float) -> None:
        """Give the key back. What was uncertain before this claim stays so, whatever this claim did."""
        await self._settle(_DOUBT if uncertain else _RELEASE, claim, keep)

    async def _settle(self, sql: str, claim: Claim, keep: float, **given: object) -> None:
        def work(transaction: Transaction) -> bool:
            expires_at = transaction.now() + keep
            return bool(transaction.execute(sql, {**_place(claim), "expires_at": expires_at, **given}))

        if not await self._database.transact(work):
            log.warning("a claim of %s outlived its lease and was overtaken: what it did is not kept", claim.scope)

    async def _clean(self) -> None:
        """Remove some of what has expired."""

        def work(transaction: Transaction) -> None:
            transaction.execute(_CLEAN, {"now": transaction.now(), "most": CLEAN_AT_ONCE})

        try:
            await self._database.transact(work)
        except BackendUnavailable:
            log.info("expired idempotency records are removed later")


def _claimed(
    transaction: Transaction, scope: str, key: str, fingerprint: str, lease: float
) -> Claim | Done | UnderWay | OtherArguments:
    now = transaction.now()
    row = {"scope": scope, "key": _digest(key), "fingerprint": fingerprint, "now": now}
    times = {"lease_until": now + lease, "expires_at": now + lease + KEEP_UNSETTLED}
    for epoch, since in transaction.execute(_CLAIM, {**row, **times}):
        return Claim(scope, key, epoch, None if since is None else datetime.fromtimestamp(since, UTC))
    bound_to, state, result, lease_until = transaction.execute(_HELD, row)[0]
    if bound_to != fingerprint:
        return OtherArguments()
    if state == "done":
        return Done(result)
    return UnderWay(min(max(lease_until - now, 0.1), LONGEST_WAIT))


def _place(claim: Claim) -> dict[str, object]:
    return {"scope": claim.scope, "key": _digest(claim.key), "epoch": claim.epoch}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
