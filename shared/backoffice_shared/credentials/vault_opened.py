"""Vault as the settings want it."""

from __future__ import annotations

from pathlib import Path

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.kept import FRESH_FOR, KeptCredentials
from backoffice_shared.credentials.vault import VaultStore, vault_clients
from backoffice_shared.credentials.vault_login import (
    Login,
    Secret,
    given,
    in_file,
    with_approle,
    with_jwt,
    with_kubernetes,
    with_token,
    wrapped_in_file,
)
from backoffice_shared.credentials.vault_session import VaultSession
from backoffice_shared.errors import InvalidInput
from backoffice_shared.settings import Settings

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def open_vault(
    settings: Settings, address: str, *, fresh_for: float = FRESH_FOR, clock: Clock = SYSTEM_CLOCK
) -> KeptCredentials:
    """Raises InvalidInput when it is not clear how to log in."""
    verify = True if settings.vault_cacert is None else str(settings.vault_cacert)
    if settings.vault_cacert is not None and not settings.vault_cacert.is_file():
        raise InvalidInput("", f"BACKOFFICE_VAULT_CACERT: there is no file {settings.vault_cacert}")
    clients = vault_clients(address, namespace=settings.vault_namespace, verify=verify)
    session = VaultSession(clients, login_of(settings), clock=clock)
    mount, prefix = settings.vault_mount.strip("/"), settings.vault_prefix
    store = VaultStore(session, mount=mount, prefix=prefix, dynamic=_dynamic(settings.vault_dynamic))
    return KeptCredentials(store, replacing=store.replace, fresh_for=fresh_for, clock=clock)


def login_of(settings: Settings) -> Login:
    mount = (settings.vault_auth_mount or settings.vault_auth).strip("/")
    match settings.vault_auth:
        case "token":
            return with_token(_one_of(settings, "vault_token", "vault_token_file"))
        case "approle":
            role_id = _needed(settings, "vault_role_id")
            ways = ("vault_secret_id", "vault_secret_id_file", "vault_wrapped_secret_id_file")
            return with_approle(role_id, _one_of(settings, *ways), mount)
        case "kubernetes":
            jwt = in_file(settings.vault_jwt_file or SERVICE_ACCOUNT)
            return with_kubernetes(_needed(settings, "vault_role"), jwt, mount)
        case "jwt":
            return with_jwt(_needed(settings, "vault_role"), in_file(Path(_needed(settings, "vault_jwt_file"))), mount)


def _one_of(settings: Settings, *names: str) -> Secret:
    """The secret by the one way that is configured."""
    ways = [name for name in names if getattr(settings, name) is not None]
    if len(ways) != 1:
        listed = ", ".join(f"BACKOFFICE_{name.upper()}" for name in ways or names)
        which = "one of" if not ways else "only one of"
        raise InvalidInput("", f"BACKOFFICE_VAULT_AUTH={settings.vault_auth} needs {which} {listed}")
    match ways[0], getattr(settings, ways[0]):
        case "vault_wrapped_secret_id_file", Path() as path:
            return wrapped_in_file(path, (settings.vault_auth_mount or settings.vault_auth).strip("/"))
        case _, Path() as path:
            return in_file(path)
        case _, secret:
            return given(secret)


def _needed(settings: Settings, name: str) -> str:
    if not (value := getattr(settings, name)):
        raise InvalidInput("", f"BACKOFFICE_VAULT_AUTH={settings.vault_auth} needs BACKOFFICE_{name.upper()}")
    return str(value)


def _dynamic(entries: tuple[str, ...]) -> dict[str, str]:
    """`vendor=path` as a mapping."""
    paths: dict[str, str] = {}
    for entry in entries:
        vendor, equals, path = (part.strip() for part in entry.partition("="))
        if not (vendor and equals and path.strip("/")):
            raise InvalidInput("", f"BACKOFFICE_VAULT_DYNAMIC: {entry!r} is not vendor=path")
        paths[vendor] = path.strip("/")
    return paths
