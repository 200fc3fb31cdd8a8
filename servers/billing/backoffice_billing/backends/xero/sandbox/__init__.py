"""Xero over the fictional company: the books of its European part, and the tokens to reach them with.

A write with an `Idempotency-Key` is answered the same again for six minutes, also when it was refused; the same key
with another request is answered 400.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backoffice_billing.backends.xero.access import API
from backoffice_billing.backends.xero.sandbox.accounting import Accounting
from backoffice_billing.backends.xero.sandbox.answers import Refused, bad_request, not_found, throttled
from backoffice_billing.backends.xero.sandbox.grants import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    Grants,
)
from backoffice_billing.backends.xero.sandbox.org import Org, balanced
from backoffice_billing.backends.xero.sandbox.settings import ORGANISATION, Settings
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

KEY_SECONDS, LONGEST_KEY = 360, 128
TENANT = ORGANISATION


def _utc_now() -> datetime:
    return datetime.now(UTC)


def xero_sandbox(
    company: Company, *, clock: Clock = SYSTEM_CLOCK, now: Callable[[], datetime] = _utc_now
) -> VendorSandbox:
    """`clock` says when tokens and keys expire, `now` what day and time it is in the books."""
    org = Org(company, now)
    grants = Grants(clock, TENANT)
    accounting = Accounting(org, searches_are_stale=lambda: sandbox.faults.stale_search)
    endpoints = [*accounting.endpoints(), *Settings(org).endpoints()]
    routes = [Route(f"{API}/{path}", endpoint, methods=[method]) for method, path, endpoint in endpoints]
    app = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route, Refused: _refused})
    sandbox = VendorSandbox(
        name="xero",
        title="Xero",
        app=XeroApp(app, org, grants, _Keys(clock)),
        credentials={"access_token": ACCESS_TOKEN},
        throttled=throttled,
        unavailable=lambda: Response(
            "The Organisation for this access token is not active", 503, media_type="text/html"
        ),
        options={"tenant": "", "posts": "stripe"},
    )
    return sandbox


def org_of(sandbox: VendorSandbox) -> Org:
    """The books in it."""
    if not isinstance(sandbox.app, XeroApp):
        raise TypeError("not a sandbox of Xero's")
    return sandbox.app.org


async def _refused(_request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)  # noqa: S101 - it is registered for nothing else
    return refused.answer


async def _no_route(_request: Request, _raised: Exception) -> Response:
    return not_found()


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    request: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Keys:
    """What was answered to each key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def known(self, key: str) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and kept.until > self._clock.now() else None

    def keep(self, key: str, request: str, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        now = self._clock.now()
        self._kept = {known: kept for known, kept in self._kept.items() if kept.until > now}
        self._kept[key] = _Kept(now + KEY_SECONDS, request, status, headers, body)


class XeroApp:
    """Tokens for anybody, the API for who has one, and what is left of the limits with every answer."""

    def __init__(self, app: ASGIApp, org: Org, grants: Grants, keys: _Keys) -> None:
        self.org = org
        self._app = app
        self._grants = grants
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = await self._early(request)
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        if scope["method"] in ("PUT", "POST"):
            await self._once(request, scope, limited)
        else:
            await self._app(scope, receive, limited)

    async def _early(self, request: Request) -> Response | None:
        """The answer to a request for a token, or to one that may not be made."""
        path = request.url.path
        if path == "/connect/token":
            return await self._grants.grant(request)
        refusal = self._grants.refusal(request, path.removeprefix(f"{API}/") if path.startswith(API) else "")
        if refusal is None and path == "/connections":
            return JSONResponse([self._connection()])
        return refusal

    def _connection(self) -> dict[str, Any]:
        name = f"{self.org.company.name} Europe"
        return {"id": ORGANISATION, "tenantId": TENANT, "tenantType": "ORGANISATION", "tenantName": name}

    async def _once(self, request: Request, scope: Scope, send: Send) -> None:
        body, key = await request.body(), request.headers.get("idempotency-key")

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        if key is None:
            await self._app(scope, again, send)
            return
        about = f"{scope['method']} {scope['path']} {scope['query_string']!r} ".encode() + body
        digest = hashlib.sha256(about).hexdigest()
        known = self._keys.known(key)
        if len(key) > LONGEST_KEY:
            answer = bad_request(17, "ArgumentException", f"An idempotency key has at most {LONGEST_KEY} characters")
            await answer(scope, again, send)
        elif known is None:
            await self._first(key, digest, scope, again, send)
        elif known.request != digest:
            answer = bad_request(17, "ArgumentException", "The idempotency key was used for another request")
            await answer(scope, again, send)
        else:
            await send({"type": "http.response.start", "status": known.status, "headers": known.headers})
            await send({"type": "http.response.body", "body": known.body})

    async def _first(self, key: str, digest: str, scope: Scope, receive: Receive, send: Send) -> None:
        status, headers, body = 0, list[tuple[bytes, bytes]](), b""

        async def kept(message: Message) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            body += message.get("body", b"")
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._keys.keep(key, digest, status, headers, body)
            await send(message)

        await self._app(scope, receive, kept)


_LIMITS = ((b"x-minlimit-remaining", b"59"), (b"x-daylimit-remaining", b"4999"), (b"x-appminlimit-remaining", b"9999"))

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "KEY_SECONDS",
    "REFRESH_TOKEN",
    "TENANT",
    "Org",
    "balanced",
    "org_of",
    "xero_sandbox",
]
