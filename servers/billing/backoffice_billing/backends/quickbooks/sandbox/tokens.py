"""Tokens of Intuit's: an access token is good for an hour; each exchange gives a new refresh token, and the one before
is still taken for a day. https://blogs.intuit.com/2024/06/03/oauth-token-management-done-the-right-way/
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PATH = "/oauth2/v1/tokens/bearer"
CLIENT_ID, CLIENT_SECRET = "client-sandbox-quickbooks", "secret-sandbox-quickbooks"
ACCESS_TOKEN = "token-sandbox-quickbooks"  # noqa: S105 - a test credential of a fictional company
REFRESH_TOKEN = "refresh-sandbox-quickbooks"  # noqa: S105
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class Tokens:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._access: dict[str, datetime] = {}
        self._refresh: dict[str, datetime | None] = {REFRESH_TOKEN: None}
        """Until when one is taken; None: it is the newest."""

    def knows(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        return token == ACCESS_TOKEN or (token in self._access and self._now() < self._access[token])

    async def grant(self, request: Request) -> Response:
        if _client(request.headers.get("authorization", "")) != (CLIENT_ID, CLIENT_SECRET):
            return _refused(401, "invalid_client")
        asked = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if asked.get("grant_type") != "refresh_token":
            return _refused(400, "unsupported_grant_type")
        given = asked.get("refresh_token", "")
        if given not in self._refresh or ((until := self._refresh[given]) is not None and self._now() >= until):
            return _refused(400, "invalid_grant")
        number = len(self._access) + 1
        access, refresh = f"{ACCESS_TOKEN}-{number}", f"{REFRESH_TOKEN}-{number}"
        for known, until in self._refresh.items():
            self._refresh[known] = until or self._now() + _DAY
        self._access[access] = self._now() + _HOUR
        self._refresh[refresh] = None
        return JSONResponse(
            {
                "token_type": "bearer",
                "access_token": access,
                "expires_in": 3600,
                "refresh_token": refresh,
                "x_refresh_token_expires_in": 8_726_400,
            }
        )


def _client(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if scheme.lower() == "basic" else None


def _refused(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status)
