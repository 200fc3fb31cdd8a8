"""The shelf of several replicas, in memory: what one forgets, the others hear of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from backoffice_shared.state.shelf import Slot

Listener = Callable[[frozenset[str] | None], None]


@dataclass
class Storeroom:
    """What all shelves lead to. `now` counts what happens, so that no two moments are the same."""

    now: int = 0
    kept: dict[str, tuple[int, bytes, frozenset[str]]] = field(
        default_factory=dict[str, tuple[int, bytes, frozenset[str]]]
    )
    seconds: list[float] = field(default_factory=list[float])
    forgotten: dict[str, int] = field(default_factory=dict[str, int])
    shelves: list[MemoryShelf] = field(default_factory=list["MemoryShelf"])
    away: bool = False

    def shelf(self) -> MemoryShelf:
        self.shelves.append(MemoryShelf(self))
        return self.shelves[-1]

    def tick(self) -> int:
        self.now += 1
        return self.now

    def outdated(self, since: int, tags: Iterable[str]) -> bool:
        return any(self.forgotten.get(tag, 0) >= since for tag in tags)


@dataclass(eq=False)
class MemoryShelf:
    room: Storeroom
    listeners: list[Listener] = field(default_factory=list[Listener])

    async def get(self, key: str) -> Slot:
        if self.room.away:
            return Slot(key)
        since, content, tags = self.room.kept.get(key, (0, None, frozenset[str]()))
        return Slot(key, None if self.room.outdated(since, tags) else content, self.room.tick())

    async def put(self, slot: Slot, content: bytes, *, seconds: float, tags: Iterable[str]) -> None:
        about = frozenset(tags)
        if slot.since is not None and not self.room.away and not self.room.outdated(slot.since, about):
            self.room.kept[slot.key] = (slot.since, content, about)
            self.room.seconds.append(seconds)

    async def forget(self, tags: Iterable[str]) -> None:
        if self.room.away:
            return
        forgotten = frozenset(tags)
        self.room.forgotten |= dict.fromkeys(forgotten, self.room.tick())
        for shelf in self.room.shelves:
            if shelf is not self:
                shelf.tell(forgotten)

    def tell(self, tags: frozenset[str] | None) -> None:
        for listener in list(self.listeners):
            listener(tags)

    def on_forgotten(self, listener: Listener) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)
