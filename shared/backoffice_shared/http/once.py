"""A write is carried out once also at a vendor that knows no idempotency keys, or has forgotten this one by now.

Where an earlier attempt may have been carried out, its effect is looked for before anything is sent. Where an answer is
lost, the effect is looked for too. Nothing is sent again before the first request must have arrived or be lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import BackofficeError, OutcomeUnknown
from backoffice_shared.http.client import T, Written

SETTLED = timedelta(seconds=60)
"""After so long, a request that was sent is carried out and can be seen, or never will be."""
SKEW = timedelta(seconds=5)
"""By so much a vendor's clock may be behind ours. What equals the effect and was made in this time before is taken for it."""

KEYS_SKEW = timedelta(minutes=1)
"""So long before a vendor may forget a key, it is not relied on any more."""


async def once(
    title: str,
    write: Callable[[], Awaitable[Written[T]]],
    look: Callable[[datetime], Awaitable[T | None]],
    *,
    remembers: float = 0.0,
) -> Written[T]:
    """Carry out `write`, unless an earlier attempt with this call's idempotency key did. For so many seconds the vendor
    `remembers` the key that `write` sends, and sees to it itself.

    `write` calls `BackendClient.write(..., twice="looked up")`. `look` finds what it made, by the key where the vendor
    keeps it and else by its content, at or after the time given; it must not be answered from a cache. `title` is the
    vendor's.

    Raises:
        OutcomeUnknown: it was sent, and cannot be seen (yet).
    """
    since = uncertain_since()
    known = timedelta(seconds=remembers) - KEYS_SKEW if remembers else timedelta.min
    if since is not None and datetime.now(UTC) - since >= known:
        if (found := await look(since - SKEW)) is not None:
            return Written(found, replayed=True)
        if (waited := datetime.now(UTC) - since) < SETTLED:
            raise OutcomeUnknown(
                title,
                "an earlier call with this idempotency_key may still be carried out: nothing was sent",
                retry_after=(SETTLED - waited).total_seconds(),
                hint="Repeat the call with the same key",
            )
    began = datetime.now(UTC)
    try:
        return await write()
    except OutcomeUnknown as unknown:
        try:
            found = await look(began - SKEW)
        except BackofficeError:
            raise unknown from None
        if found is None:
            raise
        return Written(found, replayed=False)
