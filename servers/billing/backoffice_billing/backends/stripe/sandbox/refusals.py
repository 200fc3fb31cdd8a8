"""How Stripe refuses. `{"error":{"type":…,"code":…,"message":…,"param":…}}`

Sources: https://docs.stripe.com/api/errors, https://docs.stripe.com/error-codes. What an invoice refuses because of its
state has no code.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

Body = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is what happened
    """Instead of an answer, this one. `kept`: it is the answer to everything with the same idempotency key, since it
    came after the request was found to be right."""

    def __init__(self, status: int, error: Body, *, kept: bool = True) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.error = error
        self.kept = kept

    @property
    def answer(self) -> Response:
        return JSONResponse({"error": self.error}, self.status)


def invalid(message: str, *, code: str | None = None, param: str | None = None, kept: bool = True) -> Refused:
    return Refused(400, _error("invalid_request_error", message, code, param), kept=kept)


def malformed(message: str, code: str | None = None, param: str | None = None) -> Refused:
    """Found before anything was begun."""
    return invalid(message, code=code, param=param, kept=False)


def missing(kind: str, native: object, param: str = "id", *, status: int = 404) -> Refused:
    """404 for what is in the path, 400 for what is in the parameters."""
    error = _error("invalid_request_error", f"No such {kind}: '{native}'", "resource_missing", param)
    return Refused(status, error)


def no_such_url(method: str, path: str) -> Refused:
    message = (
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at"
        " https://support.stripe.com/."
    )
    return Refused(404, _error("invalid_request_error", message, None, None), kept=False)


def _error(kind: str, message: str, code: str | None, param: str | None) -> Body:
    error: Body = {"message": message, "type": kind}
    if code is not None:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param is not None:
        error["param"] = param
    return error


def without_key() -> Refused:
    message = (
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer"
        " auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for"
        " details."
    )
    return Refused(401, _error("invalid_request_error", message, None, None), kept=False)


def wrong_key(key: str) -> Refused:
    hidden = f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * len(key)
    return Refused(401, _error("invalid_request_error", f"Invalid API Key provided: {hidden}", None, None), kept=False)


def forbidden(permission: str) -> Refused:
    message = (
        "The provided key 'rk_test_***' does not have the required permissions for this endpoint. "
        f"Having the '{permission}' permission would allow this request to continue."
    )
    return Refused(403, _error("invalid_request_error", message, None, None), kept=False)


def wrong_account(account: str) -> Refused:
    message = (
        f"The provided key does not have access to account '{account}' (or that account does not exist)."
        " Application access may have been revoked."
    )
    return Refused(403, _error("invalid_request_error", message, "account_invalid", None), kept=False)


def other_parameters(key: str) -> Refused:
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return Refused(400, {"message": message, "type": "idempotency_error"}, kept=False)


def in_use(key: str) -> Refused:
    message = (
        f"There is currently another in-progress request using this Idempotent Key ({key}). "
        "If you get this in error, please retry."
    )
    error = _error("idempotency_error", message, "idempotency_key_in_use", None)
    return Refused(409, error, kept=False)


def throttled(seconds: int) -> Response:
    message = "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits."
    headers = {"retry-after": str(seconds), "stripe-rate-limited-reason": "global-rate", "stripe-should-retry": "true"}
    return JSONResponse({"error": _error("invalid_request_error", message, "rate_limit", None)}, 429, headers)


def unavailable() -> Response:
    message = "An unknown error occurred"
    return JSONResponse({"error": _error("api_error", message, None, None)}, 503, {"stripe-should-retry": "true"})
