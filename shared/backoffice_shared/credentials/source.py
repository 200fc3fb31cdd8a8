"""Where secrets come from. Only the outbound stack reads one, at the moment a request leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import SecretStr

from backoffice_shared.errors import BackofficeError


class MissingCredential(BackofficeError):  # noqa: N818 - named for what happened
    """No source has a usable credential. The sentence names fields, never values."""

    code = "permission_denied"


class Credential(Mapping[str, str]):
    """The secret fields of one vendor at one moment. Its `repr` shows names only.

    `version` tells one moment's secret from another's; `identity` stays the same while a short-lived token
    is renewed for the same secret. Both are safe to log.
    """

    __slots__ = ("_fields", "identity", "version")

    def __init__(self, fields: Mapping[str, SecretStr], version: str, identity: str = "") -> None:
        self._fields = fields
        self.version = version
        self.identity = identity or version

    def __getitem__(self, name: str) -> str:
        return self._fields[name].get_secret_value()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Credential({', '.join(self._fields)}; version={self.version!r})"

    def with_fields(self, version: str, **fields: str) -> Credential:
        added = {name: SecretStr(value) for name, value in fields.items()}
        return Credential({**self._fields, **added}, version, self.identity)


class CredentialSource(Protocol):
    async def read(self, vendor: str) -> Credential:
        """The current credential of `vendor`; empty when there is none.

        Raises:
            BackofficeError: the source cannot be read and has nothing from before.
        """
        ...

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        """The credential after the vendor refused the one with version `rejected`: read anew if it is still that one."""
        ...
