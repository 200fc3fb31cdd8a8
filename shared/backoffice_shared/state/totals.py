"""Totals of a day that decide: what was already refunded to somebody. Kept in the database, so that a restart refills none,
and counted once for each act, however often its call is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backoffice_shared.state.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Total:
    """`key` names whose, of what and the day; `ends_in` is in seconds. `most`: not beyond this; None, whatever it comes to."""

    key: str
    amount: int
    ends_in: float
    most: int | None = None


_USED = "SELECT used FROM quota WHERE key = :key AND ends_at > :now"
_ADD = """
INSERT INTO quota AS counted (key, used, ends_at) VALUES (:key, :amount, :ends_at)
ON CONFLICT (key) DO UPDATE SET
    used = CASE WHEN counted.ends_at <= :now THEN 0 ELSE counted.used END + excluded.used,
    ends_at = excluded.ends_at
WHERE CASE WHEN counted.ends_at <= :now THEN 0 ELSE counted.used END + excluded.used <= :most
RETURNING used
"""
_FORGET = "DELETE FROM quota WHERE key = :key"
_ANYTHING = 2**62


class StoredTotals:
    """Both methods raise BackendUnavailable when the database cannot be asked; nothing may be done then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self, keys: Sequence[str]) -> list[int]:
        def work(transaction: Transaction) -> list[int]:
            return [_used(transaction, key) for key in keys]

        return await self._database.transact(work)

    async def count(self, act: str, totals: Sequence[Total]) -> bool:
        """Count all of these for this act, or none when one would go beyond its most. An act that is counted stays so."""

        def work(transaction: Transaction) -> None:
            now = transaction.now()
            for total in totals:
                mark = {"key": f"{total.key}#{act}", "amount": 1, "most": 1, "now": now, "ends_at": now + total.ends_in}
                if not transaction.execute(_ADD, mark):
                    continue  # counted before
                row = mark | {"key": total.key, "amount": total.amount}
                row["most"] = _ANYTHING if total.most is None else total.most
                if total.amount > row["most"] or not transaction.execute(_ADD, row):
                    raise _TooMuch

        try:
            await self._database.transact(work)
        except _TooMuch:
            return False
        return True

    async def give_back(self, act: str, totals: Sequence[Total]) -> None:
        """This act did not happen after all."""

        def work(transaction: Transaction) -> None:
            for total in totals:
                if _used(transaction, f"{total.key}#{act}"):
                    transaction.execute(_FORGET, {"key": f"{total.key}#{act}"})
                    now = transaction.now()
                    row = {"key": total.key, "amount": -total.amount, "most": _ANYTHING, "now": now}
                    transaction.execute(_ADD, row | {"ends_at": now + total.ends_in})

        await self._database.transact(work)


class _TooMuch(Exception):  # noqa: N818 - named for what happened
    """Ends a transaction that must not take effect."""


def _used(transaction: Transaction, key: str) -> int:
    rows = transaction.execute(_USED, {"key": key, "now": transaction.now()})
    return int(rows[0][0]) if rows else 0
