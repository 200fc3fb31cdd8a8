"""A second place for cached answers, shared by all replicas. It may lose anything at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol


class Shelf(Protocol):
    async def get(self, key: str) -> bytes | None:
        """What was put there, unless it is too old or a tag of it was forgotten since. None on any failure."""
        ...

    async def put(self, key: str, content: bytes, *, seconds: float, tags: Iterable[str]) -> None: ...

    async def forget(self, tags: Iterable[str]) -> None:
        """Whatever has one of these tags is out of date, on every replica."""
        ...

    def on_forgotten(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `listener` when another replica forgets tags. Gives what ends that."""
        ...
