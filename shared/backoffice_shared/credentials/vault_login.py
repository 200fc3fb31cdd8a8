"""How this process proves to Vault who it is: a token, an AppRole, a Kubernetes service account, a JWT.

What proves it is read for every login, so that a file which is replaced needs no restart.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hvac.exceptions import Forbidden, InvalidRequest
from pydantic import SecretStr

from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.jsonvalues import obj
from backoffice_shared.redaction import SECRETS

log = logging.getLogger("backoffice.credentials")


@dataclass(frozen=True, slots=True)
class Granted:
    """A token that Vault gave for `seconds`; `ours` to take back when the process ends."""

    token: str
    seconds: float
    renewable: bool
    ours: bool = True


Client = Any
"""An hvac client, which has no types."""

Login = Callable[[Client], Granted]
"""Proves who we are with a client that has no token yet. Raises what hvac raises."""

Secret = Callable[[Client], str]
"""Gives what proves it: from the settings, a file, or out of its wrapping."""


def with_token(token: Secret) -> Login:
    """A token that somebody else made, and takes care of."""

    def login(client: Client) -> Granted:
        client.token = token(client)
        wire = obj(obj(client.auth.token.lookup_self()).get("data"))
        seconds = float(wire.get("ttl") or math.inf)
        return Granted(client.token, seconds, wire.get("renewable") is True, ours=False)

    return login


def with_approle(role_id: str, secret_id: Secret, mount: str) -> Login:
    def login(client: Client) -> Granted:
        return granted(client.auth.approle.login(role_id, secret_id(client), use_token=False, mount_point=mount))

    return login


def with_kubernetes(role: str, jwt: Secret, mount: str) -> Login:
    def login(client: Client) -> Granted:
        return granted(client.auth.kubernetes.login(role, jwt(client), use_token=False, mount_point=mount))

    return login


def with_jwt(role: str, jwt: Secret, mount: str) -> Login:
    def login(client: Client) -> Granted:
        return granted(client.auth.jwt.jwt_login(role, jwt(client), use_token=False, path=mount))

    return login


def granted(wire: object) -> Granted:
    """The token in Vault's answer to a login or a renewal."""
    auth = obj(obj(wire).get("auth"))
    token = str(auth["client_token"])
    SECRETS.learn(token)
    return Granted(token, float(auth["lease_duration"]) or math.inf, auth.get("renewable") is True)


def given(value: SecretStr) -> Secret:
    return lambda _client: _known(value.get_secret_value())


def in_file(path: Path) -> Secret:
    return lambda _client: _read(path)


def wrapped_in_file(path: Path, mount: str) -> Secret:
    """A secret id that Vault has wrapped for one reader. The file holds the wrapping token.

    Whoever else may have opened it has the secret id: then ours cannot be opened, and that is an alarm.
    """
    opened = secret_id = ""

    def unwrapped(client: Client) -> str:
        nonlocal opened, secret_id
        wrapping = _read(path)
        if wrapping != opened:
            opened, secret_id = wrapping, _unwrapped(client, wrapping, mount)
        return secret_id

    return unwrapped


def _unwrapped(client: Client, wrapping: str, mount: str) -> str:
    try:
        looked_up = client.adapter.post("/v1/sys/wrapping/lookup", json={"token": wrapping})
        _check_maker(str(obj(obj(looked_up).get("data")).get("creation_path")), mount)
        client.token = wrapping
        return _known(str(client.sys.unwrap()["data"]["secret_id"]))
    except (InvalidRequest, Forbidden):
        raise _alarm("it was opened before, or is too old: somebody else may have the secret id") from None
    finally:
        client.token = ""


def _check_maker(path: str, mount: str) -> None:
    """Whoever opens a wrapping can wrap something else. Where it was made cannot be forged."""
    if not re.fullmatch(rf"auth/{re.escape(mount)}/role/[^/]+/(custom-)?secret-id", path):
        raise _alarm(f"it was made at {path}, not by the AppRole: somebody may have exchanged it")


def _alarm(why: str) -> MissingCredential:
    log.critical("the wrapped secret id for Vault cannot be trusted: %s. Revoke it, and look who read it.", why)
    return MissingCredential("Vault", f"the wrapped secret id cannot be trusted: {why}")


def _read(path: Path) -> str:
    try:
        return _known(path.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise MissingCredential("Vault", f"{path} cannot be read ({type(error).__name__})") from None


def _known(secret: str) -> str:
    SECRETS.learn(secret)
    return secret
