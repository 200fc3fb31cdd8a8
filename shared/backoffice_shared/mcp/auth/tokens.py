"""Access tokens of an OAuth 2.1 authorization server: JWTs (RFC 9068), checked against the server's published keys.

Issuer, audience, expiry and algorithm are always checked. A token of another server's audience is refused: what was
issued for somebody else is not to be used here (RFC 8707). So is one that only its holder's key or certificate makes
good (RFC 9449 §7.2, RFC 8705 §3): sent like this, anybody could have found it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
from cachetools import LRUCache

from backoffice_shared.errors import BackofficeError, InvalidInput
from backoffice_shared.mcp.auth.claims import moment, scopes, text
from backoffice_shared.mcp.auth.jwks import IssuerKeys
from backoffice_shared.mcp.auth.verifier import LONGEST, header_of
from backoffice_shared.principal import Principal

LEEWAY = 30  # seconds that the clocks of two machines may differ
REMEMBERED = 60.0  # seconds for which a token that was good is taken as good, never past its expiry
ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""The last two are the standard's; many servers still write `JWT`, or nothing."""


class AccessTokens:
    """Raises InvalidInput when it could not tell whom a token is for: without an audience nothing is accepted."""

    def __init__(
        self,
        keys: IssuerKeys,
        *,
        issuer: str,
        audience: str,
        algorithms: Sequence[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not issuer or not audience:
            raise InvalidInput(
                "", "tokens cannot be accepted without knowing their issuer and the audience they must name"
            )
        if not algorithms or not ASYMMETRIC.issuperset(algorithms):
            raise InvalidInput("", f"algorithms of tokens must be among {', '.join(sorted(ASYMMETRIC))}")
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._now = now
        self._good: LRUCache[bytes, tuple[Principal, float]] = LRUCache(10_000)

    async def verify(self, credential: str) -> Principal | None:
        if len(credential) > LONGEST:
            return None
        now = self._now().timestamp()
        digest = hashlib.sha256(credential.encode("utf-8", "replace")).digest()
        known = self._good.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        try:
            claims = await self._claims(credential)
            who, until = _principal(claims), _ends(claims, now)
        except (jwt.PyJWTError, BackofficeError, ValueError):
            return None
        self._good[digest] = (who, min(now + REMEMBERED, until))
        return who

    async def ready(self) -> bool:
        """Whether there is something to check tokens against."""
        return await self._keys.known()

    async def _claims(self, credential: str) -> dict[str, Any]:
        header = header_of(credential)
        algorithm, kind = text(header, "alg"), text(header, "typ")
        if algorithm not in self._algorithms or kind.lower() not in TYPES or "crit" in header:
            raise ValueError("this is no access token that could be checked")
        key = await self._keys.find(text(header, "kid"), algorithm)
        if key is None:
            raise ValueError("the issuer publishes no such key")
        return jwt.decode(
            credential,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            options={
                "require": ["exp", "iss", "aud", "sub"],
                "enforce_minimum_key_length": True,
                "verify_exp": False,  # in _ends, on the clock that we are given
                "verify_nbf": False,
                "verify_iat": False,
            },
        )


def _ends(claims: dict[str, Any], now: float) -> float:
    """When the token expires.

    Raises:
        ValueError: it has, or is of the future.
    """
    until = moment(claims, "exp")
    begins = max(moment(claims, "nbf") or 0.0, moment(claims, "iat") or 0.0)
    if until is None or not begins - LEEWAY <= now < until + LEEWAY:
        raise ValueError("the token is of another time")
    return until


def _principal(claims: dict[str, Any]) -> Principal:
    subject = text(claims, "sub")
    if not subject:
        raise ValueError("the token names nobody")
    if "cnf" in claims:
        raise ValueError("the token is bound to something that was not shown")
    granted = scopes(claims, "scope", "scp") or frozenset()
    client = text(claims, "client_id", "azp")
    return Principal(subject, "oauth", client=client, issuer=text(claims, "iss"), scopes=granted)
