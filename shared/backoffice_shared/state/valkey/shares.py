"""What one of several processes gives while none can ask what the others gave."""

from __future__ import annotations


def share(whole: int, replicas: int) -> int:
    """An equal part, of at least one where there is anything."""
    return min(whole, max(1, whole // replicas))
