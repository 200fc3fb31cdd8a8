"""How much somebody may do in a day: calls, records, money. A quota is a counter that ends at a known time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quota:
    """`amount` of `most` kept under `key`. `key` names who, what and the day; `ends_in` is in seconds.

    `strict`: when the shared store cannot be asked, nothing is given. Otherwise this process gives its own share.
    """

    key: str
    amount: int
    most: int
    ends_in: float
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """`refused_by` is the index of a quota that does not fit, None when all do. `left` is what that one has
    left; -1 when that cannot be known, because the store did not answer."""

    refused_by: int | None = None
    left: int = 0

    @property
    def allowed(self) -> bool:
        return self.refused_by is None


class Quotas(Protocol):
    async def reserve(self, asked: Sequence[Quota]) -> Granted:
        """Count all of them, or none. Amounts are never negative."""
        ...

    async def adjust(self, quota: Quota, by: int) -> None:
        """Count `by` more, or less when negative, whatever `most` says: what became known only afterwards."""
        ...
