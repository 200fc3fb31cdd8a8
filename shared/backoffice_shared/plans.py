"""Preview, then execute: what cannot be undone is shown first, and carried out as it was shown or not at all.

A preview gives a plan token. It is signed, and bound to what is to be done, to the principal who asked, and to the
versions of what the preview looked at. It is good for fifteen minutes, on every replica that has the same key.
"""

from __future__ import annotations

import base64
import hmac
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.jsonvalues import canonical
from backoffice_shared.principal import principal

LIFE = timedelta(minutes=15)

_BODY = TypeAdapter(tuple[int, dict[str, str]])
_ANEW = "Call without plan_token for a preview, then again with the same arguments and the plan_token of that preview"
_SIGNATURE = 16  # bytes
_LONGEST = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class Plan:
    token: str
    expires_at: datetime


class Plans:
    def __init__(self, key: bytes, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._key = hmac.digest(key, b"plans", "sha256")
        self._now = now

    def made(self, action: str, request: object, versions: Mapping[str, str]) -> Plan:
        """A plan to do this, for whoever calls. `versions` are those of the things that the preview looked at."""
        expires_at = (self._now() + LIFE).replace(microsecond=0)
        body = zlib.compress(json.dumps((int(expires_at.timestamp()), dict(versions)), separators=(",", ":")).encode())
        token = base64.urlsafe_b64encode(self._sign(action, request, body) + body).rstrip(b"=").decode()
        return Plan(token, expires_at)

    def versions(self, token: str, action: str, request: object, *, anew: str = _ANEW) -> dict[str, str]:
        """What the preview looked at, if this is what it showed. `anew` says how to get another plan.

        Raises:
            InvalidInput: the token is not one of ours, or belongs to another request or to somebody else.
            Conflict: it has expired. Not while it is unknown whether an earlier attempt carried it out: that comes first.
        """
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            signature, body = raw[:_SIGNATURE], raw[_SIGNATURE:]
            if not hmac.compare_digest(signature, self._sign(action, request, body)):
                raise ValueError
            expires_at, versions = _BODY.validate_json(_unpacked(body))
        except (ValueError, ValidationError, zlib.error):
            raise InvalidInput(
                "",
                "plan_token: it is not one for this request, and nothing was done",
                hint=anew,
            ) from None
        if self._now().timestamp() >= expires_at and uncertain_since() is None:
            raise Conflict("", "the plan has expired, and nothing was done", hint=anew)
        return versions

    @staticmethod
    def claims(token: str) -> dict[str, str]:
        """What a token says its preview looked at, whoever made it: only for counting what a call would spend, before it is
        known to be good. Empty for what is none."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            return _BODY.validate_json(_unpacked(raw[_SIGNATURE:]))[1]
        except (ValueError, ValidationError, zlib.error):
            return {}

    def _sign(self, action: str, request: object, body: bytes) -> bytes:
        bound = canonical([action, principal().key, request]).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, bound + b"\0" + body, "sha256")[:_SIGNATURE]


def _unpacked(body: bytes) -> bytes:
    """At most as much as ours are: what is not, may be made to fill the memory."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(body, _LONGEST)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError("not a plan")
    return unpacked
