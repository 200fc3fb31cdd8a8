"""What a secret store far away has to offer, so that `kept.py` can keep its secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from pydantic import SecretStr

from backoffice_shared.credentials.source import Credential, MissingCredential


class Lease(Protocol):
    """What the store grants for a time, and takes back."""

    @property
    def seconds(self) -> float:
        """How long it lasts, from the moment it was granted or renewed."""
        ...

    def renewed(self) -> Lease | None:
        """The same for as long again; None when another has to take its place."""
        ...

    def revoke(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a store has for a vendor: an empty credential when it has nothing."""

    credential: Credential
    lease: Lease | None = None


THREADS = 4
"""How many of a store's calls run at once."""

NOTHING = Fetched(Credential({}, "none"))


class SecretStore(Protocol):
    """A store whose library blocks. It is used in threads of its own, with timeouts of a second or two."""

    @property
    def title(self) -> str: ...

    def place(self, vendor: str) -> str:
        """Where the vendor's secret is, for people and metrics."""
        ...

    def fetch(self, vendor: str) -> Fetched:
        """What the store has now.

        Raises:
            PermissionDenied: we may not read it, whoever we log in as.
            Exception: it cannot be read at the moment.
        """
        ...

    def close(self) -> None: ...


Replacing = Callable[[str, str, Mapping[str, str]], Credential]
"""(vendor, the version that was read, fields): puts the fields in its place. Raises Conflict when it is not there any more."""


def stored(fields: object, version: str, place: str, *, identity: str = "") -> Credential:
    """A credential of the fields that a store holds: a JSON object whose values are text.

    Raises:
        MissingCredential: it is something else.
    """
    if not isinstance(fields, dict):
        raise MissingCredential("", f"{place} does not hold a JSON object with a text for each field")
    found = cast("dict[str, object]", fields)
    if wrong := sorted(name for name, value in found.items() if not isinstance(value, str)):
        raise MissingCredential("", f"{place} holds something that is not text: {', '.join(wrong)}")
    return Credential({name: SecretStr(str(value)) for name, value in found.items()}, version, identity)


def stored_json(text: str, version: str, place: str) -> Credential:
    """As `stored`, of a store that knows only one text for each secret."""
    try:
        fields: object = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    return stored(fields, version, place)
