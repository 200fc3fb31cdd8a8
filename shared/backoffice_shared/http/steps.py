"""Writes of several requests: what fails after one of them must not look as if nothing had been done."""

from __future__ import annotations

from collections.abc import Awaitable

from backoffice_shared.errors import (
    BackofficeError,
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
)
from backoffice_shared.http.client import T

_LASTING = (Conflict, InvalidInput, NotFound, PermissionDenied)
AGAIN = "Repeat the call with the same idempotency_key: what was done is not done again"


async def then(title: str, done: str, step: Awaitable[T]) -> T:
    """What `step` gives. `done` says what was changed before it at the vendor called `title`; where nothing was, it is
    empty, and `step` fails as it does.

    Raises:
        BackofficeError: it was refused after something was changed: as it was, with what was done before.
        OutcomeUnknown: it failed otherwise after something was changed. Who repeats the call looks at what there is.
    """
    try:
        return await step
    except BackofficeError as error:
        if not done or isinstance(error, OutcomeUnknown):
            raise
        said = f"{done}, but what comes after that failed: {error.message}"
        if isinstance(error, _LASTING):
            raise type(error)(title, said, hint=error.hint, retry_after=error.retry_after) from error
        raise OutcomeUnknown(title, said, retry_after=error.retry_after, hint=AGAIN) from error


async def or_why(step: Awaitable[T]) -> T | BackofficeError:
    """What it gives, or why it failed: for what is said beside an effect rather than in place of it."""
    try:
        return await step
    except BackofficeError as error:
        return error
