"""Who may ask the sandbox: access tokens for client credentials and for signed assertions, good for two hours.

Sources:
https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_client_credentials_flow.htm
https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_customer.backends.salesforce.sandbox.ids import record_id
from backoffice_customer.backends.salesforce.sandbox.records import ME
from backoffice_shared.clock import Clock

CLIENT_ID, CLIENT_SECRET = "backoffice_sandbox", "secret-sandbox-salesforce"
TOKEN = "token-sandbox-salesforce"  # noqa: S105 - one that never expires
USERNAME = "ines@northwind.example"

TOKEN_SECONDS = 7_200
_ANYWHERE = ("https://login.salesforce.com", "https://test.salesforce.com")
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ORG = "00DHs0000000001EAA"


class Grants:
    """`certificate` is the public key, in PEM, that assertions are signed for; without one, there is no such grant."""

    def __init__(self, clock: Clock, site: str, certificate: str | None) -> None:
        self._clock = clock
        self._site = site
        self._certificate = certificate
        self._granted: dict[str, float] = {}

    async def grant(self, request: Request) -> Response:
        form = {**dict(parse_qsl((await request.body()).decode("utf-8", "replace"))), **_basic(request)}
        here = str(request.base_url).rstrip("/")
        match form.get("grant_type"):
            case "client_credentials":
                refusal = self._client_refused(form)
            case grant if grant == _JWT_BEARER:
                refusal = self._assertion_refused(form.get("assertion", ""), here)
            case _:
                refusal = ("unsupported_grant_type", "grant type not supported")
        if refusal is not None:
            return JSONResponse({"error": refusal[0], "error_description": refusal[1]}, 400)
        token = f"{TOKEN}-{len(self._granted) + 1}"
        self._granted[token] = self._clock.now() + TOKEN_SECONDS
        return JSONResponse(
            {
                "access_token": token,
                "signature": "c2lnbmF0dXJl",
                "scope": "api",
                "instance_url": self._site,
                "id": f"{self._site}/id/{_ORG}/{record_id('User', ME)}",
                "token_type": "Bearer",
                "issued_at": "1764000000000",
            }
        )

    def may_ask(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        known = token == TOKEN or self._granted.get(token, 0.0) > self._clock.now()
        return scheme.lower() in ("bearer", "oauth") and known

    def _client_refused(self, form: dict[str, str]) -> tuple[str, str] | None:
        if form.get("client_id") != CLIENT_ID:
            return ("invalid_client_id", "client identifier invalid")
        return None if form.get("client_secret") == CLIENT_SECRET else ("invalid_client", "invalid client credentials")

    def _assertion_refused(self, assertion: str, here: str) -> tuple[str, str] | None:
        if self._certificate is None:
            return ("invalid_client", "invalid client credentials")
        audience = [self._site, here, *_ANYWHERE]
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                self._certificate,
                ["RS256"],
                audience=audience,
                issuer=CLIENT_ID,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
        except jwt.InvalidAudienceError:
            return ("invalid_grant", "audience is invalid")
        except jwt.ExpiredSignatureError:
            return ("invalid_grant", "expired authorization code")
        except jwt.PyJWTError:
            return ("invalid_grant", "invalid assertion")
        return None if claims["sub"] == USERNAME else ("invalid_grant", "user hasn't approved this consumer")


def _basic(request: Request) -> dict[str, str]:
    """The client's id and secret, where they come in a header (RFC 6749 §2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return {}
    return {"client_id": client, "client_secret": secret}
