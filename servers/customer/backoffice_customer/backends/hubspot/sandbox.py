"""HubSpot's wire over the fictional company: the CRM, consent, conversations, and the tokens to reach them with.

The CRM is there on the paths of 2026-09 and on the older ones that HubSpot's own Python client still calls.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_customer.backends.hubspot.access import TOKENS
from backoffice_customer.backends.hubspot.answers import Refused, error, no_route, refusal
from backoffice_customer.backends.hubspot.consent import MARKETING, Consents
from backoffice_customer.backends.hubspot.inbox import Inbox
from backoffice_customer.backends.hubspot.objects import Objects
from backoffice_customer.backends.hubspot.portal import Portal
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

TOKEN = "pat-sandbox-hubspot"  # noqa: S105 - a test credential of a fictional company
CLIENT_ID, CLIENT_SECRET = "client-sandbox-hubspot", "secret-sandbox-hubspot"
REFRESH_TOKEN = "refresh-sandbox-hubspot"  # noqa: S105
ACCESS_TOKEN = "token-sandbox-hubspot"  # noqa: S105 - what those that were exchanged begin with
TOKEN_SECONDS = 1800


def hubspot_sandbox(company: Company, *, clock: Clock = SYSTEM_CLOCK) -> VendorSandbox:
    """`clock` says when tokens expire."""
    consents = Consents(company)
    portal = Portal(company, consents.optouts, searches_are_stale=lambda: sandbox.faults.stale_search)
    routes = [*Objects(portal).routes(), *consents.routes(), *Inbox(portal).routes()]
    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route, Refused: refusal})
    sandbox = VendorSandbox(
        name="hubspot",
        title="HubSpot",
        app=_Authenticated(app, _Tokens(clock)),
        credentials={"access_token": TOKEN},
        throttled=lambda _seconds: error(
            429,
            "RATE_LIMITS",
            "You have reached your ten_secondly_rolling limit.",
            errorType="RATE_LIMIT",
            policyName="TEN_SECONDLY_ROLLING",
        ),
        unavailable=lambda: error(503, "INTERNAL_ERROR", "There was a problem with the request."),
        options={"marketing_subscription": str(MARKETING), "ticket_pipeline": "0", "reply_as": ""},
    )
    return sandbox


class _Tokens:
    """Access tokens for the app, each good for half an hour; the refresh token stays the same.

    Source: https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._granted: dict[str, float] = {}

    async def grant(self, request: Request) -> Response:
        """Every parameter is in the body: a client that shows itself in a header is not seen."""
        asked = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if asked.get("grant_type") != "refresh_token":
            return _refused("unsupported_grant_type", "missing or unknown grant_type")
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _refused("invalid_client", "missing or unknown client_id or client_secret")
        if asked.get("refresh_token") != REFRESH_TOKEN:
            return _refused("invalid_grant", "missing or unknown refresh_token")
        token = f"{ACCESS_TOKEN}-{len(self._granted) + 1}"
        self._granted[token] = self._clock.now() + TOKEN_SECONDS
        return JSONResponse(
            {
                "token_type": "bearer",
                "access_token": token,
                "refresh_token": REFRESH_TOKEN,
                "expires_in": TOKEN_SECONDS,
                "hub_id": 62515,
            }
        )

    def knows(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        if token == authorization:
            return False
        return token == TOKEN or self._granted.get(token, 0.0) > self._clock.now()


def _refused(code: str, sentence: str) -> Response:
    return JSONResponse({"status": "BAD_" + code.upper(), "message": sentence, "error": code}, 400)


class _Authenticated:
    """Every request but the one for a token needs one, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp, tokens: _Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == TOKENS and scope["method"] == "POST":
            granted = await self._tokens.grant(Request(scope, receive))
            await granted(scope, receive, send)
            return
        if not self._tokens.knows(Request(scope).headers.get("authorization", "")):
            denied = error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
            await denied(scope, receive, send)
            return

        async def limited(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app(scope, receive, limited)


_LIMITS = (
    (b"x-hubspot-ratelimit-max", b"100"),
    (b"x-hubspot-ratelimit-remaining", b"99"),
    (b"x-hubspot-ratelimit-interval-milliseconds", b"10000"),
)
