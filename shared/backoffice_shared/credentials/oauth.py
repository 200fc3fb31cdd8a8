"""OAuth 2.0 tokens that are bought without anybody's consent: by client credentials (RFC 6749 §4.4), or by an assertion
that a private key signs (RFC 7523 §2.1). A token is fetched once, shared, and fetched anew before it expires."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel, Field

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.source import Credential, CredentialSource, MissingCredential


class TokenAnswer(BaseModel):
    """The token endpoint's answer, RFC 6749 §5.1. `expires_in` is in seconds.

    `refresh_token` takes the place of the one that was used, when there is one.
    """

    access_token: str = Field(min_length=1, repr=False)
    expires_in: float = Field(default=1800, gt=0)
    refresh_token: str | None = Field(default=None, min_length=1, repr=False)


Exchange = Callable[["Credential"], Awaitable[TokenAnswer]]


@dataclass(frozen=True, slots=True)
class _Held:
    token: Credential
    granted_from: str
    refresh_at: float


class ClientCredentials:
    """Wraps another source: where that one has `client_id` and `client_secret`, adds the `access_token` they buy.

    With a `private_key` in place of the secret, the `assertion` exchange buys it. One exchange runs at a time; a credential that already holds an `access_token` passes unchanged.
    """

    def __init__(
        self,
        inner: CredentialSource,
        exchange: Exchange,
        assertion: Exchange | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._inner = inner
        self._exchanges = {"client_secret": exchange, **({} if assertion is None else {"private_key": assertion})}
        self._clock = clock
        self._lock = asyncio.Lock()
        self._held: _Held | None = None
        self._granted = 0

    async def read(self, vendor: str) -> Credential:
        return await self._token(vendor, await self._inner.read(vendor), rejected=None)

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        if self._held is None:
            return await self._inner.refresh(vendor, rejected=rejected)
        return await self._token(vendor, await self._inner.read(vendor), rejected=rejected)

    async def _token(self, vendor: str, secret: Credential, *, rejected: str | None) -> Credential:
        if "access_token" in secret or self._proof(secret) is None:
            return secret
        if (held := self._usable(secret, rejected)) is not None:
            return held
        async with self._lock:
            if (held := self._usable(secret, rejected)) is not None:
                return held
            secret, answer = await self._bought(vendor, secret)
            self._granted += 1
            token = secret.with_fields(f"{secret.version}/token-{self._granted}", access_token=answer.access_token)
            # At four fifths of its life, so that no request leaves with a token about to expire.
            self._held = _Held(token, secret.version, self._clock.now() + 0.8 * answer.expires_in)
            return token

    async def _bought(self, vendor: str, secret: Credential) -> tuple[Credential, TokenAnswer]:
        try:
            return secret, await self._exchange(secret)
        except MissingCredential:
            # The vendor refused it: it may have been rotated since it was read.
            renewed = await self._inner.refresh(vendor, rejected=secret.version)
            if renewed.version == secret.version or self._proof(renewed) is None:
                raise
            return renewed, await self._exchange(renewed)

    def _proof(self, secret: Credential) -> Exchange | None:
        return next((exchange for field, exchange in self._exchanges.items() if field in secret), None)

    async def _exchange(self, secret: Credential) -> TokenAnswer:
        exchange = self._proof(secret)
        assert exchange is not None  # noqa: S101 - asked before
        return await exchange(secret)

    def _usable(self, secret: Credential, rejected: str | None) -> Credential | None:
        held = self._held
        if held is None or held.granted_from != secret.version or self._clock.now() >= held.refresh_at:
            return None
        return None if held.token.version == rejected else held.token
