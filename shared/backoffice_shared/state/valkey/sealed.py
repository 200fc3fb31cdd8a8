"""Seals what is kept where others might read or write it: nobody without our key can do either."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Seal:
    """All that have the same `key` can open what one of them sealed. `about` says what a sealed content is."""

    def __init__(self, key: str) -> None:
        self._names = hashlib.sha256(b"names\0" + key.encode()).digest()
        self._contents = hashlib.sha256(b"contents\0" + key.encode()).digest()

    def name(self, text: str) -> str:
        """Always the same for `text`, which it does not tell."""
        return _digest(self._names, text).hex()[:40]

    def close(self, content: bytes, about: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher(about).encrypt(nonce, content, None)

    def open(self, sealed: bytes, about: str) -> bytes | None:
        """None for what was not sealed with this key for this purpose."""
        try:
            return self._cipher(about).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, about: str) -> AESGCM:
        """One for each purpose: random nonces must not be too many for one key."""
        return AESGCM(_digest(self._contents, about))


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")
