"""Who may ask: access tokens for half an hour, by client credentials or for a refresh token that each use replaces.

Source: https://developer.xero.com/faq/oauth2: a refresh token that was used is taken for another 30 minutes, in
case the answer was lost.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_billing.backends.xero.sandbox.answers import denied
from backoffice_shared.clock import Clock

CLIENT_ID, CLIENT_SECRET = "client-sandbox-xero", "secret-sandbox-xero"
ACCESS_TOKEN = "token-sandbox-xero"  # noqa: S105 - a test credential of a fictional company
REFRESH_TOKEN = "refresh-sandbox-xero"  # noqa: S105

TOKEN_SECONDS, GRACE = 1800, 1800
READS_TOO = {  # what a scope opens, by the first part of the path
    "accounting.contacts": {"Contacts"},
    "accounting.invoices": {"Invoices", "CreditNotes"},
    "accounting.payments": {"Payments", "Overpayments", "Prepayments"},
    "accounting.settings": {"Accounts", "TaxRates", "Organisation"},
    "accounting.reports.balancesheet": {"Reports/BalanceSheet"},
    "accounting.reports.profitandloss": {"Reports/ProfitAndLoss"},
    "accounting.reports.trialbalance": {"Reports/TrialBalance"},
    "accounting.reports.aged": {"Reports/AgedReceivablesByContact", "Reports/AgedPayablesByContact"},
}


@dataclass(frozen=True, slots=True)
class _Granted:
    """`custom`: of a custom connection, which is of one organisation, so that it need not be named."""

    until: float
    scopes: frozenset[str] | None
    custom: bool


class Grants:
    def __init__(self, clock: Clock, tenant: str) -> None:
        self._clock = clock
        self._tenant = tenant
        self._granted = {ACCESS_TOKEN: _Granted(math.inf, None, custom=True)}
        self._refresh = {REFRESH_TOKEN: math.inf}
        """Until when each is taken."""

    async def grant(self, request: Request) -> Response:
        asked = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        client = _basic(request) or (asked.get("client_id", ""), asked.get("client_secret", ""))
        if client != (CLIENT_ID, CLIENT_SECRET):
            return _refused("invalid_client")
        match asked.get("grant_type"):
            case "client_credentials":
                scopes = asked.get("scope")
                return self._token(None if scopes is None else frozenset(scopes.split()), custom=True)
            case "refresh_token":
                return self._renewed(asked.get("refresh_token", ""))
            case _:
                return _refused("unsupported_grant_type")

    def _renewed(self, used: str) -> Response:
        now = self._clock.now()
        if self._refresh.get(used, -math.inf) <= now:
            return _refused("invalid_grant")
        self._refresh[used] = min(self._refresh[used], now + GRACE)
        following = f"{REFRESH_TOKEN}-{len(self._refresh) + 1}"
        self._refresh[following] = math.inf
        return self._token(None, custom=False, refresh_token=following)

    def _token(self, scopes: frozenset[str] | None, *, custom: bool, **more: str) -> Response:
        token = f"{ACCESS_TOKEN}-{len(self._granted)}"
        self._granted[token] = _Granted(self._clock.now() + TOKEN_SECONDS, scopes, custom)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, **more})

    def refusal(self, request: Request, resource: str) -> Response | None:
        """The answer to who may not ask, None to who may. `resource` is the path below the API's."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        granted = self._granted.get(token) if scheme.lower() == "bearer" else None
        if granted is None:
            return denied(401, "Unauthorized", "AuthenticationUnsuccessful")
        if granted.until <= self._clock.now():
            return denied(401, "Unauthorized", "TokenExpired: token expired")
        tenant = request.headers.get("xero-tenant-id", "")
        if resource and tenant != self._tenant and (tenant or not granted.custom):
            return denied(403, "Forbidden", "AuthenticationUnsuccessful")
        if resource and granted.scopes is not None and not _opened(granted.scopes, request.method, resource):
            lacking = {"www-authenticate": 'insufficient_scope: Bearer error="insufficient_scope"'}
            return denied(401, "Unauthorized", "AuthorizationUnsuccessful", lacking)
        return None


def _opened(scopes: frozenset[str], method: str, resource: str) -> bool:
    for scope, opened in READS_TOO.items():
        if any(resource == one or resource.startswith(f"{one}/") for one in opened):
            return scope in scopes or (method == "GET" and f"{scope}.read" in scopes)
    return False


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return unquote_plus(name), unquote_plus(secret)


def _refused(code: str) -> Response:
    return JSONResponse({"error": code}, 400)
