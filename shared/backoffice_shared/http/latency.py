"""How long a backend takes for an operation, as seen lately: when an attempt is late, and when there is no time for one."""

from __future__ import annotations

from collections import deque

from backoffice_shared.clock import SYSTEM_CLOCK, Clock

WINDOW = 60.0  # seconds; what was seen before must not refuse calls to a backend that has become quicker
ENOUGH = 20
MOST = 100


class Latencies:
    """Operations are named by adapters, so that there are only so many."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._seen: dict[str, deque[tuple[float, float]]] = {}  # when, seconds

    def note(self, operation: str, seconds: float) -> None:
        """An answer that could be used came after this time."""
        self._seen.setdefault(operation, deque(maxlen=MOST)).append((self._clock.now(), seconds))

    def within(self, operation: str, share: float) -> float | None:
        """Seconds within which this share of the last minute's answers came; None when there were fewer than twenty."""
        seen = self._seen.get(operation, ())
        oldest = self._clock.now() - WINDOW
        lately = sorted(seconds for at, seconds in seen if at >= oldest)
        return lately[int(share * (len(lately) - 1))] if len(lately) >= ENOUGH else None
