"""How often somebody may do something: at most `count` in any `seconds`, however the calls fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` within any window of `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """`cost` of the limit kept under `key`. `key` names who and what; it holds no secret and nothing personal."""

    key: str
    limit: Limit
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused_by` is the index of the first ask that does not fit, None when all do. `retry_after` is in seconds."""

    refused_by: int | None = None
    retry_after: float = 0.0

    @property
    def allowed(self) -> bool:
        return self.refused_by is None


class Limits(Protocol):
    async def take(self, asked: Sequence[Ask]) -> Verdict:
        """Take from all of them, or from none."""
        ...
