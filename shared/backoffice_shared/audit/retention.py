"""Removes records that are older than they shall be kept, from the beginning of each chain.

A signed checkpoint is noted first, from which the rest of the chain goes on, so that verification still holds. A chain
with a fault is left as it is: it is evidence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from backoffice_shared.audit.checkpoints import Checkpoints, Signer
from backoffice_shared.audit.facets import timestamp
from backoffice_shared.audit.sinks.sink import Prunable, Reader
from backoffice_shared.audit.verify import verified_writer


class Store(Reader, Prunable, Protocol):
    """Something that records can be removed from."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """Records of `writer` up to `through` are gone; with `faulty` none are, because verification found a fault."""

    writer: str
    through: int
    faulty: bool = False


async def pruned(
    store: Store, checkpoints: Checkpoints, key: bytes, *, days: int, now: datetime | None = None
) -> AsyncIterator[Pruned]:
    """Remove what is older than `days` days, one writer after the other. Gives those of which something is old.

    Raises:
        BackendUnavailable: a store cannot be used. What is done by then is done; the rest can be done later.
    """
    now = now or datetime.now(UTC)
    writers = [writer async for writer in store.writers()]
    for writer in writers:
        through = await store.boundary(writer, now - timedelta(days=days))
        if not through:
            continue
        verdict = await verified_writer(store, checkpoints, key, writer)
        if not verdict.ok:
            yield Pruned(writer, through, faulty=True)
            continue
        mac = await _mac_of(store, writer, through)
        if mac is None:  # another replica came first
            continue
        await checkpoints.add(Signer(key).signed("pruned", writer, through, mac, timestamp(now)))
        await store.discard(writer, through)
        # A chain that has ended, and of which nothing is left, needs nobody to vouch for it.
        await checkpoints.discard(writer, before=None if verdict.closed and through == verdict.last else through)
        yield Pruned(writer, through)


async def _mac_of(store: Reader, writer: str, seq: int) -> str | None:
    async for entry in store.entries(writer):
        if entry.seq == seq:
            return entry.mac
    return None
