"""Puts the guard before a server: who is let in, and what they are told when they are not."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.auth.guard import OPEN, Guard, Resource
from backoffice_shared.mcp.auth.opened import verifier_of
from backoffice_shared.mcp.auth.verifier import Verifier
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.serving import PATH, Wrap
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import Principal
from backoffice_shared.settings import Settings
from backoffice_shared.telemetry.metrics import DENIED

log = logging.getLogger("backoffice.auth")


@dataclass(frozen=True, slots=True)
class Door:
    """Goes around an app. `ready`: it can tell callers from strangers."""

    around: Wrap
    ready: Callable[[], Awaitable[bool]]

    def __call__(self, app: ASGIApp) -> ASGIApp:
        return self.around(app)


def guard_of(
    settings: Settings,
    on: Foundation,
    lookup: Lookup,
    *,
    server: str,
    title: str,
    scopes: Callable[[], Iterable[str]],
    hooks: Iterable[str] = (),
) -> Door | None:
    """The guard that the settings ask for; None when they accept no credential. `hooks` are paths where vendors tell, and
    prove who they are in their own way.

    Raises:
        InvalidInput: the settings contradict themselves.
    """
    verifier = verifier_of(settings, on.access, server)
    if verifier is None:
        return None
    issuers = () if settings.oauth_issuer is None else (settings.oauth_issuer,)
    resource = Resource(_checked(settings.public_url), issuers, scopes, title)
    return Door(lambda app: guarded(app, verifier, resource, on, lookup, server, OPEN | set(hooks)), verifier.ready)


def guarded(
    app: ASGIApp,
    verifier: Verifier,
    resource: Resource,
    on: Foundation,
    lookup: Lookup,
    server: str,
    open_paths: frozenset[str] = OPEN,
) -> ASGIApp:
    def missing(who: Principal, name: str) -> frozenset[str]:
        tool = lookup(name)
        return frozenset() if tool is None else on.access.decide(on.access.identified(who), tool).missing

    def refused(reason: str, name: str, who: Principal | None) -> None:
        known = lookup(name) is not None
        DENIED.labels(server, reason).inc()
        log.warning("refused at the door (%s): %s", reason, name if known else "no tool of ours")
        if who is not None and known:
            on.audit.record(_turned_away(server, name, on.access.identified(who), reason))

    return Guard(
        app,
        path=PATH,
        verifier=verifier,
        resource=resource,
        missing=missing,
        refused=refused,
        open_paths=open_paths,
    )


def _turned_away(server: str, tool: str, who: Principal, reason: str) -> dict[str, object]:
    """The record of a call that was not read any further."""
    return {
        "event": "tool.call",
        "actor": who.actor,
        "server": server,
        "tool": tool,
        "args": {},
        "decision": "deny",
        "policy": reason,
        "outcome": "error",
        "error_code": reason,
    }


def _checked(url: str | None) -> str | None:
    """Clients are sent there, and it becomes part of a header.

    Raises:
        InvalidInput: it is no URL for that.
    """
    if url is not None and not _URL.fullmatch(url):
        raise InvalidInput("", f"BACKOFFICE_PUBLIC_URL: {url!r} is not an http(s) URL without query and fragment")
    return url


_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[!$->@-\[\]-~]*)?")
