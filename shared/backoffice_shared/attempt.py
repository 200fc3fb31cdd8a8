"""Whether the write under way may already have been carried out, by an earlier attempt with the same key; and what that
key is to a vendor."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from backoffice_shared.jsonvalues import canonical
from backoffice_shared.principal import principal

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


def vendor_key(tool: str, key: str) -> str:
    """The idempotency key of this caller's call, as a vendor may see it. All callers share a vendor's account, so that
    two who chose the same key must not be taken for one: 40 hexadecimal digits."""
    return hashlib.sha256(canonical([principal().key, tool, key]).encode("utf-8", "surrogatepass")).hexdigest()[:40]
