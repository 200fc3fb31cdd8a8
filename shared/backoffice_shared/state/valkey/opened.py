"""Everything that is kept in Valkey, over as few connections as keep one use from waiting for another."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from backoffice_shared.state.valkey.bus import ValkeyBus
from backoffice_shared.state.valkey.channel import Channel
from backoffice_shared.state.valkey.limits import ValkeyLimits
from backoffice_shared.state.valkey.quotas import ValkeyQuotas
from backoffice_shared.state.valkey.sealed import Seal
from backoffice_shared.state.valkey.shelf import ValkeyShelf
from backoffice_shared.state.valkey.store import BUDGET, Store
from backoffice_shared.state.valkey.turns import ValkeyTurns


@dataclass(frozen=True, slots=True)
class Shared:
    limits: ValkeyLimits
    quotas: ValkeyQuotas
    turns: ValkeyTurns
    shelf: ValkeyShelf | None
    bus: ValkeyBus


@asynccontextmanager
async def shared(url: str, *, replicas: int, seal_key: str | None, budget: float = BUDGET) -> AsyncGenerator[Shared]:
    """`seal_key` is what all replicas have in common; without one they share no answers.

    Raises:
        InvalidInput: the URL cannot be one.
    """
    # A large answer on its way must not keep money waiting, nor its being late close a quota.
    counting, answers = Store(url, budget=budget), Store(url, budget=budget)
    lists, forgotten = Channel(url, counting, "lists"), Channel(url, answers, "forgotten")
    shelf = None if seal_key is None else ValkeyShelf(answers, forgotten, Seal(seal_key))
    async with counting.running(), answers.running(), lists.running(), forgotten.running():
        yield Shared(
            ValkeyLimits(counting, replicas=replicas),
            ValkeyQuotas(counting, replicas=replicas),
            ValkeyTurns(counting, replicas=replicas),
            shelf,
            ValkeyBus(lists),
        )
