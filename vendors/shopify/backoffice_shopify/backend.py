"""Shopify as the outbound stack needs to know it: how it refuses, how it counts, and what it wants to be shown.

Source: https://shopify.dev/docs/api/usage/limits for what a throttled answer looks like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.jsonvalues import arr, obj

VERSION = "2026-10"
_RESERVE = 100.0  # points: when fewer are left, the next query may not fit
_USUAL = 20.0  # points that a query takes

KEYS_LAST = 86_400.0
"""For so many seconds Shopify knows an idempotency key: https://shopify.dev/docs/api/usage/implementing-idempotency"""

# An error's code, as the HTTP status that it amounts to. With any other code the query itself is wrong. An error without a
# code may be one of these words: https://github.com/travis-r6s/gridsome-source-shopify/issues/49 has a "Timeout".
_STATUS_OF = {
    "THROTTLED": 429,
    "ACCESS_DENIED": 403,
    "SHOP_INACTIVE": 403,
    "INTERNAL_SERVER_ERROR": 500,
    "MAX_COST_EXCEEDED": 400,
    "TIMEOUT": 504,
}
WRITTEN = frozenset({"changed", "refundCreate"})
"""What both servers' documents call the payloads of their mutations. An answer does not say what it was asked, and a payload
that became null has no shape: by these names a write is told from a read."""

# Mutations that are refused for what became of the thing meanwhile, rather than for what was written.
_CONFLICTS = frozenset({"refundCreate"})
_REFUSALS = {402: 403, 430: 403}  # a shop that is frozen; a request that looks malicious to Shopify


def _authorize(request: httpx.Request, credential: Credential) -> None:
    request.headers["X-Shopify-Access-Token"] = credential["access_token"]


def _failure(response: httpx.Response) -> Failure | None:
    """Failures come as `errors`, with HTTP 200 as often as not: a list, whose `extensions.code` says what it is about,
    or a bare sentence (401, 403, 404). A mutation that is refused says why in its `userErrors`."""
    wire = wire_of(response)
    data, errors = obj(wire.get("data")), wire.get("errors")
    if response.status_code < 400 and not errors:
        return _refused(data)
    first = obj(next(iter(arr(errors)), None))
    code = _code(first)
    answered = 400 if response.status_code < 400 else _REFUSALS.get(response.status_code, response.status_code)
    sentence = str(first.get("message") or errors or f"answered {response.status_code}")[:300]
    if _may_be_done(data, arr(errors)):
        return Failure(500, sentence)
    wait = _wait(wire) if code == "THROTTLED" else seconds(response.headers.get("retry-after"))
    return Failure(_STATUS_OF.get(code, answered), sentence, wait)


def _code(error: Mapping[str, Any]) -> str:
    return str(obj(error.get("extensions")).get("code") or error.get("message")).upper()


def _may_be_done(data: Mapping[str, Any], errors: Sequence[Any]) -> bool:
    """Whether a mutation may have been carried out all the same: it has a payload, or an error is about a part of one, as
    where a field of what it made is denied; or the mutation's own error is not known to have stopped it. An error takes
    back nothing: https://spec.graphql.org/October2021/#sec-Handling-Field-Errors"""
    if not data.keys() & WRITTEN:
        return False
    return any(payload is not None for payload in data.values()) or not all(_stopped(obj(error)) for error in errors)


def _stopped(error: Mapping[str, Any]) -> bool:
    return _STATUS_OF.get(_code(error), 500) < 500 and len(arr(error.get("path"))) < 2


def _refused(payloads: Mapping[str, Any]) -> Failure | None:
    errors = [obj(error) for payload in payloads.values() for error in arr(obj(payload).get("userErrors"))]
    if not errors:
        return None
    unknown = any(error.get("code") == "INTERNAL_ERROR" or _is_under_way(error) for error in errors)
    refused = 409 if payloads.keys() & _CONFLICTS else 422
    return Failure(500 if unknown else refused, " ".join(str(error.get("message")) for error in errors)[:300])


def _is_under_way(error: Mapping[str, Any]) -> bool:
    """Whether another request with the same idempotency key is being carried out: nobody knows yet what comes of it. Not
    every mutation says so by a code: https://shopify.dev/docs/api/usage/implementing-idempotency"""
    message = str(error.get("message"))
    return error.get("code") == "IDEMPOTENCY_CONCURRENT_REQUEST" or message.startswith("This request is currently in")


def _wait(wire: Mapping[str, Any]) -> float | None:
    """Seconds until there are as many points as the query asked for."""
    cost = obj(obj(wire.get("extensions")).get("cost"))
    bucket = obj(cost.get("throttleStatus"))
    needed, left, rate = (
        seconds(value)
        for value in (cost.get("requestedQueryCost"), bucket.get("currentlyAvailable"), bucket.get("restoreRate"))
    )
    return None if needed is None or left is None or not rate else max(0.0, (needed - left) / rate)


def _allowance(response: httpx.Response) -> Allowance | None:
    """The limit is in points: `extensions.cost.throttleStatus` says how many are left, and how fast they come back. That
    is as many requests as this one would take them, or a usual one when this was cheap."""
    cost = obj(obj(wire_of(response).get("extensions")).get("cost"))
    bucket = obj(cost.get("throttleStatus"))
    left, rate = (seconds(bucket.get(name)) for name in ("currentlyAvailable", "restoreRate"))
    if left is None or not rate:
        return None
    each = max(_USUAL, seconds(cost.get("requestedQueryCost")) or 0.0)
    return Allowance((left - _RESERVE) / each, max(0.0, (_RESERVE - left) / rate))


SHOPIFY = Backend(
    name="shopify",
    title="Shopify",
    base_url="https://{shop}.myshopify.com",
    options=("shop",),
    # The gateways through which the shop itself takes and gives back money.
    optional={"gateways": "shopify_payments"},
    # A token, or what an app made in the Dev Dashboard buys one with, for a day at a time.
    credentials=(frozenset({"access_token"}), frozenset({"client_id", "client_secret"})),
    authorize=_authorize,
    failure=_failure,
    allowance=_allowance,
    token_endpoint=TokenEndpoint("/admin/oauth/access_token"),
    rate=Rate(requests=5, seconds=1, burst=20),  # 100 points a second on the smallest plan, in usual queries
)
