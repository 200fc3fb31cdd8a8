"""Where secrets come from. Only the outbound stack reads one, at the moment a request leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from pydantic import SecretStr

from backoffice_shared.errors import BackofficeError
from backoffice_shared.redaction import SECRETS

NO_SECRETS = frozenset({"client_id", "email", "username", "access_token_expires_at", "exchanging_until"})
"""Fields that come with a secret and are none: they may be words that logs are full of."""


class MissingCredential(BackofficeError):  # noqa: N818 - named for what happened
    """No source has a usable credential. The sentence names fields, never values."""

    code = "permission_denied"


class Credential(Mapping[str, str]):
    """The secret fields of one vendor at one moment. Its `repr` shows names only, and from now on no log shows a value.

    `version` tells one moment's secret from another's; `identity` stays the same while a short-lived token
    is renewed for the same secret. Both are safe to log.
    """

    __slots__ = ("_fields", "identity", "version")

    def __init__(self, fields: Mapping[str, SecretStr], version: str, identity: str = "") -> None:
        for name, value in fields.items():
            if name not in NO_SECRETS:
                SECRETS.learn(value.get_secret_value())
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


class OpenedSource(CredentialSource, Protocol):
    """A source that a process has opened."""

    def where(self, vendor: str, field: str) -> str:
        """Where an operator puts this field, in a word or two."""
        ...

    async def aclose(self) -> None:
        """Give back what is held at the source. Whoever reads after that opens it anew."""
        ...


@runtime_checkable
class Replaceable(CredentialSource, Protocol):
    """A source that can keep what a vendor changes, for all replicas."""

    async def replace(self, vendor: str, read: Credential, fields: Mapping[str, str]) -> Credential:
        """Put `fields` in place of what was `read`.

        Raises:
            Conflict: somebody else has replaced it meanwhile.
            BackofficeError: it may or may not have been replaced.
        """
        ...
