"""An error is a sentence that a model can act on."""

from __future__ import annotations

import pytest

from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    CircuitOpen,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    may_pass,
)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NotFound("Stripe", "no such invoice: 'in_1'"), "Stripe: no such invoice: 'in_1'."),
        (InvalidInput("", "limit: must be positive"), "limit: must be positive."),
        (InvalidInput("", "Is that so?", hint="Look again!"), "Is that so? Look again!"),
        (RateLimited("Acme", "slow down", retry_after=6.6), "Acme: slow down. Try again in 7 s."),
        (RateLimited("Acme", "slow down", retry_after=0.0), "Acme: slow down. Try again in 1 s."),
        (
            OutcomeUnknown("Acme", "no answer came", hint="Look first", idempotency_key="k-1"),
            "Acme: no answer came. Look first. Repeat it only with the same idempotency_key 'k-1'.",
        ),
    ],
)
def test_an_error_says_who_what_and_what_to_do(error: BackofficeError, sentence: str) -> None:
    assert str(error) == sentence


def test_codes_tell_errors_apart() -> None:
    def all_of(kind: type[BackofficeError]) -> list[type[BackofficeError]]:
        return [kind, *[below for child in kind.__subclasses__() for below in all_of(child)]]

    ours = [kind for kind in all_of(BackofficeError) if kind.__module__ == "backoffice_shared.errors"]
    assert len({kind.code for kind in ours}) == len(ours) == 15


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (RateLimited, True),
        (BackendUnavailable, True),
        (DeadlineExceeded, True),
        (CircuitOpen, True),
        (MalformedAnswer, False),
        (OutcomeUnknown, False),
        (NotFound, False),
    ],
)
def test_only_what_may_pass_by_itself_is_worth_repeating(kind: type[BackofficeError], retryable: bool) -> None:
    assert kind.retryable is retryable


def test_only_what_may_pass_is_worth_another_try():
    forgotten = OutcomeUnknown("Acme", "so long ago")
    forgotten.forgotten = True
    assert may_pass(OutcomeUnknown("Acme", "no answer came"))
    assert may_pass(RateLimited("Acme", "too many"))
    assert not may_pass(forgotten)
    assert not may_pass(Conflict("Acme", "it is paid"))
