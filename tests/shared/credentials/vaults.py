"""A source over a real Vault, as the settings of a server want it."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import REGISTRY
from tests.real.openbao import Vault

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.kept import FRESH_FOR, KeptCredentials
from backoffice_shared.credentials.vault_opened import open_vault
from backoffice_shared.settings import Settings


@asynccontextmanager
async def reading(
    vault: Vault, *, fresh_for: float = FRESH_FOR, clock: Clock = SYSTEM_CLOCK, **given: Any
) -> AsyncGenerator[KeptCredentials]:
    """Reads from `vault`; `given` are settings, which say how to log in."""
    common: dict[str, Any] = {"vault_addr": vault.server.url, "vault_namespace": vault.namespace}
    settings = Settings(credentials="vault", **{**common, **given})
    source = open_vault(settings, str(settings.vault_addr), fresh_for=fresh_for, clock=clock)
    try:
        yield source
    finally:
        await source.aclose()


class Logins:
    """How many logins there were since this was made, and how many failed."""

    def __init__(self) -> None:
        self._before = _counted("mcp_vault_logins_total"), _counted("mcp_vault_login_failures_total")

    @property
    def made(self) -> int:
        return _counted("mcp_vault_logins_total") - self._before[0]

    @property
    def failed(self) -> int:
        return _counted("mcp_vault_login_failures_total") - self._before[1]


def say(measured: str) -> None:
    """What was measured, for whoever runs the tests with `-s`."""
    sys.stdout.write(f"\n{measured}\n")


def _counted(metric: str) -> int:
    return round(REGISTRY.get_sample_value(metric) or 0)
