"""Writes of several requests: each is done once, and who comes again goes on where it stopped.

Every write sends its key, which Stripe knows for a day, and leaves it in the metadata of what it makes. So whoever
comes later looks there, in lists that are never behind, unlike the search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from backoffice_billing.backends.stripe.access import KEY_LASTS, STRIPE
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import BackofficeError, OutcomeUnknown
from backoffice_shared.http.client import T, Written
from backoffice_shared.http.once import SKEW, once
from backoffice_shared.http.steps import AGAIN

Look = Callable[[datetime], Awaitable[T | None]]


async def made_once(write: Callable[[], Awaitable[Written[T]]], look: Look[T]) -> Written[T]:
    """What `look` finds was made with this key, since the time that it is given; else what `write` makes.

    Raises:
        OutcomeUnknown: it was sent, and cannot be seen (yet).
    """
    if (found := await look(_since())) is not None:
        return Written(found, replayed=True)
    return await once(STRIPE.title, write, look, remembers=KEY_LASTS)


def _since() -> datetime:
    """When the first attempt with this key may have been made."""
    return (uncertain_since() or datetime.now(UTC) - timedelta(seconds=KEY_LASTS)) - SKEW


async def then(done: str, step: Awaitable[T]) -> T:
    """What `step` gives. `done` says what was done before it, which its failure must not hide.

    Stricter than `http/steps.py`: where money may have moved, a refusal too has to be repeated with the same key, or a
    new one would move it again.

    Raises:
        OutcomeUnknown: it failed, also when it was refused.
    """
    try:
        return await step
    except BackofficeError as error:
        raise OutcomeUnknown(
            STRIPE.title,
            f"{done}, but what comes after that failed: {error.message}",
            retry_after=error.retry_after,
            hint=AGAIN,
        ) from error
