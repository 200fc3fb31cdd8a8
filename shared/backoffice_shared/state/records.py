"""What was done under an idempotency key, so that it is done once however often it is asked for.

A key belongs to a principal and a tool (`scope`). The first call claims it and holds it for a lease; what it did is
kept. A call with the same key and other arguments is a mistake, and is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry it out. `uncertain_since`: an earlier attempt, begun then, may already have done so.

    `epoch` counts the claims on a key: one that has been overtaken can no longer write.
    """

    scope: str
    key: str
    epoch: int
    uncertain_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It was carried out, or finally refused: `result` is what was answered then."""

    result: str


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Another call holds it. `retry_after` is in seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class OtherArguments:
    """The key was used for something else."""


class Records(Protocol):
    async def claim(
        self, scope: str, key: str, fingerprint: str, *, lease: float
    ) -> Claim | Done | UnderWay | OtherArguments:
        """Claim the key for `lease` seconds. A lease that lapsed leaves it uncertain whether it was carried out.

        Raises:
            BackendUnavailable: the store cannot be asked; nothing may be done then.
        """
        ...

    async def finish(self, claim: Claim, result: str, *, keep: float) -> None:
        """Keep the result for `keep` seconds."""
        ...

    async def release(self, claim: Claim, *, uncertain: bool, keep: float) -> None:
        """Give the key back: nothing was done, or, when `uncertain`, something may have been."""
        ...
