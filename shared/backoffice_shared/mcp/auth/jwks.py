"""The keys that an authorization server publishes (RFC 7517), found through its metadata (RFC 8414) when need be.

They are kept for ten minutes and fetched anew before that is over, and for a day when the server cannot be asked. A key
id that we do not know is looked up once, and then not again for half a minute, so that made-up tokens do not become
requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable, BackofficeError, InvalidInput
from backoffice_shared.http.network import Network
from backoffice_shared.jsonvalues import arr, obj, parse

log = logging.getLogger("backoffice.auth")

FRESH_FOR = 600.0
AHEAD = 480.0  # from this age on they are fetched anew, while nobody waits
STALE_FOR = 86_400.0
LOOK_AGAIN = 30.0
FIRST_AGAIN = 5.0  # as long as no key was ever had, so that a short fault at start does not last
TIMEOUT = 5.0
LARGEST = 256 * 1024  # bytes
_FAMILY = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_TITLE = "The authorization server"


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """`family` is the JWK's `kty`; `algorithm` the only one it is for, when the issuer says so."""

    key: Any
    family: str
    algorithm: str

    def serves(self, algorithm: str) -> bool:
        return self.family == _FAMILY.get(algorithm[:2]) and self.algorithm in ("", algorithm)


class IssuerKeys:
    """`transport` is opened for each fetch: there is one in minutes, and no connection is worth keeping for it.

    Raises InvalidInput when the keys would come over a connection that anybody on the way could change.
    """

    def __init__(
        self,
        issuer: str,
        transport: Callable[[], httpx.AsyncBaseTransport],
        *,
        jwks_url: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not _is_safe(asked := jwks_url or issuer):
            raise InvalidInput("", f"the keys of tokens must come over https, not from {asked}")
        self._issuer = issuer
        self._transport = transport
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: dict[str, PublishedKey] = {}
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._failing = False
        self._asking: asyncio.Task[None] | None = None

    async def find(self, kid: str, algorithm: str) -> Any:
        """The public key with this id (empty: the one without), if it is one for this algorithm; else None.

        Raises:
            BackendUnavailable: the issuer cannot be asked, and nothing from before can stand in.
        """
        now = self._clock.now()
        age, unknown = now - self._fetched_at, kid not in self._keys
        if unknown or age > AHEAD:
            self._look(now)
        # While the issuer is known to be down, what we have is used at once.
        if self._asking is not None and (unknown or age > (STALE_FOR if self._failing else FRESH_FOR)):
            await asyncio.shield(self._asking)
        if self._clock.now() - self._fetched_at > STALE_FOR:
            raise BackendUnavailable(_TITLE, "does not publish its keys")
        found = self._keys.get(kid)
        return found.key if found is not None and found.serves(algorithm) else None

    async def known(self) -> bool:
        """Whether tokens can be checked. Asks by itself when no key was ever had: no token comes to who is not ready."""
        if self._fetched_at == float("-inf"):
            self._look(self._clock.now())
            if self._asking is not None:
                await asyncio.shield(self._asking)
        return self._clock.now() - self._fetched_at <= STALE_FOR

    def _look(self, now: float) -> None:
        """Ask, unless that is under way, or was done a moment ago."""
        again = LOOK_AGAIN if self._keys else FIRST_AGAIN
        if self._asking is None and now - self._asked_at >= again:
            self._asked_at = now
            self._asking = asyncio.create_task(self._fetch(), name="jwks")
            self._asking.add_done_callback(self._asked)

    def _asked(self, _task: asyncio.Task[None]) -> None:
        self._asking = None

    async def _fetch(self) -> None:
        network = Network(self._transport(), _TITLE, largest=LARGEST)
        try:
            self._keys = _keys(await _get(network, self._jwks_url or await self._discover(network)))
        except (httpx.HTTPError, httpx.InvalidURL, BackofficeError, ValueError, RecursionError) as error:
            self._failing = True
            why = error if isinstance(error, BackofficeError) else type(error).__name__
            log.warning("the keys of %s cannot be fetched: %s", self._issuer, why)
            return
        finally:
            await network.aclose()
        self._failing, self._fetched_at = False, self._clock.now()
        if not self._keys:
            log.warning("%s publishes no key that could be used", self._issuer)

    async def _discover(self, network: Network) -> str:
        """Where the keys are, as the issuer's own metadata says."""
        for url in _metadata_urls(self._issuer):
            try:
                metadata = await _get(network, url)
            except (httpx.HTTPError, BackofficeError, ValueError, RecursionError):
                continue
            if metadata.get("issuer") == self._issuer and _is_safe(found := str(metadata.get("jwks_uri", ""))):
                return found
        raise BackendUnavailable(_TITLE, "has no metadata, under the issuer's exact name, that says where its keys are")


async def _get(network: Network, url: str) -> dict[str, Any]:
    request = httpx.Request("GET", url, headers={"Accept": "application/json"})
    request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
    response = await network.handle_async_request(request)
    if response.status_code != 200:
        raise BackendUnavailable(_TITLE, f"answered {response.status_code}")
    return obj(parse(response.content))


def _metadata_urls(issuer: str) -> list[str]:
    """OAuth's well-known place first (RFC 8414 §3.1), then OpenID Connect's (in either reading of it)."""
    parts = urlsplit(issuer)
    origin, place = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    urls = (
        f"{origin}/.well-known/oauth-authorization-server{place}",
        f"{origin}/.well-known/openid-configuration{place}",
        f"{origin}{place}/.well-known/openid-configuration",
    )
    return list(dict.fromkeys(urls))


def _keys(published: dict[str, Any]) -> dict[str, PublishedKey]:
    """By key id. Left out are keys for encryption, kinds that we do not know, and secrets published by mistake.

    Raises:
        ValueError: this is no set of keys. An empty one is: the issuer has taken all of them back.
    """
    if not isinstance(published.get("keys"), list):
        raise ValueError("this is no set of keys")
    found: dict[str, PublishedKey] = {}
    for wire in map(obj, arr(published["keys"])):
        kid, algorithm = wire.get("kid", ""), wire.get("alg", "")
        if wire.get("use", "sig") != "sig" or "d" in wire or not isinstance(kid, str) or not isinstance(algorithm, str):
            continue
        if (family := wire.get("kty")) not in ("RSA", "EC", "OKP"):
            continue
        try:
            found[kid] = PublishedKey(jwt.PyJWK(wire).key, family, algorithm)
        except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def _is_safe(url: str) -> bool:
    """Keys decide who is let in: they come over TLS, or from this very machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in ("127.0.0.1", "localhost", "::1")
    return parts.scheme == "https" and bool(parts.hostname)
