"""Quotas that a restart must not refill: what is strict, money, is counted in the database; the rest in this process.

In PostgreSQL that holds for all replicas.
"""

from __future__ import annotations

from collections.abc import Sequence

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Database, Transaction
from backoffice_shared.state.quotas import Granted, Quota, Quotas

_TAKE = """
INSERT INTO quota AS spent (key, used, ends_at) VALUES (:key, :amount, :ends_at)
ON CONFLICT (key) DO UPDATE SET
    used = CASE WHEN spent.ends_at <= :now THEN 0 ELSE spent.used END + excluded.used,
    ends_at = excluded.ends_at
WHERE CASE WHEN spent.ends_at <= :now THEN 0 ELSE spent.used END + excluded.used <= :most
RETURNING used
"""

_USED = "SELECT used FROM quota WHERE key = :key AND ends_at > :now"

_SET = """
INSERT INTO quota AS spent (key, used, ends_at) VALUES (:key, :used, :ends_at)
ON CONFLICT (key) DO UPDATE SET used = excluded.used, ends_at = excluded.ends_at
"""

_CLEAN = "DELETE FROM quota WHERE ends_at <= :now"


class SpentQuotas:
    """`others` counts what is not strict."""

    def __init__(self, database: Database, others: Quotas) -> None:
        self._database = database
        self._others = others

    async def reserve(self, asked: Sequence[Quota]) -> Granted:
        others = [(index, quota) for index, quota in enumerate(asked) if not quota.strict]
        granted = await self._others.reserve([quota for _, quota in others])
        if granted.refused_by is not None:
            return Granted(others[granted.refused_by][0], granted.left)
        strict = [(index, quota) for index, quota in enumerate(asked) if quota.strict]
        spent = await self._spend([quota for _, quota in strict])
        if spent.refused_by is None:
            return spent
        for _, quota in others:
            await self._others.adjust(quota, -quota.amount)
        return Granted(strict[spent.refused_by][0], spent.left)

    async def adjust(self, quota: Quota, by: int) -> None:
        """While the database is away, what should be given back stays spent."""
        if not quota.strict:
            await self._others.adjust(quota, by)
            return
        try:
            await self._database.transact(lambda transaction: _adjust(transaction, quota, by))
        except BackendUnavailable:
            pass

    async def _spend(self, asked: Sequence[Quota]) -> Granted:
        if not asked:
            return Granted()
        try:
            await self._database.transact(lambda transaction: _take(transaction, asked))
        except _Refused as refused:
            return refused.granted
        except BackendUnavailable:
            return Granted(0, -1)
        return Granted()


class _Refused(Exception):  # noqa: N818 - named for what happened
    """Ends a transaction that must not take effect."""

    def __init__(self, granted: Granted) -> None:
        super().__init__()
        self.granted = granted


def _take(transaction: Transaction, asked: Sequence[Quota]) -> None:
    now = transaction.now()
    for index, quota in enumerate(asked):
        row = {"key": quota.key, "amount": quota.amount, "most": quota.most, "now": now, "ends_at": now + quota.ends_in}
        taken = transaction.execute(_TAKE, row) if quota.amount <= quota.most else []
        if not taken:
            raise _Refused(Granted(index, max(quota.most - _used(transaction, quota, now), 0)))
        if taken[0][0] == quota.amount:  # the first of a day
            transaction.execute(_CLEAN, {"now": now})


def _adjust(transaction: Transaction, quota: Quota, by: int) -> None:
    now = transaction.now()
    transaction.execute(
        _TAKE, {"key": quota.key, "amount": 0, "most": 2**62, "now": now, "ends_at": now + quota.ends_in}
    )
    used = max(_used(transaction, quota, now) + by, 0)  # the statement before has locked the row
    transaction.execute(_SET, {"key": quota.key, "used": used, "ends_at": now + quota.ends_in})


def _used(transaction: Transaction, quota: Quota, now: float) -> int:
    rows = transaction.execute(_USED, {"key": quota.key, "now": now})
    return int(rows[0][0]) if rows else 0
