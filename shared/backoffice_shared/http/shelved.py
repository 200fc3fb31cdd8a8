"""The shelf that replicas share, as one vendor's cache uses it. Without a shelf nothing is ever found, or put anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from backoffice_shared.clock import Clock
from backoffice_shared.http.kept import STALE_IF_ERROR, Kept, packed, unpacked
from backoffice_shared.state.shelf import Shelf, Slot


class Shelved:
    """`forgotten` is called with the tags that other replicas forget, or None when some may have been missed."""

    def __init__(self, shelf: Shelf | None, clock: Clock, forgotten: Callable[[frozenset[str] | None], None]) -> None:
        self._shelf = shelf
        self._clock = clock
        self._forgetting: set[asyncio.Task[None]] = set()
        self._stop = shelf.on_forgotten(forgotten) if shelf is not None else _nothing

    async def look(self, key: str) -> tuple[Slot | None, Kept | None]:
        """What lies there, and the place to put what is fetched instead."""
        if self._shelf is None:
            return None, None
        slot = await self._shelf.get(key)
        return slot, None if slot.content is None else unpacked(slot.content, self._clock.now())

    async def put(self, slot: Slot | None, kept: Kept) -> None:
        if self._shelf is not None and slot is not None and kept.status < 300:
            seconds = kept.ages_until + STALE_IF_ERROR
            # Its key is a tag, too: how a single answer is forgotten.
            await self._shelf.put(slot, packed(kept), seconds=seconds, tags={slot.key, *kept.tags})

    def forget(self, tags: Iterable[str]) -> asyncio.Task[None]:
        """Goes on when the call that wants it is cancelled."""
        task = asyncio.create_task(self._forget(frozenset(tags)), name="forget")
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
        return task

    async def _forget(self, tags: frozenset[str]) -> None:
        if self._shelf is not None and tags:
            await self._shelf.forget(tags)

    async def aclose(self) -> None:
        self._stop()
        await asyncio.gather(*self._forgetting, return_exceptions=True)


def _nothing() -> None:
    pass
