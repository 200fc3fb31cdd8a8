"""How HubSpot is reached: its address, its versions, what its refusals and limits look like."""

from __future__ import annotations

import httpx

from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, seconds, wire_of

OBJECTS = "/crm/objects/2026-09"
PIPELINES = "/crm/pipelines/2026-09"
ASSOCIATIONS = "/crm/associations/2026-03"  # these two are read as in the version before
ASSOCIATED = "/crm/objects/2026-03"
OWNERS = "/crm/owners/2026-03"
CONSENT = "/communication-preferences/v4"
THREADS = "/conversations/v3/conversations/threads"
TOKENS = "/oauth/2026-03/token"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"status":"error","message":…,"category":…,"errors":[{"message":…}]}`; 429 names the policy that was hit."""
    if response.status_code < 400:
        return None
    wire = wire_of(response)
    sentence = str(wire.get("message") or f"answered {response.status_code}")[:300]
    if response.status_code == 429 and wire.get("policyName") == "DAILY":
        return Failure(429, sentence, retry_after=3600.0)
    return Failure(response.status_code, sentence, seconds(response.headers.get("retry-after")))


def _allowance(response: httpx.Response) -> Allowance | None:
    """`X-HubSpot-RateLimit-Remaining` of a window of `…-Interval-Milliseconds`."""
    remaining = seconds(response.headers.get("x-hubspot-ratelimit-remaining"))
    interval = seconds(response.headers.get("x-hubspot-ratelimit-interval-milliseconds"))
    return None if remaining is None or interval is None else Allowance(remaining, interval / 1000)


HUBSPOT = Backend(
    name="hubspot",
    title="HubSpot",
    base_url="https://api.hubapi.com",
    credentials=(frozenset({"access_token"}), frozenset({"client_id", "client_secret", "refresh_token"})),
    token_endpoint=TokenEndpoint(TOKENS, grant="refresh_token", client="form"),
    optional={
        "marketing_subscription": "",  # the id of the subscription type that consent is about; empty: all e-mail
        "ticket_pipeline": "0",  # where new tickets go; this is the one that every account has
        "reply_as": "",  # the user who signs replies ("A-1234567"); empty: whoever answered in the thread last
    },
    failure=_failure,
    allowance=_allowance,
    rate=Rate(requests=100, seconds=10, burst=30),  # of the smallest plan
)
