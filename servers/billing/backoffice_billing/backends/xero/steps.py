"""Writes of several steps: what fails after one of them must not look as if nothing had been done."""

from __future__ import annotations

from collections.abc import Awaitable

from backoffice_billing.backends.xero.access import XERO
from backoffice_shared.errors import (
    BackofficeError,
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
)
from backoffice_shared.http.client import T


async def then(done: str, step: Awaitable[T]) -> T:
    """What `step` gives. `done` says what was changed before it.

    Raises:
        OutcomeUnknown: it failed. Who repeats the call looks at what there is.
        Conflict, InvalidInput, NotFound, PermissionDenied: it was refused, as it would be again.
    """
    try:
        return await step
    except OutcomeUnknown:
        raise
    except (Conflict, InvalidInput, NotFound, PermissionDenied) as refusal:
        raise type(refusal)(
            XERO.title, f"{done}, but what comes after that was refused: {refusal.message}", hint=refusal.hint
        ) from refusal
    except BackofficeError as error:
        raise OutcomeUnknown(
            XERO.title,
            f"{done}, but what comes after that failed: {error.message}",
            retry_after=error.retry_after,
            hint="Repeat the call with the same idempotency_key: what was done is not done again",
        ) from error


async def failing(step: Awaitable[object]) -> BackofficeError | None:
    """Why it failed; None when it did not. For what is said beside an effect rather than in place of it."""
    try:
        await step
    except BackofficeError as error:
        return error
    return None
