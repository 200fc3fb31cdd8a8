"""What most vendors mean by a status, for those that say nothing better."""

from __future__ import annotations

import httpx
import pytest

from backoffice_shared.backend import Failure, by_status


@pytest.mark.parametrize("status", [200, 204, 304, 399])
def test_a_status_below_400_is_no_failure(status: int) -> None:
    assert by_status(httpx.Response(status, headers={"Retry-After": "7"})) is None


def test_a_failure_says_its_status_in_words() -> None:
    assert by_status(httpx.Response(404)) == Failure(404, "answered 404 Not Found", None)


def test_a_status_that_has_no_words_is_a_number() -> None:
    assert by_status(httpx.Response(499)) == Failure(499, "answered 499", None)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("wait", "seconds"), [("7", 7.0), ("0", 0.0), ("120", 120.0)])
def test_seconds_to_wait_are_honoured(status: int, wait: str, seconds: float) -> None:
    failure = by_status(httpx.Response(status, headers={"Retry-After": wait}))
    assert failure is not None
    assert (failure.status, failure.retry_after) == (status, seconds)


@pytest.mark.parametrize("wait", ["", "soon", "-1", "NaN", "\u00b2", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_is_not_in_seconds_is_passed_over(wait: str) -> None:
    response = httpx.Response(429, headers=[(b"Retry-After", wait.encode("latin-1"))])
    assert by_status(response) == Failure(429, "answered 429 Too Many Requests", None)
