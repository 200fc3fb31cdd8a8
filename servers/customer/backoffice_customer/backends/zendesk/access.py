"""How a Zendesk account is reached, how it refuses, and what it says about its limits.

Source: https://developer.zendesk.com/api-reference/introduction/security-and-auth/ and
https://developer.zendesk.com/api-reference/introduction/rate-limits/
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx

from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, bearer, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.jsonvalues import arr, obj

LEGACY_CREDENTIAL = frozenset({"email", "api_token"})
"""Zendesk makes no new API tokens since 2026-10-27, and the last of them stop working on 2027-04-30."""


def _authorize(request: httpx.Request, credential: Credential) -> None:
    if "access_token" in credential:
        bearer(request, credential)
        return
    secret = f"{credential['email']}/token:{credential['api_token']}"
    request.headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"error":"RecordNotFound","description":…}`, `{"error":{"title":…,"message":…}}`, or a line of plain text.

    A used idempotency key that comes with other parameters is answered 400, and what a closed ticket does not take 422:
    both amount to a conflict. A 429 that is for longer than a minute while requests are left is about one ticket, which
    takes 30 updates in ten minutes: it is locked, and no reason to leave all of Zendesk alone.
    """
    if response.status_code < 400:
        return None
    wire = _body(response)
    sentence = _sentence(wire) or f"answered {response.status_code}"
    status, retry_after = response.status_code, seconds(response.headers.get("retry-after"))
    if wire.get("error") == "IdempotentRequestError" or "closed prevents ticket update" in sentence:
        status = 409
    elif status == 429 and (retry_after or 0) > 60 and seconds(response.headers.get("x-rate-limit-remaining")):
        status = 423
    return Failure(status, sentence[:300], retry_after)


def _body(response: httpx.Response) -> dict[str, Any]:
    if response.headers.get("content-type", "").startswith("text/plain"):
        return {"description": response.text.strip()}
    return wire_of(response)


def _sentence(wire: dict[str, Any]) -> str:
    """What went wrong, with what is wrong with each field: `{"details":{"base":[{"description":…}]}}`."""
    error = obj(wire.get("error")) or {"message": wire.get("error")}
    said = wire.get("description") or wire.get("error_description") or error.get("message") or error.get("title")
    details = [obj(entry) for entries in obj(wire.get("details")).values() for entry in arr(entries)]
    fields = "; ".join(str(entry["description"]) for entry in details if "description" in entry)
    return ": ".join(str(part) for part in (said, fields) if part)


def _allowance(response: httpx.Response) -> Allowance | None:
    """`X-Rate-Limit-Remaining` of the current minute, which ends in `ratelimit-reset` seconds."""
    remaining = seconds(response.headers.get("x-rate-limit-remaining"))
    reset = seconds(response.headers.get("ratelimit-reset"))
    return None if remaining is None or reset is None else Allowance(remaining, reset)


def _replayed(response: httpx.Response) -> bool:
    return response.headers.get("x-idempotency-lookup") == "hit"


ZENDESK = Backend(
    name="zendesk",
    title="Zendesk",
    base_url="https://{subdomain}.zendesk.com",
    options=("subdomain",),
    credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"}), LEGACY_CREDENTIAL),
    authorize=_authorize,
    failure=_failure,
    allowance=_allowance,
    # To read everything, and to write no more than is written here.
    token_endpoint=TokenEndpoint("/oauth/tokens", scope="read tickets:write users:write", json=True),
    rate=Rate(requests=200, seconds=60, burst=30),  # of the smallest plan
    idempotency_header="Idempotency-Key",  # on the creation of tickets
    key_lasts=7200,
    replayed=_replayed,
)
