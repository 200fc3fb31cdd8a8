"""Everything that can go wrong, in the words a caller can act on.

    BackofficeError
    ├── InvalidInput          the arguments cannot be right: say which and why
    ├── NotFound              the thing asked for does not exist
    ├── PermissionDenied      the credential or the caller may not do this
    ├── ApprovalRequired      a human has to agree to it first
    ├── Conflict              the state of the thing forbids it, or a key was used for something else
    ├── TooLarge              the answer is beyond what we carry: say how to narrow
    ├── RateLimited           too many requests: wait `retry_after` seconds
    ├── QuotaExceeded         what may be used up in a day is used up
    ├── BackendUnavailable    no usable answer from the backend
    │   ├── DeadlineExceeded  not within the time the call had left
    │   ├── CircuitOpen       it failed so often lately that we did not ask
    │   └── MalformedAnswer   it answered something that it should not
    ├── OutcomeUnknown        a write was sent and no answer came: look before repeating it
    └── Faulty                a fault of ours, whose details are in the log

`credentials/source.py` adds MissingCredential: nothing usable is configured for a backend.

`str(error)` is a sentence for a model. It never holds a secret, a header or a stack trace.
"""

from __future__ import annotations

from typing import ClassVar


class BackofficeError(Exception):
    """A failure with a stable `code`, the `source` that failed, and what to do about it.

    `source` is a display name ("HubSpot") or empty when the fault is the caller's.
    `retry_after` is in seconds; `idempotency_key` is echoed so that a retry can carry it.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        source: str,
        message: str,
        *,
        hint: str = "",
        retry_after: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        super().__init__(source, message)
        self.source = source
        self.message = message
        self.hint = hint
        self.retry_after = retry_after
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        parts = [f"{self.source}: {self.message}" if self.source else self.message]
        if self.hint:
            parts.append(self.hint)
        if self.retry_after is not None:
            parts.append(f"Try again in {max(1, round(self.retry_after))} s.")
        if self.idempotency_key is not None:
            parts.append(f"Repeat it only with the same idempotency_key {self.idempotency_key!r}.")
        return " ".join(part if part.endswith((".", "!", "?")) else part + "." for part in parts)


class InvalidInput(BackofficeError):  # noqa: N818 - named for what happened
    code = "invalid_input"


class NotFound(BackofficeError):  # noqa: N818
    code = "not_found"


class PermissionDenied(BackofficeError):  # noqa: N818
    code = "permission_denied"


class ApprovalRequired(BackofficeError):  # noqa: N818
    code = "approval_required"


class Conflict(BackofficeError):  # noqa: N818
    code = "conflict"


class TooLarge(BackofficeError):  # noqa: N818
    code = "too_large"


class RateLimited(BackofficeError):  # noqa: N818
    code = "rate_limited"
    retryable = True


class QuotaExceeded(BackofficeError):  # noqa: N818
    code = "quota_exceeded"


class BackendUnavailable(BackofficeError):  # noqa: N818
    code = "backend_unavailable"
    retryable = True


class DeadlineExceeded(BackendUnavailable):
    code = "deadline_exceeded"


class CircuitOpen(BackendUnavailable):
    code = "circuit_open"


class MalformedAnswer(BackendUnavailable):
    code = "malformed_answer"
    retryable = False


class Faulty(BackofficeError):  # noqa: N818
    code = "internal_error"


class OutcomeUnknown(BackofficeError):  # noqa: N818
    """`forgotten`: so long ago that the vendor would not know its key any more, and repeating it is no use."""

    code = "outcome_unknown"
    forgotten = False


def may_pass(error: BackofficeError) -> bool:
    """Whether the same request with the same key may succeed later."""
    return error.retryable or (isinstance(error, OutcomeUnknown) and not error.forgotten)
