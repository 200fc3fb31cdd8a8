"""API keys, for set-ups without an authorization server: `bo_<id>_<secret>`.

agents.yaml holds the SHA-256 of the whole key. A fast hash is right here: the secret is 32 random bytes, which nobody
can guess however fast guesses are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Callable, Mapping
from typing import NamedTuple

from backoffice_shared.principal import Principal

PREFIX = "bo_"
_KEY = re.compile(r"bo_([A-Za-z0-9]{4,32})_[\w-]{43}", re.ASCII)
_NOBODY = ("", "0" * 64)


class MadeKey(NamedTuple):
    """`key` is shown once; `id` and `sha256` go into agents.yaml."""

    key: str
    id: str
    sha256: str


def make_key() -> MadeKey:
    # A letter first, or YAML would now and then read a number.
    identity = secrets.choice(string.ascii_letters)
    identity += "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(7))
    key = f"{PREFIX}{identity}_{secrets.token_urlsafe(32)}"
    return MadeKey(key, identity, _hashed(key))


class ApiKeys:
    """`known` gives, at every call, by id the agent's name and the key's SHA-256, so that a revoked key ends at once."""

    def __init__(self, known: Callable[[], Mapping[str, tuple[str, str]]]) -> None:
        self._known = known

    async def verify(self, credential: str) -> Principal | None:
        shaped = _KEY.fullmatch(credential)
        # An unknown id is compared like a known one, and takes as long.
        agent, sha256 = self._known().get(shaped[1], _NOBODY) if shaped else _NOBODY
        if not hmac.compare_digest(_hashed(credential), sha256) or shaped is None:
            return None
        return Principal(f"key:{shaped[1]}", "api_key", agent=agent)


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
