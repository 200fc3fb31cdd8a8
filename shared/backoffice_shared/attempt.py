"""Whether the write under way may already have been carried out, by an earlier attempt with the same key."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

_since: ContextVar[datetime | None] = ContextVar("uncertain_since", default=None)


def uncertain_since() -> datetime | None:
    """When the first attempt was made of which nobody knows the outcome; None when this is the first."""
    return _since.get()


@contextmanager
def attempting(since: datetime | None) -> Generator[None]:
    token = _since.set(since)
    try:
        yield
    finally:
        _since.reset(token)
