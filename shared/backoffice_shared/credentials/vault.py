"""HashiCorp Vault and OpenBao: KV version 2 at `<mount>/<prefix>/<vendor>`, and dynamic secrets with a lease.

A dynamic secret is bound to the token that asked for it and ends with it. So when the token was replaced, the lease is
not renewed, but another taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hvac
import requests
from hvac.exceptions import InvalidPath, InvalidRequest, VaultError
from requests.adapters import HTTPAdapter

from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.credentials.store import NOTHING, THREADS, Fetched, stored
from backoffice_shared.credentials.vault_login import Client
from backoffice_shared.credentials.vault_session import CUT_SHORT, VaultSession
from backoffice_shared.errors import Conflict, PermissionDenied
from backoffice_shared.jsonvalues import obj

TIMEOUT = (1, 2)  # seconds to connect, and to wait for an answer


class VaultStore:
    """`dynamic` says which vendors' credentials are made on demand, and at which path: `database/creds/reader`."""

    title = "Vault"

    def __init__(
        self, session: VaultSession, *, mount: str, prefix: str, dynamic: Mapping[str, str] | None = None
    ) -> None:
        self._session = session
        self._mount = mount
        self._prefix = prefix.strip("/")
        self._dynamic = dynamic or {}

    def place(self, vendor: str) -> str:
        return self._dynamic.get(vendor) or f"{self._mount}/{self._path(vendor)}"

    def fetch(self, vendor: str) -> Fetched:
        path = self._dynamic.get(vendor)
        return self._fetched(vendor) if path is None else self._lent(path)

    def replace(self, vendor: str, version: str, fields: Mapping[str, str]) -> Credential:
        """Raises Conflict when `version` is not the newest any more."""

        def write(client: Client) -> object:
            return client.secrets.kv.v2.create_or_update_secret(
                self._path(vendor), dict(fields), cas=int(version.partition("@")[0]), mount_point=self._mount
            )

        try:
            metadata = obj(obj(self._session.ask(write)).get("data"))
        except InvalidRequest as error:
            if "check-and-set" not in str(error):
                raise
            raise Conflict("Vault", f"{self.place(vendor)} was changed meanwhile") from None
        return stored(dict(fields), _version(metadata), self.place(vendor))

    def close(self) -> None:
        self._session.close()

    def _path(self, vendor: str) -> str:
        return f"{self._prefix}/{vendor}" if self._prefix else vendor

    def _fetched(self, vendor: str) -> Fetched:
        def read(client: Client) -> object:
            return client.secrets.kv.v2.read_secret_version(
                self._path(vendor), mount_point=self._mount, raise_on_deleted_version=True
            )

        try:
            data = obj(obj(self._session.ask(read)).get("data"))
        except InvalidPath as error:
            if error.errors:
                raise MissingCredential("Vault", f"has no KV version 2 engine at {self._mount}") from None
            return NOTHING
        version = _version(obj(data.get("metadata")))
        return Fetched(stored(data.get("data"), version, self.place(vendor)))

    def _lent(self, path: str) -> Fetched:
        owner, wire = self._session.ask(lambda client: (client, obj(client.read(path))))
        if not wire.get("lease_id"):
            raise MissingCredential("Vault", f"lends nothing at {path}")
        lease_id, whole = str(wire["lease_id"]), float(wire["lease_duration"])
        lease = VaultLease(self._session, owner, lease_id, whole, whole, wire.get("renewable") is True)
        # The next one is for the same account at the vendor, so what was cached with this one stays good.
        return Fetched(stored(wire.get("data"), lease_id, path, identity=path), lease.bounded())


@dataclass(frozen=True)
class VaultLease:
    """`owner` is the client whose token it hangs on; `whole` are the seconds that it was granted for at first."""

    session: VaultSession
    owner: Client
    lease_id: str
    seconds: float
    whole: float
    renewable: bool

    def renewed(self) -> VaultLease | None:
        if not self.renewable or self.session.alive().client is not self.owner:
            return None
        try:
            wire = obj(self.session.ask(lambda client: client.sys.renew_lease(self.lease_id, round(self.whole))))
        except (VaultError, PermissionDenied):
            return None
        seconds = float(wire["lease_duration"])
        # Less than at first means that it comes to the end of its longest life.
        return None if seconds < CUT_SHORT * self.whole else replace(self, seconds=seconds).bounded()

    def bounded(self) -> VaultLease:
        """No longer than the token that it hangs on."""
        return replace(self, seconds=min(self.seconds, self.session.left()))

    def revoke(self) -> None:
        """Only when the token is not ours. Ours is taken back with all that was lent to it."""
        if not self.session.alive().granted.ours:
            self.session.ask(lambda client: client.sys.revoke_lease(self.lease_id))


def vault_clients(address: str, *, namespace: str | None, verify: bool | str) -> Callable[[], Client]:
    """Makes clients without a token. No proxies, no `.netrc`, no redirects: what is sent goes where it was configured to."""
    session = requests.Session()
    session.trust_env = False
    session.verify = verify
    session.max_redirects = 0  # the first is an error
    session.mount(address, HTTPAdapter(pool_maxsize=THREADS))

    def client() -> Client:
        given: Any = {"timeout": TIMEOUT, "namespace": namespace, "session": session}
        return hvac.Client(address, token="", **given)

    return client


def _version(metadata: Mapping[str, object]) -> str:
    """Vault's number, and when it was written: numbers begin anew when a secret was deleted for good."""
    return f"{metadata['version']}@{metadata['created_time']}"
