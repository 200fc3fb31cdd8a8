"""Who calls. It travels with the task, from the request down to the backend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

AuthKind = Literal["none", "oauth", "api_key", "assertion"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has been identified.

    `subject` and `client` are the token's `sub` and `client_id`, `issuer` who vouches for them. `agent` is the entry of
    agents.yaml that applies. `scopes` are those granted by the credential, and by the agent's entry; None means that
    nothing sets a bound.
    `systems` are the backends whose data this principal may see, whole ("zendesk") or in part ("confluence/SUP", one
    space of it); None means all. `via` is the service that passed
    the call on, when one did.
    """

    subject: str
    auth: AuthKind
    client: str = ""
    issuer: str = ""
    agent: str = ""
    scopes: frozenset[str] | None = None
    systems: frozenset[str] | None = None
    via: str = ""

    @property
    def is_platform(self) -> bool:
        return self.auth == "assertion" and self.subject == PLATFORM and not self.issuer and not self.client

    @property
    def key(self) -> str:
        """The same for the same principal on every replica, and for no other: for limits, caches and keys."""
        return _key(self.issuer, self.subject, self.client, self.agent)

    @property
    def actor(self) -> dict[str, str | None]:
        """As the audit names them."""
        return {
            "sub": self.subject,
            "agent": self.agent or None,
            "client_id": self.client or None,
            "auth": self.auth,
            "via": self.via or None,
        }

    def holds(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes

    def sees(self, backend: str) -> bool:
        """May they see this backend's data, or some of it?"""
        return self.systems is None or any(system.partition("/")[0] == backend for system in self.systems)

    def parts(self, backend: str) -> frozenset[str] | None:
        """The parts of this backend that they may see, by the adapter's names for them; None means all."""
        if self.systems is None or backend in self.systems:
            return None
        return frozenset(part for name, _, part in (s.partition("/") for s in self.systems) if name == backend)


@lru_cache(maxsize=10_000)
def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


LOCAL = Principal("local", "none")
"""Whoever started this process, or reaches it on loopback: there is nobody else to ask."""

PLATFORM = "backoffice-platform"
"""The subject of the platform's own assertions: it may see every tool, to list them, and call none."""

_principal: ContextVar[Principal] = ContextVar("principal", default=LOCAL)


def principal() -> Principal:
    """Who makes the current call."""
    return _principal.get()


@contextmanager
def acting(who: Principal) -> Generator[None]:
    token = _principal.set(who)
    try:
        yield
    finally:
        _principal.reset(token)
