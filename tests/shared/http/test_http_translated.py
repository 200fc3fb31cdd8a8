"""A vendor's failure becomes one of our errors, with the vendor's own sentence."""

from __future__ import annotations

import httpx
import pytest
from tests.shared.acme import ACME, Step, read, scripted, write

from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    CircuitOpen,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    TooLarge,
)
from backoffice_shared.http.translated import Translated

pytestmark = pytest.mark.anyio


async def error_for(request: httpx.Request, step: Step) -> BackofficeError:
    _, inner = scripted(step)
    with pytest.raises(BackofficeError) as raised:
        await Translated(inner, ACME).handle_async_request(request)
    return raised.value


async def test_an_answer_passes_unchanged() -> None:
    _, inner = scripted(httpx.Response(200, json={"id": 1}))
    response = await Translated(inner, ACME).handle_async_request(read())
    assert response.json() == {"id": 1}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, PermissionDenied),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (410, NotFound),
        (412, Conflict),
        (413, TooLarge),
        (422, InvalidInput),
        (423, Conflict),
        (429, RateLimited),
        (500, BackendUnavailable),
        (502, BackendUnavailable),
        (503, BackendUnavailable),
        (408, BackendUnavailable),
    ],
)
async def test_a_refused_read_says_what_kind_of_refusal_it_is(status: int, kind: type[BackofficeError]) -> None:
    error = await error_for(read(), httpx.Response(status, text="the anvil is stuck"))
    assert (type(error), str(error)) == (kind, "Acme: the anvil is stuck.")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_vendor_that_says_how_long_to_wait_is_throttling(status: int) -> None:
    error = await error_for(read(), httpx.Response(status, text="slow down", headers={"Retry-After": "7"}))
    assert (type(error), error.retry_after, str(error)) == (RateLimited, 7, "Acme: slow down. Try again in 7 s.")


@pytest.mark.parametrize("step", [httpx.Response(502), httpx.ReadError, httpx.ReadTimeout, httpx.WriteError])
async def test_a_write_without_a_clear_answer_has_an_unknown_outcome(step: Step) -> None:
    error = await error_for(write(), step)
    assert (type(error), str(error)) == (
        OutcomeUnknown,
        "Acme: the request was sent but no clear answer came: it may or may not have been carried out. "
        "Look first whether it was, before doing it again.",
    )


async def test_a_write_with_a_key_says_how_to_repeat_it_safely() -> None:
    error = await error_for(write(key="k-1"), httpx.ReadError)
    assert (type(error), str(error)) == (
        OutcomeUnknown,
        "Acme: the request was sent but no clear answer came: it may or may not have been carried out. "
        "Repeat it only with the same idempotency_key 'k-1'.",
    )


@pytest.mark.parametrize("step", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_a_write_that_never_left_did_not_happen(step: type[Exception]) -> None:
    error = await error_for(write(), step)
    assert (type(error), str(error)) == (BackendUnavailable, f"Acme: cannot be reached ({step.__name__}).")


async def test_a_refused_write_did_not_happen() -> None:
    error = await error_for(write(key="k-1"), httpx.Response(422, text="name is missing"))
    assert (type(error), error.idempotency_key) == (InvalidInput, None)


async def test_a_throttled_write_keeps_its_key() -> None:
    error = await error_for(write(key="k-1"), httpx.Response(429, text="slow down"))
    assert (type(error), error.idempotency_key) == (RateLimited, "k-1")


async def test_a_read_that_is_not_answered_in_time_says_so() -> None:
    error = await error_for(read(), httpx.ReadTimeout)
    assert (type(error), str(error)) == (DeadlineExceeded, "Acme: did not answer in time.")


async def test_our_own_refusal_of_a_write_carries_its_key() -> None:
    error = await error_for(write(key="k-1"), CircuitOpen("Acme", "is left alone"))
    assert (type(error), error.idempotency_key) == (CircuitOpen, "k-1")
