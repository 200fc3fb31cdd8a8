"""What a process granted by itself while the store was away, and still has to tell it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from cachetools import LRUCache

from backoffice_shared.state.memory import MOST_KEYS

Grants = deque[tuple[float, int]]
"""When, and how much."""


class Debts:
    def __init__(self) -> None:
        self._untold: LRUCache[str, Grants] = LRUCache(MOST_KEYS)

    def add(self, key: str, at: float, cost: int, *, most: int) -> None:
        """Of more than `most`, the oldest do not count any more."""
        grants = self._untold.get(key)
        if grants is None:
            grants = self._untold[key] = Grants(maxlen=most)
        grants.append((at, cost))

    @contextmanager
    def telling(self, keys: Sequence[str]) -> Generator[list[Grants]]:
        """What is owed under each key. Nobody else tells it meanwhile; after an error it is owed again."""
        owed = [self._untold.pop(key, Grants()) for key in keys]
        try:
            yield owed
        except BaseException:
            for key, grants in zip(keys, owed, strict=True):
                if grants:
                    self._untold[key] = Grants((*grants, *self._untold.get(key, ())), grants.maxlen)
            raise
