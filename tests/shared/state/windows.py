"""How much was granted in the worst moving window, as far as somebody outside can know."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

Span = tuple[float, float]
"""When a call that was granted was begun, and when it had its answer: it was granted somewhere between."""


def worst_window(granted: Iterable[Span], seconds: float) -> int:
    """At least this many were granted within `seconds`: those begun after some moment and answered within."""
    spans = list(granted)
    begun, answered = sorted(span[0] for span in spans), sorted(span[1] for span in spans)
    return max((bisect_left(answered, at + seconds) - bisect_left(begun, at) for at in begun), default=0)
