"""The platform's word, signed and short-lived, for who is calling: a JWT (RFC 7519) with one audience.

It carries the real caller's subject, client, agent, scopes and data filter, and names the platform as the one who
acts for them (`act`, RFC 8693 §4.1). It is never a caller's own token passed on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from cachetools import TTLCache
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.auth.claims import moment, scopes, text
from backoffice_shared.mcp.auth.verifier import ASSERTION_TYPE, header_of
from backoffice_shared.principal import PLATFORM, Principal

LIFE = 60  # seconds
LEEWAY = 5  # seconds that the clocks of two machines may differ
_REUSED_FOR = LIFE / 2


def make_key() -> str:
    """A new private key, in PEM."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Signer:
    """Signs who calls. One assertion is used again for half of its life: signing costs more than anything around it."""

    def __init__(self, private_key: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key = _private(private_key)
        self._now = now
        self._signed: TTLCache[tuple[Principal, str], str] = TTLCache(
            10_000, ttl=_REUSED_FOR, timer=lambda: now().timestamp()
        )

    @property
    def public_key(self) -> str:
        """What those must know who are to believe this, in PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def assertion(self, who: Principal, audience: str) -> str:
        """A JWT for `audience`."""
        if (known := self._signed.get((who, audience))) is None:
            known = jwt.encode(
                self._claims(who, audience), self._key, algorithm="EdDSA", headers={"typ": ASSERTION_TYPE}
            )
            self._signed[(who, audience)] = known
        return known

    def _claims(self, who: Principal, audience: str) -> dict[str, Any]:
        now = int(self._now().timestamp())
        claims: dict[str, Any] = {
            "iss": PLATFORM,
            "aud": audience,
            "sub": who.subject,
            "client_id": who.client,
            "agent": who.agent,
            "caller_iss": who.issuer,
            "caller_auth": who.auth,
            "act": {"sub": PLATFORM},
            "iat": now,
            "exp": now + LIFE,
            "jti": secrets.token_hex(8),
        }
        if who.scopes is not None:
            claims["scope"] = " ".join(sorted(who.scopes))
        if who.systems is not None:
            claims["systems"] = sorted(who.systems)
        return claims


class Assertions:
    """Believes the platform that has the private half of this key, about calls to this audience.

    Raises InvalidInput for a key that is none, and for no audience: what is for nobody would be for everybody.
    """

    def __init__(
        self, public_key: str, audience: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if not audience:
            raise InvalidInput("", "an assertion cannot be believed without knowing the audience that it must name")
        self._key = _public(public_key)
        self._audience = audience
        self._now = now
        self._verified: TTLCache[str, tuple[Principal, float]] = TTLCache(
            10_000, ttl=LIFE, timer=lambda: now().timestamp()
        )

    async def verify(self, credential: str) -> Principal | None:
        known = self._verified.get(credential)
        if known is None:
            known = self._verify(credential)
            if known is None:
                return None
            self._verified[credential] = known
        who, until = known
        return who if self._now().timestamp() < until + LEEWAY else None

    def _verify(self, credential: str) -> tuple[Principal, float] | None:
        if header_of(credential).get("typ") != ASSERTION_TYPE:
            return None
        try:
            claims = jwt.decode(
                credential,
                self._key,
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=PLATFORM,
                options={
                    "require": ["exp", "iat", "aud", "sub"],
                    "verify_exp": False,  # in _ends, on the clock that we are given
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            return _principal(claims), _ends(claims, self._now().timestamp())
        except (jwt.PyJWTError, ValueError):
            return None


def _ends(claims: Mapping[str, Any], now: float) -> float:
    """When the assertion expires.

    Raises:
        ValueError: it has, is of the future, or lives longer than one of ours.
    """
    issued, until = moment(claims, "iat"), moment(claims, "exp")
    if issued is None or until is None or until - issued > LIFE:
        raise ValueError("this is no assertion of ours")
    if not issued - LEEWAY <= now < until + LEEWAY:
        raise ValueError("the assertion is of another time")
    return until


def _principal(claims: Mapping[str, Any]) -> Principal:
    return Principal(
        subject=text(claims, "sub"),
        auth="assertion",
        client=text(claims, "client_id"),
        issuer=text(claims, "caller_iss"),
        agent=text(claims, "agent"),
        scopes=scopes(claims, "scope"),
        systems=scopes(claims, "systems"),
        via=PLATFORM,
    )


def _private(pem: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput("", "the platform's key must be an Ed25519 private key in PEM")
    return key


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("", "the trusted platform key must be an Ed25519 public key in PEM")
    return key
