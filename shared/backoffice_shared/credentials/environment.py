"""Secrets from the environment: `BACKOFFICE_<VENDOR>_<FIELD>`. They change only with a restart."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from backoffice_shared.credentials.source import Credential
from backoffice_shared.settings import PREFIX


class EnvironmentCredentials:
    """Reads our part of the environment, as `settings.environment()` gives it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def read(self, vendor: str) -> Credential:
        prefix = f"{vendor}_"
        fields = {
            name.removeprefix(prefix): SecretStr(value)
            for name, value in self._environment.items()
            if name.startswith(prefix)
        }
        return Credential(fields, "environment")

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:  # noqa: ARG002 - nothing newer can exist
        return await self.read(vendor)

    def where(self, vendor: str, field: str) -> str:
        return f"{PREFIX}{vendor}_{field}".upper()

    async def aclose(self) -> None:
        """Nothing is held."""
