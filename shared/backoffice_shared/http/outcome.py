"""What became of an attempt. Retries, breaker and pacing all key on this one judgement."""

from __future__ import annotations

from enum import Enum

import httpx

from backoffice_shared.backend import Backend, Failure

_JUDGED = "backoffice.failure"


class Outcome(Enum):
    OK = "ok"
    TRANSIENT = "transient"  # it never left, and may in a moment
    THROTTLED = "throttled"  # we are asked to slow down
    AUTH = "auth"  # the credential was refused
    PERMANENT = "permanent"  # asking again changes nothing
    AMBIGUOUS = "ambiguous"  # it went out, and we cannot know whether it was done


def failure_of(backend: Backend, response: httpx.Response) -> Failure | None:
    """The vendor's refusal in `response`, or None. Read once, however many layers ask."""
    if _JUDGED not in response.extensions:
        response.extensions[_JUDGED] = backend.failure(response)
    return response.extensions[_JUDGED]


def of_response(backend: Backend, response: httpx.Response) -> Outcome:
    failure = failure_of(backend, response)
    if failure is None:
        return Outcome.OK
    match failure.status:
        case 429:
            return Outcome.THROTTLED
        case 503 if failure.retry_after is not None:
            return Outcome.THROTTLED
        case 401:
            return Outcome.AUTH
        case status if status == 408 or status >= 500:
            return Outcome.AMBIGUOUS  # a gateway's 502 or 504 says nothing about what happened behind it
        case _:
            return Outcome.PERMANENT


def of_error(error: httpx.TransportError) -> Outcome:
    """A connection that was never made is safe to try again; anything later may have reached the vendor."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError):
        return Outcome.TRANSIENT
    if isinstance(error, httpx.UnsupportedProtocol):
        return Outcome.PERMANENT
    return Outcome.AMBIGUOUS
