"""A credential becomes a principal, or it does not. Nothing in between, and no second way when the first refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import jwt

from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.auth.keys import PREFIX
from backoffice_shared.principal import Principal

LONGEST = 8_192  # characters of a credential
ASSERTION_TYPE = "backoffice-assertion+jwt"


class Verifier(Protocol):
    async def verify(self, credential: str) -> Principal | None:
        """Whom `credential` stands for; None when it is not good. It never raises, and never says why to a caller."""
        ...


async def _always() -> bool:
    return True


class ByKind:
    """The one verifier that a credential is for, by its shape. What no verifier is configured for is refused.

    `ready` tells whether they have what they need to verify anything.
    """

    def __init__(
        self,
        *,
        tokens: Verifier | None = None,
        keys: Verifier | None = None,
        assertions: Verifier | None = None,
        ready: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        self.ready = ready
        self._tokens = tokens
        self._keys = keys
        self._assertions = assertions

    async def verify(self, credential: str) -> Principal | None:
        if len(credential) > LONGEST or (verifier := self._for(credential)) is None:
            return None
        return await verifier.verify(credential)

    def _for(self, credential: str) -> Verifier | None:
        if credential.startswith(PREFIX):
            return self._keys
        return self._assertions if header_of(credential).get("typ") == ASSERTION_TYPE else self._tokens


def header_of(token: str) -> Mapping[str, Any]:
    """The header that a JWT claims to have; empty when it is none."""
    try:
        return obj(jwt.get_unverified_header(token[:LONGEST]))
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return {}
