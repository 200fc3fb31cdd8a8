"""How callers are authenticated, as the settings want it."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.network import wire
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.auth.assertion import Assertions
from backoffice_shared.mcp.auth.jwks import IssuerKeys
from backoffice_shared.mcp.auth.keys import ApiKeys
from backoffice_shared.mcp.auth.tokens import AccessTokens
from backoffice_shared.mcp.auth.verifier import ByKind
from backoffice_shared.settings import Settings


def verifier_of(
    settings: Settings, access: Access, audience: str, *, transport: Callable[[], httpx.AsyncBaseTransport] = wire
) -> ByKind | None:
    """What the settings accept; None when they accept no credential, so that callers stay unidentified.

    `audience` is this server's name, for the platform's assertions.

    Raises:
        InvalidInput: the settings would accept what was meant for another server, or contradict themselves.
    """
    tokens = None if settings.oauth_issuer is None else _tokens(settings, settings.oauth_issuer, transport)
    agents = access.agents
    keys = None if agents is None or not agents.has_keys else ApiKeys(agents.keys)
    trusted = settings.trusted_platform_key
    assertions = None if trusted is None else Assertions(trusted, audience)
    if tokens is None and keys is None and assertions is None:
        return None
    if tokens is None:
        return ByKind(keys=keys, assertions=assertions)
    return ByKind(tokens=tokens, keys=keys, assertions=assertions, ready=tokens.ready)


def _tokens(settings: Settings, issuer: str, transport: Callable[[], httpx.AsyncBaseTransport]) -> AccessTokens:
    audience = settings.oauth_audience or settings.public_url
    if not audience:
        raise InvalidInput(
            "",
            "BACKOFFICE_OAUTH_ISSUER is set, but not which audience its tokens must name",
            hint="Set BACKOFFICE_PUBLIC_URL to the URL that clients call, or BACKOFFICE_OAUTH_AUDIENCE",
        )
    keys = IssuerKeys(issuer, transport, jwks_url=settings.oauth_jwks_url)
    return AccessTokens(keys, issuer=issuer, audience=audience, algorithms=settings.oauth_algorithms)
