"""Zendesk's API over the fictional company: its helpdesk and its Help Center, and the tokens to reach them with.

Every path is there with and without `.json`, which Zendesk's community clients put behind it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backoffice_customer.backends.zendesk.answers import Refused, body_of, error, forbidden, oauth_error
from backoffice_customer.backends.zendesk.guide import Guide
from backoffice_customer.backends.zendesk.helpdesk import Helpdesk
from backoffice_customer.backends.zendesk.search import InvalidSearch
from backoffice_customer.backends.zendesk.ticketing import Ticketing
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

SUBDOMAIN = "acme"
CLIENT_ID, CLIENT_SECRET = "backoffice_sandbox", "secret-sandbox-zendesk"
ACCESS_TOKEN = "token-sandbox-zendesk"  # noqa: S105 - one that never expires, as OAuth tokens made by hand do not
AGENT_EMAIL, API_TOKEN = "ines@northwind.example", "legacy-sandbox-zendesk"
"""For Basic authentication as `{AGENT_EMAIL}/token:{API_TOKEN}`, the way that ends in 2027."""

TOKEN_SECONDS = 1800


def _present() -> datetime:
    return datetime.now(UTC)


def zendesk_sandbox(
    company: Company, *, clock: Clock = SYSTEM_CLOCK, present: Callable[[], datetime] = _present
) -> VendorSandbox:
    """`clock` says when tokens and idempotency keys expire, and how often a ticket may be written to, `present` what time
    is written on what is new.
    """
    helpdesk = Helpdesk(company, searches_are_stale=lambda: sandbox.faults.stale_search, present=present)
    endpoints = [*Ticketing(helpdesk, clock).endpoints(), *Guide(company).endpoints()]
    routes = [
        Route(f"/api/v2/{path}{suffix}", endpoint, methods=[method])
        for method, path, endpoint in endpoints
        for suffix in ("", ".json")
    ]
    handlers = {404: _no_route, 405: _no_route, Refused: _refused, InvalidSearch: _invalid_search}
    sandbox = VendorSandbox(
        name="zendesk",
        title="Zendesk",
        app=_Authenticated(Starlette(routes=routes, exception_handlers=handlers), _Tokens(clock)),
        credentials={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        throttled=lambda seconds: Response(
            "Number of allowed API requests per minute exceeded",
            429,
            {"retry-after": str(seconds), "x-rate-limit-remaining": "0", "ratelimit-reset": str(seconds)},
            media_type="text/plain",
        ),
        unavailable=lambda: error(503, "ServiceUnavailable", "The service is temporarily unavailable."),
        options={"subdomain": SUBDOMAIN},
    )
    return sandbox


async def _refused(_request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)  # noqa: S101 - it is registered for nothing else
    return refused.answer


async def _invalid_search(_request: Request, raised: Exception) -> Response:
    return error(422, "invalid", f"Invalid search: {raised}")


async def _no_route(_request: Request, _raised: Exception) -> Response:
    return error(404, "InvalidEndpoint", "Not found")


# ------------------------------------------------------------------------------------------------ who may ask


_ALL = frozenset({"read", "write"})


@dataclass(frozen=True, slots=True)
class _Granted:
    """An access token. Its scopes are to read or write everything, or what one resource has: `tickets:write`."""

    until: float
    scopes: frozenset[str]

    def allows(self, method: str, path: str) -> bool:
        access = "read" if method == "GET" else "write"
        resource = path.removeprefix("/api/v2/").partition("/")[0].removesuffix(".json")
        return not self.scopes.isdisjoint({access, f"{'hc' if resource == 'help_center' else resource}:{access}"})


class _Tokens:
    """Access tokens for the OAuth client, each good for half an hour. https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._granted: dict[str, _Granted] = {}

    async def grant(self, request: Request) -> Response:
        is_json = request.headers.get("content-type", "").startswith("application/json")
        asked = obj(await body_of(request)) if is_json else dict(parse_qsl((await request.body()).decode()))
        if asked.get("grant_type") != "client_credentials":
            sentence = "The authorization grant type is not supported by the authorization server."
            return oauth_error(400, "unsupported_grant_type", sentence)
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            sentence = "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method."
            return oauth_error(401, "invalid_client", sentence)
        token = f"{ACCESS_TOKEN}-{len(self._granted) + 1}"
        scope = str(asked.get("scope") or "read")
        self._granted[token] = _Granted(self._clock.now() + TOKEN_SECONDS, frozenset(scope.split()))
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "scope": scope, "expires_in": TOKEN_SECONDS}
        )

    def refusal(self, authorization: str, method: str, path: str) -> Response | None:
        """The answer to who may not ask, None to who may."""
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer":
            granted = _Granted(math.inf, _ALL) if secret == ACCESS_TOKEN else self._granted.get(secret)
            if granted is not None and granted.until > self._clock.now():
                return None if granted.allows(method, path) else forbidden()
            sentence = "The access token provided is expired, revoked, malformed or invalid for other reasons."
            return oauth_error(401, "invalid_token", sentence)
        legacy = base64.b64encode(f"{AGENT_EMAIL}/token:{API_TOKEN}".encode()).decode()
        if scheme.lower() == "basic" and secret == legacy:
            return None
        return JSONResponse({"error": "Couldn't authenticate you"}, 401)


_LIMITS = (
    (b"x-rate-limit", b"200"),
    (b"x-rate-limit-remaining", b"199"),
    (b"ratelimit-limit", b"200"),
    (b"ratelimit-remaining", b"199"),
    (b"ratelimit-reset", b"60"),
)


class _Authenticated:
    """Every request but the one for a token needs one, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp, tokens: _Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].removesuffix(".json") == "/oauth/tokens":
            try:
                granted = await self._tokens.grant(Request(scope, receive))
            except Refused as refused:
                granted = refused.answer
            await granted(scope, receive, send)
            return
        authorization = Headers(scope=scope).get("authorization", "")
        if (refusal := self._tokens.refusal(authorization, scope["method"], scope["path"])) is not None:
            await refusal(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app(scope, receive, limited)
