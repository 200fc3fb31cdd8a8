"""A second place for cached answers, shared by all replicas. It may lose anything at any time, and never fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of `key` as it was found, and `content`, when something lies there.

    `since` is the moment of looking, by the shelf's own clock. What is put here later counts as read at that moment,
    so look before you fetch. None: the shelf could not be asked, and what is put here is dropped.
    """

    key: str
    content: bytes | None = None
    since: int | None = None


class Shelf(Protocol):
    async def get(self, key: str) -> Slot:
        """What was put there, unless it is too old or a tag of it was forgotten since it was read."""
        ...

    async def put(self, slot: Slot, content: bytes, *, seconds: float, tags: Iterable[str]) -> None:
        """Keep `content`, unless a tag was forgotten after the slot was looked at: it may show what was before that."""
        ...

    async def forget(self, tags: Iterable[str]) -> None:
        """Whatever has one of these tags is out of date, on every replica."""
        ...

    def on_forgotten(self, listener: Callable[[frozenset[str] | None], None]) -> Callable[[], None]:
        """Call `listener` when another replica forgets tags, with them; with None when some may have been missed.
        Gives what ends that."""
        ...
