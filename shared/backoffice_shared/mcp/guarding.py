"""Puts the guard before a server: who is let in, and what they are told when they are not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp

from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.auth.guard import Guard, Resource
from backoffice_shared.mcp.auth.opened import verifier_of
from backoffice_shared.mcp.auth.verifier import Verifier
from backoffice_shared.mcp.serving import PATH, Wrap
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import Principal
from backoffice_shared.settings import Settings
from backoffice_shared.telemetry.metrics import DENIED

log = logging.getLogger("backoffice.auth")


def guard_of(
    settings: Settings, access: Access, lookup: Lookup, *, server: str, title: str, scopes: Callable[[], Iterable[str]]
) -> Wrap | None:
    """The guard that the settings ask for; None when they accept no credential.

    Raises:
        InvalidInput: the settings contradict themselves.
    """
    verifier = verifier_of(settings, access, server)
    if verifier is None:
        return None
    issuers = () if settings.oauth_issuer is None else (settings.oauth_issuer,)
    resource = Resource(settings.public_url, issuers, scopes, title)
    return lambda app: guarded(app, verifier, resource, access, lookup, server)


def guarded(
    app: ASGIApp, verifier: Verifier, resource: Resource, access: Access, lookup: Lookup, server: str
) -> ASGIApp:
    def missing(who: Principal, name: str) -> frozenset[str]:
        tool = lookup(name)
        return frozenset() if tool is None else access.decide(access.identified(who), tool).missing

    def refused(reason: str, name: str) -> None:
        DENIED.labels(server, reason).inc()
        log.warning("refused at the door (%s): %s", reason, name if lookup(name) is not None else "no tool of ours")

    return Guard(app, path=PATH, verifier=verifier, resource=resource, missing=missing, refused=refused)
