"""Secrets from mounted files, `<directory>/<vendor>/<field>`: Kubernetes Secrets, Vault Agent, the CSI driver.

A file that changes is read anew with the next request, so a rotated secret needs no restart.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from backoffice_shared.credentials.source import Credential, MissingCredential


class FileCredentials:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[str, Credential]] = {}
        self._reread = 0

    async def read(self, vendor: str) -> Credential:
        folder = self._directory / vendor
        try:
            # Kubernetes swaps a symbolic link when a Secret changes, so the modification time of the target tells.
            files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
            version = "-".join(f"{path.name}@{path.stat().st_mtime_ns}" for path in files)
            known = self._read.get(vendor)
            if known is None or known[0] != version:
                fields = {path.name: SecretStr(path.read_text().rstrip("\r\n")) for path in files}
                self._read[vendor] = known = (version, Credential(fields, version))
        except FileNotFoundError:
            return Credential({}, "none")
        except (OSError, UnicodeDecodeError) as exc:
            if vendor in self._read:
                return self._read[vendor][1]  # what was read before may still be good; the vendor will say
            raise MissingCredential("", f"the secrets in {folder} cannot be read ({type(exc).__name__})") from exc
        return known[1]

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        known = self._read.get(vendor)
        if known is None or known[1].version != rejected:
            return await self.read(vendor)
        del self._read[vendor]
        renewed = await self.read(vendor)
        if dict(renewed) == dict(known[1]):
            self._read[vendor] = known
            return known[1]
        self._reread += 1  # the same time, another secret
        fields = {name: SecretStr(value) for name, value in renewed.items()}
        again = Credential(fields, f"{renewed.version}/{self._reread}")
        self._read[vendor] = (self._read[vendor][0], again)
        return again

    def where(self, vendor: str, field: str) -> str:
        return str(self._directory / vendor / field)

    async def aclose(self) -> None:
        """Nothing is held."""
