"""Outermost layer: a vendor's failure becomes one of our errors, with the vendor's own sentence."""

from __future__ import annotations

import httpx

from backoffice_shared.backend import Backend, Failure
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    TooLarge,
)
from backoffice_shared.http.call import Call, call_of
from backoffice_shared.http.outcome import Outcome, failure_of, of_error, of_response
from backoffice_shared.redaction import SECRETS

_BY_STATUS: dict[int, type[BackofficeError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: BackendUnavailable,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    413: TooLarge,
    414: TooLarge,
    423: Conflict,
    429: RateLimited,
}


class Translated(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, backend: Backend) -> None:
        self._inner = inner
        self._backend = backend

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            raise self._from_transport(call, error) from error
        except TooLarge as error:
            if call.reads:
                raise
            raise OutcomeUnknown(self._backend.title, *_unknown(call), idempotency_key=call.key) from error
        except BackofficeError as error:
            error.idempotency_key = error.idempotency_key or call.key
            raise
        if (failure := failure_of(self._backend, response)) is not None:
            raise self._from_failure(call, failure, of_response(self._backend, response))
        return response

    def _from_transport(self, call: Call, error: httpx.TransportError) -> BackofficeError:
        title = self._backend.title
        if of_error(error) is Outcome.AMBIGUOUS and not call.reads:
            return OutcomeUnknown(title, *_unknown(call), idempotency_key=call.key)
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return DeadlineExceeded(title, "did not answer in time", idempotency_key=call.key)
        return BackendUnavailable(title, f"cannot be reached ({type(error).__name__})", idempotency_key=call.key)

    def _from_failure(self, call: Call, failure: Failure, outcome: Outcome) -> BackofficeError:
        if outcome is Outcome.AMBIGUOUS and not call.reads:
            return OutcomeUnknown(self._backend.title, *_unknown(call), idempotency_key=call.key)
        kind = _BY_STATUS.get(failure.status, InvalidInput if failure.status < 500 else BackendUnavailable)
        if failure.status == 503 and outcome is Outcome.THROTTLED:
            kind = RateLimited
        return kind(
            self._backend.title,
            SECRETS.scrub(failure.sentence),  # some repeat what they were sent
            retry_after=failure.retry_after,
            idempotency_key=call.key if kind.retryable else None,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


def _unknown(call: Call) -> tuple[str]:
    what = "the request was sent but no clear answer came: it may or may not have been carried out"
    return (what if call.key else f"{what}. Look first whether it was, before doing it again",)
