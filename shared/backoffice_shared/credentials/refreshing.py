"""Refresh tokens that change with each use (RFC 6749 §6, RFC 9700 §4.14): Xero's, QuickBooks'.

Whoever uses such a token gets an access token and the next refresh token, and the vendor takes a second use of the same
one for a theft. So one replica at a time exchanges it, and what it got is kept before it is used:

    1  say in the secret itself who exchanges, by compare-and-set: the others wait for the outcome
    2  exchange
    3  put the new refresh token, the access token and its end into the secret, by compare-and-set
    4  use the access token; all replicas do, until it is nearly over

A replica that dies before 3 leaves its turn to the next one after half a minute, with the old refresh token: both
vendors still take that one for a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.oauth import TokenAnswer
from backoffice_shared.credentials.source import Credential, CredentialSource, MissingCredential, Replaceable
from backoffice_shared.errors import BackendUnavailable, BackofficeError, Conflict

log = logging.getLogger("backoffice.credentials")

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a field
ACCESS_TOKEN = "access_token"  # noqa: S105
EXPIRES_AT = "access_token_expires_at"
"""Seconds since 1970, as all replicas count them."""
TURN = "exchanging_until"

AHEAD = 0.2  # of its life: an access token is replaced when so much of it is left
TURN_LASTS = 30.0  # seconds; an exchange is given up after half of it
LOOK_AGAIN = 0.6  # seconds; a source that was asked in vain answers from memory for half a second
PATIENCE = 40.0


class RefreshTokens:
    """Wraps a source for one vendor: where its secret has a `refresh_token`, adds the `access_token` that it buys."""

    def __init__(
        self,
        inner: Replaceable,
        exchange: Callable[[Credential], Awaitable[TokenAnswer]],
        *,
        turn_lasts: float = TURN_LASTS,
        clock: Clock = SYSTEM_CLOCK,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._inner = inner
        self._exchange = exchange
        self._turn_lasts = turn_lasts
        self._clock = clock
        self._wall = wall
        self._flight: asyncio.Task[Credential] | None = None
        self._unkept: tuple[Credential, Mapping[str, str]] | None = None
        """The secret that was exchanged, and what has to be kept in its place before anything else is done."""

    async def read(self, vendor: str) -> Credential:
        secret = await self._inner.read(vendor)
        if REFRESH_TOKEN not in secret:
            return secret
        return _token(secret) if self._is_good(secret) else await self._renew(vendor, "")

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        secret = await self._inner.read(vendor)
        if REFRESH_TOKEN not in secret:
            return await self._inner.refresh(vendor, rejected=rejected)
        return await self._renew(vendor, rejected)

    async def _renew(self, vendor: str, rejected: str) -> Credential:
        """Once for all who wait. Nobody who leaves takes it along: a token that was bought has to be kept."""
        if self._flight is None or self._flight.done():
            renewing = self._renewed(vendor, rejected)
            self._flight = asyncio.create_task(renewing, context=Context())
            self._flight.add_done_callback(_noticed)
        return await asyncio.shield(self._flight)

    async def _renewed(self, vendor: str, rejected: str) -> Credential:
        """The token that another replica has bought by now, or one that we buy."""
        give_up = self._clock.now() + PATIENCE
        secret = await self._inner.read(vendor)
        while self._clock.now() < give_up:
            secret = await self._inner.refresh(vendor, rejected=secret.version)
            try:
                if self._unkept is not None:
                    secret = await self._kept(vendor, secret)
                if self._is_good(secret) and _token(secret).version != rejected:
                    return _token(secret)
                if not self._is_anothers_turn(secret):
                    return await self._bought(vendor, await self._our_turn(vendor, secret))
            except Conflict:
                pass  # somebody was faster
            await self._clock.sleep(LOOK_AGAIN)
        raise BackendUnavailable("", f"another replica has been renewing the token of {vendor} for too long")

    async def _our_turn(self, vendor: str, secret: Credential) -> Credential:
        if REFRESH_TOKEN not in secret:
            raise MissingCredential("", f"the refresh token of {vendor} was taken away")
        return await self._inner.replace(vendor, secret, {**secret, TURN: str(self._wall() + self._turn_lasts)})

    async def _bought(self, vendor: str, secret: Credential) -> Credential:
        try:
            async with asyncio.timeout(self._turn_lasts / 2):
                answer = await self._exchange(secret)
        except TimeoutError:
            await self._leave(vendor, secret)
            raise BackendUnavailable("", f"the token of {vendor} was not renewed in time") from None
        except BackofficeError:
            await self._leave(vendor, secret)
            raise
        bought = {
            REFRESH_TOKEN: answer.refresh_token or secret[REFRESH_TOKEN],
            ACCESS_TOKEN: answer.access_token,
            EXPIRES_AT: str(self._wall() + answer.expires_in * (1 - AHEAD)),
        }
        self._unkept = secret, bought
        return _token(await self._kept(vendor, secret))

    async def _kept(self, vendor: str, newest: Credential) -> Credential:
        """The secret with what was bought. As long as that cannot be kept, it is not used either."""
        assert self._unkept is not None  # noqa: S101 - only called when there is something
        exchanged, bought = self._unkept
        if newest.get(REFRESH_TOKEN) == exchanged[REFRESH_TOKEN]:
            newest = await self._inner.replace(vendor, newest, {**_without_turn(newest), **bought})
        elif newest.get(REFRESH_TOKEN) != bought[REFRESH_TOKEN]:
            log.warning("the refresh token of %s was replaced by somebody else: theirs is used from now on", vendor)
        self._unkept = None
        return newest

    async def _leave(self, vendor: str, secret: Credential) -> None:
        try:
            await self._inner.replace(vendor, secret, _without_turn(secret))
        except BackofficeError as error:
            log.warning("the next exchange of the token of %s is in half a minute: %s", vendor, error)

    def _is_good(self, secret: Credential) -> bool:
        return ACCESS_TOKEN in secret and self._wall() < _seconds(secret.get(EXPIRES_AT))

    def _is_anothers_turn(self, secret: Credential) -> bool:
        return self._wall() < _seconds(secret.get(TURN))


class ByWhatThereIs:
    """One of two ways to an access token, as the secret has a `refresh_token` or none."""

    def __init__(self, inner: CredentialSource, alone: CredentialSource, renewed: CredentialSource) -> None:
        self._inner = inner
        self._alone = alone
        self._renewed = renewed

    async def read(self, vendor: str) -> Credential:
        return await (await self._way(vendor)).read(vendor)

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        return await (await self._way(vendor)).refresh(vendor, rejected=rejected)

    async def _way(self, vendor: str) -> CredentialSource:
        return self._renewed if REFRESH_TOKEN in await self._inner.read(vendor) else self._alone


def _token(secret: Credential) -> Credential:
    """The secret, whose version tells one access token from the next, whatever else changes in it."""
    return secret.with_fields(f"token-{hashlib.sha256(secret[ACCESS_TOKEN].encode()).hexdigest()[:12]}")


def _without_turn(secret: Credential) -> dict[str, str]:
    return {name: value for name, value in secret.items() if name != TURN}


def _seconds(value: str | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _noticed(flight: asyncio.Task[Credential]) -> None:
    """If all who waited have left, nobody needs to know."""
    if not flight.cancelled():
        flight.exception()
