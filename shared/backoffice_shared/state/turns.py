"""Whose turn it is at a vendor whose limit all replicas share."""

from __future__ import annotations

from typing import Protocol

from backoffice_shared.backend import Rate


class Turns(Protocol):
    """Never fails: where turns are shared and the store cannot be asked, this process takes from its own part."""

    async def take(self, vendor: str, rate: Rate) -> float:
        """Take a turn, from the future if need be. Gives the seconds until it has come, or the vendor's block ends."""
        ...

    async def give_back(self, vendor: str, rate: Rate) -> None:
        """The turn was not used after all."""
        ...

    async def learn(self, vendor: str, rate: Rate, *, left: float | None = None, blocked: float | None = None) -> None:
        """What the vendor said: `left` requests now, or `blocked` for this many seconds."""
        ...
