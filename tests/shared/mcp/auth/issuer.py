"""An authorization server, as far as a resource server sees one: metadata, keys, tokens. And tokens that it never made."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

AUDIENCE = "https://till.example/mcp"
SCOPES = "till:read till:write till:pay"
LIFE = 600

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@cache
def elliptic(name: str) -> ec.EllipticCurvePrivateKey:
    """A key of this name: the same one whenever it is asked for."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def edwards(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def classic(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def published(kid: str, key: PrivateKey, **said: Any) -> dict[str, Any]:
    """The JWK of its public half."""
    match key:
        case ec.EllipticCurvePrivateKey():
            wire = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ed25519.Ed25519PrivateKey():
            wire = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            wire = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**wire, "kid": kid, "use": "sig", **said}


class Issuer:
    """`keys` are those it publishes; `down` makes it answer 503; `asked` counts requests by path."""

    def __init__(self, url: str = "https://issuer.example") -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = [published("one", elliptic("one"))]
        self.down = False
        self.asked: Counter[str] = Counter()

    @property
    def fetches(self) -> int:
        return self.asked["/keys"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(Request(scope).url.path)(scope, receive, send)

    def _answer(self, path: str) -> Response:
        self.asked[path] += 1
        if self.down:
            return Response(status_code=503)
        if path == "/keys":
            return JSONResponse({"keys": self.keys})
        if path == "/.well-known/oauth-authorization-server":
            return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        return Response(status_code=404)

    def claims(self, *, now: float | None = None, **claims: Any) -> dict[str, Any]:
        """Those of a good token, with these in their place; None leaves one out."""
        at = int(time.time() if now is None else now)
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ada",
            "client_id": "app",
            "scope": SCOPES,
            "iat": at,
            "exp": at + LIFE,
        }
        return {name: value for name, value in {**good, **claims}.items() if value is not None}

    def token(
        self,
        *,
        key: PrivateKey | None = None,
        kid: str | None = "one",
        algorithm: str = "ES256",
        header: Mapping[str, Any] | None = None,
        now: float | None = None,
        **claims: Any,
    ) -> str:
        named: dict[str, Any] = {"typ": "at+jwt", **({} if kid is None else {"kid": kid}), **(header or {})}
        content = self.claims(now=now, **claims)
        return jwt.encode(content, key or elliptic("one"), algorithm=algorithm, headers=named)


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    signed = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{signed}.{_part(sign(signed.encode()))}"


def with_secret(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC. With a public key for the secret: https://www.rfc-editor.org/rfc/rfc8725#section-2.1"""
    return lambda text: hmac.digest(secret, text, hashlib.sha256)


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
